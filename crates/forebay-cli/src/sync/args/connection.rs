//! The connection to another machine, the work on it, and what is limited.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use forebay::Budget;

use forebay_sync::{Compressor, Credentials};

use super::row::{Row, check, flag, later, remote, remote_number, remote_value, value};
use super::state::State;
use super::stop_at;
use super::value::{Refusal, Value, not_yet};
use crate::size;
use crate::sync::help;

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
    value("rsh", |s, value| {
        // A server's client says behind this letter what it can do.
        let place = if s.wire.server { &mut s.wire.served.letters } else { &mut s.wire.connection.shell.command };
        place.clone_from(&value.text);
        Ok(())
    })
    .short('e'),
    value("rsync-path", |s, value| {
        s.wire.connection.shell.program.clone_from(&value.text);
        Ok(())
    }),
    value("remote-option", remote_option).short('M'),
    value("timeout", |s, value| {
        let seconds = u64::try_from(value.number()?).unwrap_or(0);
        s.wire.connection.timeout = (seconds > 0).then(|| Duration::from_secs(seconds));
        Ok(())
    })
    .no(),
    value("contimeout", |_, value| match value.number()? {
        0 => Ok(()),
        _ => Err("The --contimeout option may only be used when connecting to an rsync daemon.".into()),
    })
    .no(),
    value("bwlimit", bwlimit).no(),
    flag("compress", |s, on| {
        let wire = &mut s.wire;
        // As with rsync, twice is `--new-compress`.
        wire.choice = match (on, wire.connection.compress) {
            (false, _) => None,
            (true, true) => wire.choice.or(Some(Some(Compressor::Zlibx))),
            (true, false) => wire.choice,
        };
        wire.connection.compress = on;
    })
    .short('z')
    .no(),
    flag("old-compress", |s, on| s.wire.choice = on.then_some(Some(Compressor::Zlib))),
    flag("new-compress", |s, on| s.wire.choice = on.then_some(Some(Compressor::Zlibx))),
    value("compress-choice", |s, value| {
        s.wire.connection.compress_choice = Some(value.text.clone());
        s.wire.choice = match &value.lossy().to_ascii_lowercase()[..] {
            // As with rsync, that alone compresses nothing.
            "auto" => None,
            "none" => Some(None),
            name => match Compressor::named(name.as_bytes()) {
                Some(compressor) => Some(Some(compressor)),
                None => return Err(Refusal::with(4, format!("unknown compress name: {}", value.lossy()))),
            },
        };
        Ok(())
    })
    .alias(&["zc"]),
    value("compress-level", |s, value| {
        s.wire.connection.offer.level = Some(value.number()?);
        Ok(())
    })
    .alias(&["zl"]),
    remote_number("compress-threads").alias(&["zt"]),
    value("skip-compress", |s, value| {
        s.wire.connection.skip_compress = Some(value.text.clone());
        Ok(())
    }),
    remote("blocking-io").no(),
    flag("secluded-args", |s, on| s.secluded_args = Some(on)).short('s').alias(&["protect-args"]).no(),
    flag("old-args", |s, on| s.old_args = Some(on)).no(),
    flag("trust-sender", |s, on| s.wire.connection.shell.trust_sender = on),
    // It is never complete here before the work begins; what is said of that is the same.
    flag("inc-recursive", |s, on| (s.report.at_once, s.wire.connection.offer.incremental) = (!on, on))
        .alias(&["i-r"])
        .no(),
    value("protocol", protocol),
    value("checksum-seed", |s, value| {
        s.wire.connection.checksum_seed = value.number()?;
        Ok(())
    }),
    later("iconv").no(),
    remote("ipv4").short('4'),
    remote("ipv6").short('6'),
    remote_value("address"),
    remote_number("port"),
    remote_value("sockopts"),
    value("password-file", |_, _| {
        Err("The --password-file option may only be used when accessing an rsync daemon.".into())
    }),
    remote_value("early-input"),
    remote("motd").no(),
    value("copy-as", |s, value| {
        s.options.copy_as = Some(Credentials::parse(&value.lossy())?);
        Ok(())
    }),
    value("max-alloc", |s, value| match value.size_or_none("max-alloc")? {
        1..=0xf_ffff => {
            let text = value.lossy();
            Err(format!("rsync: --max-alloc={text} is too small (min: 1.00M or 0 for unlimited)").into())
        }
        bytes => {
            s.wire.connection.max_alloc = (bytes != USUAL_ALLOC).then(|| value.text.clone());
            Ok(())
        }
    }),
    value("stop-after", |s, value| {
        let text = value.lossy();
        // As with rsync, what is behind the digits does not count, and the end has to be a time that there is.
        let digits = text.trim_start().strip_prefix('+').unwrap_or(text.trim_start());
        let digits = &digits[..digits.bytes().take_while(u8::is_ascii_digit).count()];
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let seconds = digits.parse::<u64>().ok().and_then(|minutes| minutes.checked_mul(60)).filter(|&seconds| {
            let end = seconds.checked_add(now);
            seconds > 0 && end.is_some_and(|end| i64::try_from(end).is_ok())
        });
        let seconds = seconds.ok_or_else(|| Refusal::from(format!("rsync: invalid --stop-after value: {text}")))?;
        s.report.limit = Some(Duration::from_secs(seconds));
        Ok(())
    })
    .alias(&["time-limit"]),
    value("stop-at", |s, value| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let text = value.lossy();
        let at = stop_at::next(&text, i64::try_from(now.as_secs()).unwrap_or(i64::MAX)).map_err(|why| match why {
            stop_at::Refused::Invalid => format!("rsync: invalid --stop-at format: {text}"),
            stop_at::Refused::Past => format!("rsync: --stop-at time is not in the future: {text}"),
        })?;
        s.report.limit = Some(Duration::from_secs(u64::try_from(at).unwrap_or(0)).saturating_sub(now));
        Ok(())
    }),
    flag("qsort", |s, _| s.wire.connection.qsort = true),
    // What clients call the same thing when they tell a server.
    check("use-qsort", |s, _| match s.wire.server {
        true => Ok(()),
        false => Err("rsync: --use-qsort: unknown option".into()),
    }),
    later("write-batch"),
    later("only-write-batch"),
    later("read-batch"),
    flag("server", |s, on| s.wire.server = on),
    check("sender", |s, on| match s.wire.server {
        true => {
            s.wire.served.sends = on;
            Ok(())
        }
        false => Err(help::text().trim_end().into()),
    }),
    later("daemon"),
    value("config", |_, _| Err(DAEMONS.into())),
    value("dparam", |_, _| Err(DAEMONS.into())),
    check("detach", |_, _| Err(DAEMONS.into())).no(),
];

