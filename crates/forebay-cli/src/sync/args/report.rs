//! What is said.

use super::row::{Row, flag, later, value};
use super::value::not_yet;

/// The options that decide what is printed.
pub(super) const ROWS: &[Row] = &[
    flag("help", |s, _| s.help = true),
    later("version").short('V'),
    flag("verbose", |s, on| s.options.verbose = if on { s.options.verbose.saturating_add(1) } else { 0 })
        .short('v')
        .no(),
    flag("quiet", |s, _| s.options.quiet = true).short('q'),
    value("info", |s, value| {
        match value.bytes() {
            b"progress2" => s.progress = true,
            _ => return Err(not_yet(&format!("--info={}", value.lossy()))),
        }
        Ok(())
    }),
    later("debug"),
    later("stderr"),
    later("msgs2stderr").no(),
    flag("itemize-changes", |s, on| s.options.itemize = on).short('i').no(),
    flag("stats", |s, _| s.stats = true),
    later("progress").no(),
    later("P").short('P'),
    later("human-readable").short('h').no(),
    later("8-bit-output").short('8').no(),
    later("out-format").alias(&["log-format"]),
    later("log-file"),
    later("log-file-format"),
    later("list-only"),
    later("outbuf"),
    later("json"),
];
