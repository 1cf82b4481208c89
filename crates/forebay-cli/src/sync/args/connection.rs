//! The connection to another machine, the work on it, and what is limited.

use std::num::NonZeroUsize;

use forebay::Budget;

use super::row::{Row, later, remote, remote_number, remote_value, value};

/// The options about transport, limits and the engine.
pub(super) const ROWS: &[Row] = &[
    value("workers", |s, value| {
        s.options.workers = value.text.to_str().and_then(|text| text.parse().ok());
        match s.options.workers {
            Some(workers) if workers <= MAX_WORKERS => Ok(()),
            _ => Err(format!("rsync: --workers={} is invalid", value.lossy()).into()),
        }
    }),
    value("memory", |s, value| {
        let bytes = value.size("memory")?;
        s.options.budget = Budget::new(usize::try_from(bytes).unwrap_or(usize::MAX));
        Ok(())
    }),
    value("spill-dir", |s, value| {
        s.spill_dir = Some(value.text.clone());
        Ok(())
    }),
    value("spill-limit", |s, value| {
        s.spill_limit = Some(value.size("spill-limit")?);
        Ok(())
    }),
    remote_value("rsh").short('e'),
    remote_value("rsync-path"),
    later("remote-option").short('M'),
    remote_number("timeout").no(),
    later("contimeout").no(),
    later("bwlimit").no(),
    remote("compress").short('z').alias(&["old-compress", "new-compress"]).no(),
    later("compress-choice").alias(&["zc"]),
    remote_number("compress-level").alias(&["zl"]),
    remote_number("compress-threads").alias(&["zt"]),
    remote_value("skip-compress"),
    remote("blocking-io").no(),
    remote("secluded-args").short('s').alias(&["protect-args"]).no(),
    remote("old-args").no(),
    remote("trust-sender"),
    later("inc-recursive").alias(&["i-r"]).no(),
    later("protocol"),
    remote_number("checksum-seed"),
    later("iconv").no(),
    remote("ipv4").short('4'),
    remote("ipv6").short('6'),
    remote_value("address"),
    remote_number("port"),
    remote_value("sockopts"),
    later("password-file"),
    later("early-input"),
    remote("motd").no(),
    later("copy-as"),
    later("max-alloc"),
    later("stop-after").alias(&["time-limit"]),
    later("stop-at"),
    remote("qsort"),
    later("write-batch"),
    later("only-write-batch"),
    later("read-batch"),
    later("server"),
    later("sender"),
    later("daemon"),
    later("config"),
    later("dparam"),
    later("detach").no(),
];

/// More threads than this are a slip of the finger.
const MAX_WORKERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);
