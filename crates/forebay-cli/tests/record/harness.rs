//! Runs the program with frames on its standard input.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The program under test.
pub(crate) const FOREBAY: &str = env!("CARGO_BIN_EXE_forebay");

/// Longer than anything takes that does not hang.
pub(crate) const LONG: Duration = Duration::from_secs(100);

/// A directory for an array and what goes into it.
pub(crate) struct Bench(TempDir);

/// What the program did.
#[derive(Debug)]
pub(crate) struct Did {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Did {
    /// What it did, if it went well.
    pub(crate) fn well(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.err);
        self
    }

    /// Its last line on standard error, if it failed with `code`.
    pub(crate) fn failed(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{}", self.err);
        self.err.lines().last().unwrap()
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Bench(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.path("out.zarr")
    }

    /// `forebay record ARGS out.zarr`, in this directory.
    pub(crate) fn command(&self, args: &str) -> Command {
        self.command_to(args, "out.zarr")
    }

    /// The same, with the array elsewhere.
    pub(crate) fn command_to(&self, args: &str, out: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(FOREBAY);
        command.arg("record").args(args.split_whitespace()).arg(out).current_dir(self.0.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it with `input` on standard input, to its end.
    pub(crate) fn record(&self, args: &str, input: &[u8]) -> Did {
        feed(self.command(args), input)
    }
}

/// Runs `command` to its end with `input` on standard input.
pub(crate) fn feed(mut command: Command, input: &[u8]) -> Did {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // A program that has seen enough closes the pipe.
        scope.spawn(move || drop(stdin.write_all(input)));
        end(child)
    })
}

/// Waits for the end, and kills what does not come to one.
pub(crate) fn end(mut child: Child) -> Did {
    let read = |pipe: Option<&mut dyn Read>| {
        let mut text = String::new();
        pipe.map(|pipe| pipe.read_to_string(&mut text));
        text
    };
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        let out = scope.spawn(move || read(out.as_mut().map(|pipe| pipe as &mut dyn Read)));
        let err = scope.spawn(move || read(err.as_mut().map(|pipe| pipe as &mut dyn Read)));
        let deadline = Instant::now() + LONG;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                panic!("the program does not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Did { code: status.code(), out: out.join().unwrap(), err: err.join().unwrap() }
    })
}

/// A program that is being fed.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) stdin: ChildStdin,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        Running { child, stdin }
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

/// Waits until `done`.
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !done() {
        assert!(Instant::now() < deadline, "{what}: never");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Frames `from..to` of `bytes` bytes each; each has its number in it and compresses a little.
pub(crate) fn frames(from: u64, to: u64, bytes: usize) -> Vec<u8> {
    let mut all = Vec::new();
    for frame in from..to {
        let mut state = frame.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let start = all.len();
        all.extend(frame.to_le_bytes());
        while all.len() < start + bytes {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            all.push((state >> 35) as u8 & 0x3f);
        }
        all.truncate(start + bytes);
    }
    all
}

/// The number before `word` in the statistics.
pub(crate) fn number(stats: &str, word: &str) -> u64 {
    let line = stats.lines().find(|line| line.starts_with("forebay: ") && line.contains(word)).expect(word);
    let before = line[..line.find(word).unwrap()].trim_end();
    let digits = before.rsplit([' ', ';']).next().unwrap().replace(',', "");
    digits.parse().unwrap_or_else(|_| panic!("{word}: {line}"))
}

/// Whether we may mount file systems.
pub(crate) fn is_root() -> bool {
    String::from_utf8(Command::new("id").arg("-u").output().unwrap().stdout).unwrap().trim() == "0"
}

/// The names in a directory, sorted.
pub(crate) fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
