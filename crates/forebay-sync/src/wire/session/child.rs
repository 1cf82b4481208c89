//! The end of what was started.

use std::process::{Child, ExitStatus};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// How long a remote shell is waited for when the session has failed.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// Waits for the remote shell to end, and gives its exit code. Behind a session that has failed it may never do so: it is
/// killed then.
pub(super) fn reap(child: &mut Child, ended: bool) -> u8 {
    if !ended && !ends_within(child, GRACE) {
        // It may have ended by now.
        let _ = child.kill();
        let _ = child.wait();
        return 0;
    }
    child.wait().map_or(14, code_of)
}

/// Whether `child` ends within so long. It stays to be waited for.
fn ends_within(child: &Child, grace: Duration) -> bool {
    let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return false };
    let (tell, told) = mpsc::channel();
    let wait = move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let _ = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(pid), options));
        // Nobody may listen any more.
        let _ = tell.send(());
    };
    // Whoever is killed then ends, too, and with it the thread.
    let waiting = thread::Builder::new().name("wire-shell".to_owned()).spawn(wait);
    waiting.is_ok() && told.recv_timeout(grace).is_ok()
}

/// The exit code of what was started.
fn code_of(status: ExitStatus) -> u8 {
    // As with rsync, what was killed has ended with nothing that says more than that the connection is gone.
    status.code().map_or(0, |code| u8::try_from(code).unwrap_or(12))
}
