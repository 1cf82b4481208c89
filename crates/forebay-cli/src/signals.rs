//! What signals are called, and what a shell makes of them.

use signal_hook::consts::{SIGHUP, SIGINT};

/// What a shell reports for a process that this signal ended.
pub(crate) fn exit_code(signal: i32) -> u8 {
    128u8.saturating_add(u8::try_from(signal).unwrap_or_default())
}

/// Its name.
pub(crate) fn name(signal: i32) -> &'static str {
    match signal {
        SIGHUP => "SIGHUP",
        SIGINT => "SIGINT",
        _ => "SIGTERM",
    }
}
