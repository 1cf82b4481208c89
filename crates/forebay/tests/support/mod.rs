//! What the engine's tests share: a time limit, a process of one's own, gates to withhold things with, what the system says of
//! this process, and a random number generator.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test is a crate of its own and uses a part; helpers of tests are tests"
)]

use std::collections::BTreeSet;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// Runs `test` and fails if it takes longer than `seconds`: a hang is a failure, not an endless run.
pub fn within<T: Send + 'static>(seconds: u64, test: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, finished) = channel();
    let thread = thread::spawn(move || {
        let result = test();
        let _ = done.send(());
        result
    });
    match finished.recv_timeout(Duration::from_secs(seconds)) {
        Err(RecvTimeoutError::Timeout) => panic!("did not finish within {seconds} s"),
        _ => match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        },
    }
}

/// Runs `test` in a process of its own, for tests that look at what belongs to the whole process: its memory, its processor
/// time, its threads. `name` is the path of the test in its binary.
pub fn alone(name: &str, seconds: u64, test: impl FnOnce() + Send + 'static) {
    alone_with(name, seconds, &[], test);
}

/// The same, with variables of the environment.
pub fn alone_with(name: &str, seconds: u64, variables: &[(&str, &str)], test: impl FnOnce() + Send + 'static) {
    const CHILD: &str = "FOREBAY_TEST_ALONE";
    if std::env::var_os(CHILD).is_some_and(|child| child == name) {
        return within(seconds, test);
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--include-ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD, name)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("1 passed") && output.status.success(), "{name}:\n{text}");
}

/// A gate that is closed until it is opened. Who waits at it can be counted.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<(bool, usize)>, Condvar)>);

impl Gate {
    pub fn open(&self) {
        self.0.0.lock().unwrap().0 = true;
        self.0.1.notify_all();
    }

    pub fn pass(&self) {
        let mut state = self.0.0.lock().unwrap();
        state.1 += 1;
        self.0.1.notify_all();
        while !state.0 {
            state = self.0.1.wait(state).unwrap();
        }
        state.1 -= 1;
    }

    /// Waits until `waiters` threads stand at the gate.
    pub fn await_waiters(&self, waiters: usize) {
        let state = self.0.0.lock().unwrap();
        let waited = self.0.1.wait_timeout_while(state, Duration::from_secs(20), |state| state.1 < waiters).unwrap();
        assert!(!waited.1.timed_out(), "{} of {waiters} wait at the gate", waited.0.1);
    }
}

/// A gate for each number: closed until it is opened or `below` it.
#[derive(Clone, Default)]
pub struct Gates(Arc<(Mutex<Numbers>, Condvar)>);

#[derive(Default)]
struct Numbers {
    waiting: BTreeSet<u64>,
    open: BTreeSet<u64>,
    below: u64,
}

impl Gates {
    /// Waits until gate `n` is open.
    pub fn pass(&self, n: u64) {
        let mut state = self.0.0.lock().unwrap();
        state.waiting.insert(n);
        self.0.1.notify_all();
        while n >= state.below && !state.open.contains(&n) {
            state = self.0.1.wait(state).unwrap();
        }
        state.waiting.remove(&n);
    }

    pub fn open(&self, n: u64) {
        self.0.0.lock().unwrap().open.insert(n);
        self.0.1.notify_all();
    }

    pub fn open_below(&self, n: u64) {
        self.0.0.lock().unwrap().below = n;
        self.0.1.notify_all();
    }

    /// The numbers at whose gates somebody waits, as soon as there are `count` of them.
    pub fn await_waiters(&self, count: usize) -> Vec<u64> {
        let state = self.0.0.lock().unwrap();
        let waited =
            self.0.1.wait_timeout_while(state, Duration::from_secs(20), |state| state.waiting.len() < count).unwrap();
        assert!(!waited.1.timed_out(), "{:?} wait, not {count}", waited.0.waiting);
        waited.0.waiting.iter().copied().collect()
    }
}

/// This process' threads whose name begins with `prefix` (the system keeps 15 bytes of a name).
#[cfg(target_os = "linux")]
pub fn threads(prefix: &str) -> Vec<String> {
    let prefix = &prefix[..prefix.len().min(15)];
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.map(|name| name.trim_end().to_owned()).filter(|name| name.starts_with(prefix)).collect()
}

/// A size of this process in bytes: `VmRSS`, or `VmHWM` for the largest since [`reset_peak`].
#[cfg(target_os = "linux")]
pub fn memory(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    let kib = line.trim_start_matches(':').trim().trim_end_matches(" kB");
    kib.parse::<usize>().unwrap() << 10
}

/// Has the system forget the largest size that this process had.
#[cfg(target_os = "linux")]
pub fn reset_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// Fails unless this process, within one of ten spans of `span`, uses less than `most` of processor time. Who spins or polls does
/// so in each of them; threads that other processes keep from coming to rest get there in a later one.
#[track_caller]
pub fn rests(what: &str, span: Duration, most: Duration) {
    let mut used = Vec::new();
    for _ in 0..10 {
        let before = processor_time();
        thread::sleep(span);
        used.push(processor_time() - before);
        if used.last() < Some(&most) {
            return;
        }
    }
    panic!("{used:?} of processor time {what}");
}

/// Processor time that this process has used.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Waits for `condition`, which other threads bring about; fails after 20 s.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if condition() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("waited in vain until {what}");
}

/// A small generator of random numbers (xorshift64*), the same for the same seed.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }
}

/// Bytes that say which item they are of.
pub fn bytes_of(seq: u64, len: usize) -> Vec<u8> {
    let mut random = Random(seq.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    (0..len).map(|_| random.next() as u8).collect()
}

/// A file system in memory that nobody else uses.
#[cfg(target_os = "linux")]
pub struct Tmpfs(tempfile::TempDir);

#[cfg(target_os = "linux")]
impl Tmpfs {
    /// One of `size` (as `mount` writes it).
    ///
    /// # Panics
    /// Without the right to mount: a test that needs a file system of its own cannot pass without one.
    pub fn mount(size: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "none"]).arg(dir.path());
        let output = mount.output().unwrap_or_else(|error| panic!("run `mount`: {error}"));
        assert!(
            output.status.success(),
            "this test mounts a tmpfs of {size}, for which it needs root or CAP_SYS_ADMIN: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Tmpfs(dir)
    }

    pub fn path(&self) -> &std::path::Path {
        self.0.path()
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        let stat = rustix::fs::statvfs(self.path()).unwrap();
        (stat.f_blocks - stat.f_bfree) * stat.f_frsize
    }
}

#[cfg(target_os = "linux")]
impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}
