//! Processes to start, to lead through their stages, to kill, and to ask how they ended.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// The deadline of the clusters here, if a test does not need another one.
pub(crate) const DEADLINE: Duration = Duration::from_secs(3);
/// What a process may take beyond a deadline on a busy machine, and what is waited for a stage.
pub(crate) const SLACK: Duration = Duration::from_secs(20);

/// Runs `test` and fails if it takes longer than two minutes.
pub(crate) fn within<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, finished) = channel();
    let thread = thread::spawn(move || {
        let result = test();
        let _ = done.send(());
        result
    });
    let waited = finished.recv_timeout(Duration::from_secs(100));
    assert!(waited != Err(std::sync::mpsc::RecvTimeoutError::Timeout), "a hang");
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Processes to come: their listening sockets are bound.
pub(crate) struct Plan {
    pub(crate) hosts: Vec<String>,
    pub(crate) listeners: Vec<TcpListener>,
    pub(crate) rows: u64,
    pub(crate) workers: usize,
    pub(crate) deadline: Duration,
    pub(crate) dir: TempDir,
}

impl Plan {
    pub(crate) fn new(processes: usize) -> Plan {
        let listeners: Vec<_> = (0..processes).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let hosts = listeners.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect();
        Plan { hosts, listeners, rows: 20_000, workers: 2, deadline: DEADLINE, dir: TempDir::new().unwrap() }
    }

    /// A plan for processes that are killed while they run: they would not end soon by themselves.
    pub(crate) fn endless(processes: usize) -> Plan {
        Plan { rows: 1 << 40, ..Plan::new(processes) }
    }

    /// The listening socket of `process`, for a test that plays it.
    pub(crate) fn listener(&self, process: usize) -> TcpListener {
        self.listeners[process].try_clone().unwrap()
    }

    pub(crate) fn start(&self, process: usize, orders: &[(&str, &str)]) -> Member {
        static NAMES: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let name = NAMES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = self.dir.path().join(name.to_string());
        let socket = UnixListener::bind(&path).unwrap();
        let errors = self.dir.path().join(format!("{name}.err"));
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "member::member", "--ignored", "--nocapture", "--test-threads=1"]);
        let given = [
            ("LINE", path.to_str().unwrap()),
            ("PROCESS", &process.to_string()),
            ("HOSTS", &self.hosts.join(",")),
            ("WORKERS", &self.workers.to_string()),
            ("ROWS", &self.rows.to_string()),
            ("DEADLINE", &self.deadline.as_millis().to_string()),
            ("SECRET", "s3cret"),
            ("JOB", "sum"),
        ];
        for (name, value) in given.iter().chain(orders) {
            command.env(format!("FOREBAY_MEMBER_{name}"), value);
        }
        command.stdin(OwnedFd::from(self.listener(process))).stdout(Stdio::null());
        command.stderr(File::create(&errors).unwrap());
        let child = command.spawn().unwrap();
        let (line, _) = socket.accept().unwrap();
        let (heard, lines) = channel();
        let read = BufReader::new(line.try_clone().unwrap());
        thread::spawn(move || read.lines().map_while(Result::ok).try_for_each(|line| heard.send(line)));
        Member { process, child, line, lines, said: Vec::new(), errors: File::open(errors).unwrap() }
    }

    /// Starts all, and has each hold at the stages `hold`.
    pub(crate) fn start_all(&self, hold: &str) -> Vec<Member> {
        (0..self.hosts.len()).map(|process| self.start(process, &[("HOLD", hold)])).collect()
    }
}

/// A process. Dropped, it is killed.
pub(crate) struct Member {
    pub(crate) process: usize,
    child: Child,
    line: UnixStream,
    lines: Receiver<String>,
    said: Vec<String>,
    errors: File,
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) said: Vec<String>,
    pub(crate) errors: String,
}

impl Member {
    /// Waits until it says `line`.
    pub(crate) fn says(&mut self, line: &str) {
        let until = Instant::now() + SLACK;
        while !self.said.iter().any(|said| said == line) {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(said) => self.said.push(said),
                Err(error) => panic!("process {} never said {line:?} ({error}), but {:?}", self.process, self.said),
            }
        }
    }

    /// Waits until it has reached `stage`.
    pub(crate) fn at(&mut self, stage: &str) {
        self.says(&format!("stage {stage}"));
    }

    /// Whether it has said `line` up to now.
    pub(crate) fn has_said(&mut self, line: &str) -> bool {
        self.said.extend(self.lines.try_iter());
        self.said.iter().any(|said| said == line)
    }

    /// Lets it go on from the stage at which it holds.
    pub(crate) fn go(&mut self) {
        let _ = self.line.write_all(b"go\n");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until it has ended.
    pub(crate) fn ends(mut self, limit: Duration) -> Outcome {
        let until = Instant::now() + limit;
        // Its line closes when it ends.
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => self.said.push(line),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(_) => panic!("process {} has not ended within {limit:?}: {:?}", self.process, self.said),
            }
        }
        let status = self.child.wait().unwrap();
        let mut errors = String::new();
        self.errors.read_to_string(&mut errors).unwrap();
        Outcome { status, said: std::mem::take(&mut self.said), errors }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Outcome {
    /// The number behind `name`.
    pub(crate) fn number(&self, name: &str) -> u64 {
        let line = self.said.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {self:?}")).parse().unwrap()
    }

    /// It ended well, and without a word.
    pub(crate) fn well(&self) {
        assert!(self.said.iter().any(|line| line == "done") && self.status.success(), "{self:?}");
        assert_eq!(self.errors, "");
    }

    /// It ended with the typed error `kind` about `process`, whose message contains `text`, without any panic's text, and with no
    /// thread left.
    pub(crate) fn failed(&self, kind: &str, process: usize, text: &str) {
        self.failed_and_left(kind, process, text);
        assert!(self.said.iter().any(|line| line.trim_end() == "threads"), "{self:?}");
    }

    /// It ended because some process was lost whose connection has closed: which.
    pub(crate) fn lost(&self) -> usize {
        let error =
            self.said.iter().find_map(|line| line.strip_prefix("error lost ")).unwrap_or_else(|| panic!("{self:?}"));
        let process = error.split_once(':').and_then(|(process, _)| process.parse().ok());
        let process = process.unwrap_or_else(|| panic!("{self:?}"));
        self.failed("lost", process, "connection");
        process
    }

    /// The same, but threads may be left.
    pub(crate) fn failed_and_left(&self, kind: &str, process: usize, text: &str) {
        let start = format!("error {kind} {process}: ");
        let error = self.said.iter().find(|line| line.starts_with("error ")).unwrap_or_else(|| panic!("{self:?}"));
        assert!(error.starts_with(&start) && error.contains(text), "not {start:?} with {text:?}: {self:?}");
        assert_eq!(self.status.code(), Some(3));
        assert!(!self.said.iter().any(|line| line.starts_with("panic")), "{self:?}");
        assert_eq!(self.errors, "");
    }
}
