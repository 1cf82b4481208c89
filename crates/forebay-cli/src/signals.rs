//! What signals are called, and what a shell makes of them.

use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT};

/// What arrives so soon after a first signal says nothing new: who ends a process by its group often sends it one of its own
/// as well, as `timeout` does.
const TOGETHER: Duration = Duration::from_millis(500);

/// Whether a signal that arrives now is another one than that which arrived `first`.
pub(crate) fn is_another(first: Instant) -> bool {
    first.elapsed() >= TOGETHER
}

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
