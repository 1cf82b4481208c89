//! SIGHUP, SIGINT and SIGTERM: the first ends the run in good order, the second at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use forebay::CancelToken;
use forebay_exchange::table::Observer;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{complain, message};
use crate::signals::{exit_code, is_another};

/// How long an orderly end may take: an input that gives nothing may hold it up.
const GRACE: Duration = Duration::from_secs(3);

/// The first signal that came.
#[derive(Clone, Debug, Default)]
pub(crate) struct First(Arc<AtomicI32>);

impl First {
    /// Its number, if there was one.
    pub(crate) fn get(&self) -> Option<i32> {
        Some(self.0.load(Ordering::Acquire)).filter(|signal| *signal != 0)
    }
}

/// Cancels the run at the first signal. At the second one, or if the end takes too long, what is not published is
/// removed, this is said, and the process ends. `published`: the result would be.
///
/// # Errors
/// If signals cannot be watched.
pub(crate) fn watch(cancel: CancelToken, observer: Observer, published: bool) -> io::Result<First> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let first = First::default();
    let seen = first.clone();
    thread::Builder::new().name("aggregate-signals".into()).spawn(move || {
        let mut arrived = signals.forever();
        let Some(signal) = arrived.next() else { return };
        let begun = Instant::now();
        seen.0.store(signal, Ordering::Release);
        cancel.cancel();
        let leave = move |observer: &Observer| -> ! {
            complain(&message::ended(signal, &observer.discard(), published));
            std::process::exit(i32::from(exit_code(signal)))
        };
        let late = observer.clone();
        let guard = thread::Builder::new().name("aggregate-grace".into()).spawn(move || {
            thread::sleep(GRACE);
            leave(&late)
        });
        if guard.is_err() || arrived.any(|_| is_another(begun)) {
            leave(&observer)
        }
    })?;
    Ok(first)
}