/// What is said of an option that only a daemon knows.
const DAEMONS: &str =
    "Daemon option(s) used without --daemon.\n(Type \"rsync --daemon --help\" for assistance with daemon mode.)";

/// `-M`: what the other side of a connection is told.
fn remote_option(s: &mut State, value: &Value) -> Result<(), Refusal> {
    if !value.bytes().starts_with(b"-") {
        return Err(format!("rsync: Remote option must start with a dash: {}", value.lossy()).into());
    }
    s.wire.connection.remote_options.push(value.text.clone());
    Ok(())
}

/// The versions of rsync's protocol between which a local copy shows no difference.
fn protocol(s: &mut State, value: &Value) -> Result<(), Refusal> {
    let refused = |text: &str| Err(Refusal::with(2, text));
    match value.number()? {
        version @ 30..=32 => {
            s.wire.connection.offer.protocol = u32::try_from(version).unwrap_or(32);
            s.wire.beyond = false;
            Ok(())
        }
        20..=29 => Err(not_yet(&format!("--protocol={}", value.lossy()))),
        // Two sides agree on the older of their versions.
        33..=40 => {
            s.wire.connection.offer.protocol = 32;
            s.wire.beyond = true;
            Ok(())
        }
        _ => refused("protocol version mismatch -- is your shell clean?\n(see the rsync manpage for an explanation)"),
    }
}

/// `--bwlimit`: KiB a second where no unit follows. 0 and nothing are no limit.
fn bwlimit(s: &mut State, value: &Value) -> Result<(), Refusal> {
    let text = value.lossy();
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let bytes = match &text[..] {
        "" => Some(0),
        text if text.strip_prefix('-').is_some_and(|rest| size::parse(rest).is_some()) => {
            return Err(format!("rsync: --bwlimit={text} is too large").into());
        }
        text if plain => size::parse(&format!("{text}K")),
        text => size::parse(text),
    };
    let bytes = bytes.ok_or_else(|| Refusal::from(format!("rsync: --bwlimit={text} is invalid")))?;
    if (1..LEAST_RATE).contains(&bytes) {
        return Err(format!("rsync: --bwlimit={text} is too small (min: 512 or 0 for unlimited)").into());
    }
    s.options.bwlimit = NonZeroU64::new(bytes);
    Ok(())
}

/// The slowest that may be asked for, in bytes a second.
const LEAST_RATE: u64 = 512;

/// What rsync may take of memory at a time where nothing is said of that, in bytes.
const USUAL_ALLOC: u64 = 1 << 30;

/// More threads than this are a slip of the finger.
const MAX_WORKERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);

/// What these options require of each other.
pub(super) fn agree(s: &State) -> Result<(), Refusal> {
    if s.secluded_args == Some(true) && s.old_args == Some(true) {
        return Err("rsync: --secluded-args conflicts with --old-args.".into());
    }
    Ok(())
}
