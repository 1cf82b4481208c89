//! `--bwlimit`: what all threads together may write in a second.

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::copy::Failure;

/// How long a sleep may be without a look at whether the run has been cancelled.
const NAP: Duration = Duration::from_millis(100);

/// A limit that all threads share. Whoever is about to write takes its time from a common clock, so that what several
/// threads write adds up.
#[derive(Debug)]
pub(crate) struct Rate {
    bytes_per_second: NonZeroU64,
    /// When what has been asked for so far may have been written.
    until: Mutex<Instant>,
}

impl Rate {
    pub(crate) fn new(bytes_per_second: NonZeroU64) -> Self {
        Rate { bytes_per_second, until: Mutex::new(Instant::now()) }
    }

    /// How much is best written at a time, in bytes: what takes an eighth of a second.
    pub(crate) fn step(&self) -> usize {
        usize::try_from(self.bytes_per_second.get() / 8).unwrap_or(usize::MAX).max(512)
    }

    /// When `bytes` more may have been written. What was not used until `now` is lost.
    fn reserve(&self, bytes: u64, now: Instant) -> Instant {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second.get());
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = (*until).max(now) + takes;
        *until
    }

    /// Waits until `bytes` may be written, unless that is `cancelled`.
    pub(crate) fn wait(&self, bytes: usize, cancelled: impl Fn() -> bool) -> Result<(), Failure> {
        let until = self.reserve(bytes as u64, Instant::now());
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            if cancelled() {
                return Err(Failure::Cancelled);
            }
            std::thread::sleep(left.min(NAP));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_adds_up_and_what_is_not_used_is_lost() {
        let rate = Rate::new(NonZeroU64::new(1000).unwrap());
        let now = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(rate.reserve(1000, now), now + second);
        assert_eq!(rate.reserve(500, now), now + second * 3 / 2);
        assert_eq!(rate.reserve(0, now + second), now + second * 3 / 2);
        assert_eq!(rate.reserve(1000, now + second * 10), now + second * 11);
    }

    #[test]
    fn who_waits_sees_a_cancellation() {
        let rate = Rate::new(NonZeroU64::MIN);
        assert!(matches!(rate.wait(1 << 30, || true), Err(Failure::Cancelled)));
        assert!(Rate::new(NonZeroU64::MAX).wait(1, || true).is_ok());
    }
}
