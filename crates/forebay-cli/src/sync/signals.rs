//! Signals: the first ends the mirror in good order, so that nothing half written stays; it dies at a second one, or if it is stuck.

use std::fs;
use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use forebay::CancelToken;
use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::iterator::Signals as Iterator;
use signal_hook::low_level::emulate_default_handler;

use super::end;
use crate::signals::is_another;

/// How long workers have, after a signal, to remove what is half written if standard output blocks the orderly end.
const GRACE: Duration = Duration::from_secs(3);

/// Those that rsync has an exit code for.
const WITH_CODES: [(i32, u8); 4] = [(SIGINT, 20), (SIGTERM, 20), (SIGHUP, 20), (SIGUSR1, 19)];
/// Those that it dies of, unless whoever has started it has them ignored.
const DEADLY: [i32; 3] = [SIGQUIT, SIGALRM, SIGUSR2];

/// What has arrived.
#[derive(Clone, Debug)]
pub(super) struct Signals {
    /// The first signal, or 0.
    first: Arc<AtomicI32>,
    /// Which side this is, as messages call it.
    role: &'static str,
    /// It is a server.
    serves: bool,
}

impl Signals {
    /// Has the first signal cancel the mirror. A file that becomes larger than is allowed only fails to be written.
    pub(super) fn watch(cancel: CancelToken, role: &'static str, serves: bool) -> io::Result<Self> {
        let signals = Signals { first: Arc::default(), role, serves };
        let ignored = ignored();
        let deadly = DEADLY.iter().filter(|signal| ignored & (1 << (**signal - 1)) == 0);
        let watched = WITH_CODES.iter().map(|(signal, _)| signal).chain(deadly);
        let mut arriving = Iterator::new(watched)?;
        signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        let watching = signals.clone();
        thread::Builder::new().name("sync-signals".into()).spawn(move || {
            let mut since = None;
            for signal in arriving.forever() {
                let first = *since.get_or_insert_with(Instant::now);
                let second = watching.first.compare_exchange(0, signal, Ordering::AcqRel, Ordering::Acquire).is_err();
                cancel.cancel();
                if second && !is_another(first) {
                    continue;
                }
                if second {
                    // Stock rsync sends one to what it has started when it has been told of the first.
                    watching.leave(!watching.serves);
                }
                let stuck = watching.clone();
                let guard = thread::Builder::new().name("sync-grace".into()).spawn(move || {
                    thread::sleep(GRACE);
                    stuck.leave(true);
                });
                if guard.is_err() {
                    watching.leave(true);
                }
            }
        })?;
        Ok(signals)
    }

    /// The exit code that the first signal asks for.
    pub(super) fn exit_code(&self) -> u8 {
        let first = self.first.load(Ordering::Acquire);
        WITH_CODES.iter().find(|(signal, _)| *signal == first).map_or(20, |(_, code)| *code)
    }

    /// Dies of the first signal, if it is one to die of.
    pub(super) fn die(&self) {
        let first = self.first.load(Ordering::Acquire);
        if DEADLY.contains(&first) {
            // The signal is known: this does not come back.
            let _ = emulate_default_handler(first);
        }
    }

    fn leave(&self, says: bool) -> ! {
        self.die();
        let code = self.exit_code();
        if says {
            let _ = end(code, self.role);
        }
        process::exit(code.into())
    }
}

/// The signals that are ignored, as bits.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bits = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    bits.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or_default()
}
