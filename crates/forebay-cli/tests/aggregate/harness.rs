//! Runs the program with rows on its standard input.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The program under test.
const FOREBAY: &str = env!("CARGO_BIN_EXE_forebay");

/// Longer than anything takes that does not hang.
pub(crate) const LONG: Duration = Duration::from_secs(100);

/// A directory for files.
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

    /// Its lines on standard output, sorted but for the first.
    pub(crate) fn sorted(&self) -> Vec<&str> {
        let mut lines: Vec<_> = self.out.lines().collect();
        lines[1..].sort_unstable();
        lines
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Bench(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file of this text.
    pub(crate) fn file(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// `forebay aggregate ARGS`, in this directory.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(FOREBAY);
        command.arg("aggregate").args(args).current_dir(self.0.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end. `args` are separated by spaces.
    pub(crate) fn run(&self, args: &str) -> Did {
        end(self.command(&args.split_whitespace().collect::<Vec<_>>()).spawn().unwrap())
    }

    /// Runs it with `input` on standard input, to its end.
    pub(crate) fn feed(&self, args: &str, input: &str) -> Did {
        let mut command = self.command(&args.split_whitespace().collect::<Vec<_>>());
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            // A program that has seen enough closes the pipe.
            scope.spawn(move || drop(stdin.write_all(input.as_bytes())));
            end(child)
        })
    }

    /// The names of what is here, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        names(self.0.path())
    }
}

pub(crate) fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
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

/// Waits until `done`.
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !done() {
        assert!(Instant::now() < deadline, "{what}: never");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The number before `word` in the statistics.
pub(crate) fn number(stats: &str, word: &str) -> u64 {
    let line = stats.lines().find(|line| line.starts_with("forebay: ") && line.contains(word)).expect(word);
    let before = line[..line.find(word).unwrap()].trim_end();
    let digits = before.rsplit([' ', ';']).next().unwrap().replace(',', "");
    digits.parse().unwrap_or_else(|_| panic!("{word}: {line}"))
}
