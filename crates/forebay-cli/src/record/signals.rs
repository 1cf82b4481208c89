//! SIGHUP, SIGINT and SIGTERM: the first ends the recording in good order, the second at once.

use std::io;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Instant;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::complain;
use super::feed::Event;
use crate::signals::{exit_code, is_another, name};

/// Sends the first signal that comes as an event, and says so unless it is to be `quiet`.
///
/// # Errors
/// If signals cannot be watched.
pub(crate) fn watch(sender: Sender<Event>, quiet: bool) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    thread::Builder::new().name("record-signals".into()).spawn(move || {
        let mut arrived = signals.forever();
        if let Some(signal) = arrived.next() {
            if !quiet {
                complain(&format!("{}: what is whole is being landed; a second signal ends that", name(signal)));
            }
            // Nobody receives it: the recording is at its end.
            let _ = sender.send(Event::Signal(signal));
        }
        let first = Instant::now();
        if let Some(signal) = arrived.find(|_| is_another(first)) {
            std::process::exit(i32::from(exit_code(signal)));
        }
    })?;
    Ok(())
}
