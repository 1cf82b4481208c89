//! Runs a client and a server of either program over pipes.

use std::ffi::OsString;
use std::fmt::Debug;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::tree::look;

/// The program under test.
pub(crate) const FOREBAY: &str = env!("CARGO_BIN_EXE_forebay");

/// Who is at one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Stock,
    Ours,
}

use End::{Ours, Stock};

/// Client and server, with at least one of them ours.
pub(crate) const PAIRS: [(End, End); 3] = [(Ours, Stock), (Stock, Ours), (Ours, Ours)];

/// As a remote shell does, it gives its words to a shell over there, and its own exit code is that of the command.
pub(crate) const SHELL: &str = "shift\nexec sh -c \"$*\"\n";

/// Which way the files go, as the client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Pull,
    Push,
}

pub(crate) const WAYS: [Way; 2] = [Way::Pull, Way::Push];

/// What a run did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Did {
    pub(crate) code: Option<i32>,
    /// Lines on standard output but the sums at the end, and those about deletions.
    pub(crate) lines: Vec<String>,
    /// Lines about deletions, whose place among the others is free.
    pub(crate) deletions: Vec<String>,
    /// Lines on standard error, up to what names the program, sorted.
    pub(crate) errors: Vec<String>,
}

/// A source, what the destination has of it before, and a remote shell that stays on this machine.
pub(crate) struct Bench {
    dir: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for sub in ["src", "old"] {
            fs::create_dir(dir.path().join(sub)).unwrap();
        }
        let bench = Bench { dir };
        bench.script("rsh", SHELL);
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn src(&self) -> PathBuf {
        self.path("src")
    }

    /// What each destination is a copy of before a run.
    pub(crate) fn old(&self) -> PathBuf {
        self.path("old")
    }

    /// Makes a program of a shell script.
    pub(crate) fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// A client of `pair` that is to run with `args` between the source and the destination `place`.
    pub(crate) fn client(&self, pair: (End, End), way: Way, args: &[&str], place: &str) -> Command {
        self.client_of(pair, way, args, &[""], place)
    }

    /// As [`client`](Bench::client), between what `sources` are in the source and the destination.
    pub(crate) fn client_of(
        &self,
        pair: (End, End),
        way: Way,
        args: &[&str],
        sources: &[&str],
        place: &str,
    ) -> Command {
        let (client, server) = pair;
        let mut command = match client {
            Stock => Command::new("rsync"),
            Ours => Command::new(FOREBAY),
        };
        if client == Ours {
            command.arg("sync");
        }
        command.args(args).arg("-e").arg(self.path("rsh"));
        if server == Ours {
            command.arg(format!("--rsync-path={FOREBAY} sync"));
        }
        let dst = format!("{}/", self.path(place).display());
        let src = sources.iter().map(|source| format!("{}/{source}", self.src().display()));
        match way {
            Way::Pull => command.args(src.map(|src| format!("host:{src}"))).arg(dst),
            Way::Push => command.args(src).arg(format!("host:{dst}")),
        };
        command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        command
    }

    /// Makes the destination `place` as it is to be before a run.
    pub(crate) fn prepare(&self, place: &str) {
        let path = self.path(place);
        if path.exists() {
            fs::remove_dir_all(&path).unwrap();
        }
        assert!(Command::new("cp").arg("-a").arg(self.old()).arg(&path).status().unwrap().success());
    }

    /// Runs a client, into a destination that was prepared.
    pub(crate) fn run(&self, pair: (End, End), way: Way, args: &[&str], place: &str) -> Did {
        self.run_of(pair, way, args, &[""], place)
    }

    fn run_of(&self, pair: (End, End), way: Way, args: &[&str], sources: &[&str], place: &str) -> Did {
        self.prepare(place);
        did(finish(self.client_of(pair, way, args, sources, place)), &self.path(place))
    }

    /// Requires of every pair that it does and leaves what stock rsync with itself does and leaves.
    pub(crate) fn same(&self, way: Way, args: &[&str]) -> Did {
        self.same_of(way, args, &[""])
    }

    /// As [`same`](Bench::same), where what each side says of itself comes between the lines of the other.
    pub(crate) fn same_lines(&self, way: Way, args: &[&str]) -> Did {
        let sorted = |pair| {
            let mut did = self.run(pair, way, args, "ours");
            did.lines.sort();
            (did, look(&self.path("ours"), true))
        };
        agreed(sorted, &(way, args)).0
    }

    /// As [`same`](Bench::same), of what `sources` are in the source.
    pub(crate) fn same_of(&self, way: Way, args: &[&str], sources: &[&str]) -> Did {
        let expected = self.run_of((Stock, Stock), way, args, sources, "stock");
        for pair in PAIRS {
            let got = self.run_of(pair, way, args, sources, "ours");
            assert_eq!(got, expected, "{pair:?}, {way:?} with {args:?}");
            let (left, right) = (look(&self.path("ours"), true), look(&self.path("stock"), true));
            for (path, entry) in &right {
                assert_eq!(left.get(path), Some(entry), "{pair:?}, {way:?} with {args:?} leaves {path:?}");
            }
            assert_eq!(left.len(), right.len(), "{pair:?}, {way:?} with {args:?} leaves more");
        }
        expected
    }
}

/// What comes of `run` with stock rsync at both ends, and with every other pair as well. `with` says what it was run with.
pub(crate) fn agreed<T: PartialEq + Debug>(run: impl Fn((End, End)) -> T, with: &dyn Debug) -> T {
    let expected = run((Stock, Stock));
    for pair in PAIRS {
        assert_eq!(run(pair), expected, "{pair:?} {with:?}");
    }
    expected
}

/// Bytes that are like no others, nor like each other.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 11) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Runs `command`, but not for ever.
pub(crate) fn finish(command: Command) -> Output {
    let mut bounded = Command::new("timeout");
    bounded.args(["-s", "KILL", "120"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bounded.env(name, value),
            None => bounded.env_remove(name),
        };
    }
    bounded.stdin(Stdio::null()).output().expect("is rsync installed? The tests compare with it")
}

fn did(output: Output, place: &Path) -> Did {
    let mut did = Did { code: output.status.code(), lines: Vec::new(), deletions: Vec::new(), errors: Vec::new() };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let summary = ["sent ", "total size is ", "receiving ", "sending ", "building "];
        if ["*deleting", "deleting ", "cannot delete "].iter().any(|start| line.starts_with(start)) {
            did.deletions.push(line.to_owned());
        } else if !summary.iter().any(|start| line.starts_with(start)) {
            did.lines.push(line.to_owned());
        }
    }
    let place = place.to_str().unwrap();
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        // Stock rsync may still have something to say to a side that has gone.
        if line.ends_with("write error: Broken pipe (32)") {
            continue;
        }
        // Stock rsync's receiving side does not know the locale.
        let line = line.replace(place, "PLACE").replace('ä', "\\#303\\#244");
        did.errors.push(line.split_once(" at ").map_or(&line[..], |(text, _)| text).to_owned());
    }
    did.deletions.sort();
    did.errors.sort();
    did
}

/// The arguments as the operating system has them, for messages.
pub(crate) fn shown(command: &Command) -> Vec<OsString> {
    command.get_args().map(ToOwned::to_owned).collect()
}
