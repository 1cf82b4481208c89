//! The temporary file, and its end when a signal comes.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::signals::{exit_code, name};

/// Knows the temporary file, if there is one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cleanup(Arc<Mutex<Option<PathBuf>>>);

impl Cleanup {
    /// From now on, SIGHUP, SIGINT and SIGTERM remove the temporary file and end the process.
    pub(crate) fn watch() -> io::Result<Self> {
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
        let cleanup = Cleanup::default();
        let own = cleanup.clone();
        thread::Builder::new().name("delta-signals".into()).spawn(move || {
            if let Some(signal) = signals.forever().next() {
                // Held to the end: nothing is published or created meanwhile.
                let mut path = own.lock();
                discard(&mut path);
                super::complain(&format!("ended by {}", name(signal)));
                std::process::exit(i32::from(exit_code(signal)));
            }
        })?;
        Ok(cleanup)
    }

    /// Creates the temporary file, which must not exist.
    pub(crate) fn create(&self, path: &Path) -> io::Result<File> {
        let mut known = self.lock();
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        *known = Some(path.to_owned());
        Ok(file)
    }

    /// It has got its name.
    pub(crate) fn forget(&self) {
        *self.lock() = None;
    }

    /// It is not needed.
    pub(crate) fn remove(&self) {
        discard(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, Option<PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn discard(path: &mut Option<PathBuf>) {
    if let Some(path) = path.take() {
        // What cannot be removed is left: there is nobody to tell.
        let _ = fs::remove_file(path);
    }
}
