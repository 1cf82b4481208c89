//! Runs the program and stock rsync on equal trees and compares what comes of it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::tree::look;
pub(crate) use crate::tree::rounds;

/// The program under test.
pub(crate) const FOREBAY: &str = env!("CARGO_BIN_EXE_forebay");

/// A source, and two places for what comes of it.
pub(crate) struct Bench {
    dir: TempDir,
}

/// What one program did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Did {
    pub(crate) code: Option<i32>,
    /// Lines on standard output but those below.
    pub(crate) lines: Vec<String>,
    /// Lines about deletions, whose place among the others is free.
    pub(crate) deletions: Vec<String>,
    /// Lines that stock rsync's processes print at once and in no order; sorted.
    pub(crate) skipped: Vec<String>,
    /// Lines on standard error, sorted, up to what names the program.
    pub(crate) errors: Vec<String>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let mut dir = tempfile::tempdir().unwrap();
        // For whoever wants to see what is left.
        dir.disable_cleanup(std::env::var_os("FOREBAY_KEEP").is_some());
        // Others must be able to enter.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for sub in ["src", "rsync", "forebay"] {
            fs::create_dir(dir.path().join(sub)).unwrap();
        }
        Bench { dir }
    }

    pub(crate) fn src(&self) -> PathBuf {
        self.dir.path().join("src")
    }

    /// Where each program runs; its destinations are relative to that.
    pub(crate) fn places(&self) -> [PathBuf; 2] {
        ["rsync", "forebay"].map(|place| self.dir.path().join(place))
    }

    /// Puts the same into both places.
    pub(crate) fn both(&self, prepare: impl FnOnce(&Path)) {
        let [theirs, ours] = self.places();
        prepare(&theirs);
        fs::remove_dir(&ours).unwrap();
        copy(&theirs, &ours);
    }

    /// Runs both with `args` and requires that they do and leave the same. Returns what they did.
    pub(crate) fn same(&self, args: &[impl AsRef<OsStr>]) -> Did {
        self.same_as(None, args)
    }

    /// What both do with `args`, stock rsync first.
    pub(crate) fn did(&self, args: &[impl AsRef<OsStr>]) -> [Did; 2] {
        self.did_as(None, args)
    }

    /// As [`did`](Bench::did), as another user.
    pub(crate) fn did_as(&self, user: Option<u32>, args: &[impl AsRef<OsStr>]) -> [Did; 2] {
        let [theirs, ours] = self.places();
        [
            did(command(user, "rsync", &[]).args(args).current_dir(&theirs).output(), &theirs),
            did(command(user, FOREBAY, &["sync"]).args(args).current_dir(&ours).output(), &ours),
        ]
    }

    /// As [`same`](Bench::same), as another user.
    pub(crate) fn same_as(&self, user: Option<u32>, args: &[impl AsRef<OsStr>]) -> Did {
        let args: Vec<OsString> = args.iter().map(|arg| arg.as_ref().to_owned()).collect();
        let [theirs, ours] = self.places();
        let [mut did_theirs, mut got] = self.did_as(user, &args);
        if keeps_links(&args)
            || args
                .iter()
                .any(|arg| arg == "-avv" || arg == "-aivv" || arg == "--append-verify" || arg == "--info=name2")
        {
            // Here stock rsync prints what only gets new attributes ahead of what is transferred, and names of one file
            // in an order that differs from run to run.
            got.lines.sort();
            did_theirs.lines.sort();
        }
        if got != did_theirs {
            let all = |did: &Did| [&did.lines[..], &did.deletions, &did.skipped, &did.errors].concat();
            let (ours, theirs) = (all(&got), all(&did_theirs));
            let only = |a: &[String], b: &[String]| -> Vec<String> {
                a.iter().filter(|line| !b.contains(line)).cloned().collect()
            };
            panic!(
                "{args:?} in {}\nexit code {:?}, rsync's {:?}\nonly forebay: {:#?}\nonly rsync: {:#?}\norder: {:?}",
                self.dir.path().display(),
                got.code,
                did_theirs.code,
                only(&ours, &theirs),
                only(&theirs, &ours),
                ours.iter().zip(&theirs).find(|(a, b)| a != b),
            );
        }
        let times = args.iter().any(|arg| {
            let arg = arg.to_string_lossy();
            !arg.starts_with("--") && arg.starts_with('-') && arg.contains(['a', 't'])
        }) && args.iter().all(|arg| arg != "--no-t");
        let (expected, got) = (look(&theirs, times), look(&ours, times));
        for (path, entry) in &expected {
            if path != "." {
                assert_eq!(got.get(path), Some(entry), "{args:?}: {path:?}: forebay is left");
            }
        }
        let more: Vec<_> = got.keys().filter(|path| !expected.contains_key(*path)).collect();
        assert!(more.is_empty(), "{args:?}: forebay left more: {more:?}");
        did_theirs
    }
}

/// Gives `dir` a time that is not the test's: what is set "now" would be equal by chance.
pub(crate) fn clear_of_dates(dir: &Path) {
    crate::tree::touch(dir, "@1300000000.5");
}

/// Whether `-H` is among the options, alone or with other letters.
pub(crate) fn keeps_links(args: &[impl AsRef<OsStr>]) -> bool {
    let mut args = args.iter().filter_map(|arg| arg.as_ref().to_str());
    args.any(|arg| arg.starts_with('-') && !arg.starts_with("--") && !arg.starts_with("-M") && arg.contains('H'))
}

/// Copies a tree with everything that is compared.
pub(crate) fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// A command line, as root's or another user's.
pub(crate) fn command(user: Option<u32>, program: &str, first: &[&str]) -> Command {
    let mut command = match user {
        Some(user) => {
            let mut command = Command::new("setpriv");
            command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups", program]);
            command
        }
        None => Command::new(program),
    };
    command.args(first).env("LC_ALL", "C.UTF-8");
    command
}

/// Beginnings of lines of sums that may differ: how much a wire would have carried, how long it took, our own.
const NUMBERS: &[&str] =
    &["sent ", "total size is ", "File list ", "Total bytes sent", "Total bytes received", "forebay: "];

pub(crate) fn did(output: std::io::Result<Output>, place: &Path) -> Did {
    let output = output.expect("is rsync installed? The tests compare with it");
    let place = place.to_str().unwrap();
    let mut did = Did {
        code: output.status.code(),
        lines: Vec::new(),
        deletions: Vec::new(),
        skipped: Vec::new(),
        errors: Vec::new(),
    };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let to = if line.starts_with("*deleting")
            || line.starts_with("del.|")
            || line.starts_with("deleting ")
            || line.starts_with("cannot delete")
        {
            &mut did.deletions
        } else if [
            "sender removed ",
            // Said when the receiving side has told of it, whatever has been sent by then.
            "sender file already removed: ",
            "skipping ",
            "not creating new ",
            "IO error ",
            "delta-transmission ",
            "backed up ",
            "not backing up ",
            "copying unsafe symlink ",
            "ignoring unsafe symlink ",
            "[sender] ",
            "[generator] ",
        ]
        .iter()
        .any(|start| line.starts_with(start))
            || [" is uptodate", " is newer", " exists", " is over max-size", " is under min-size"]
                .iter()
                .any(|end| line.ends_with(end))
        {
            &mut did.skipped
        } else if line == "done" {
            // As with rsync, other lines may come before the end of this one.
            continue;
        } else if NUMBERS.iter().any(|start| line.starts_with(start)) {
            continue;
        } else {
            &mut did.lines
        };
        to.push(
            line.strip_suffix("building file list ... done").map_or(line, |_| "building file list ... ").to_owned(),
        );
    }
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        // An empty line ends the one that has been begun on standard output.
        if line.is_empty() || line.starts_with("default_perms_for_dir: ") {
            continue;
        }
        // Said where an owner is looked at that stock rsync does not follow links of, and of no consequence.
        if line.starts_with("refusing to follow a symlink owned by an untrusted user") {
            continue;
        }
        // Stock rsync's receiving side does not know the locale.
        let line = line.replace(place, "PLACE").replace('ä', "\\#303\\#244");
        let line = line.split_once(" at ").map_or(&line[..], |(text, _)| text);
        did.errors.push(without_random_name(line));
    }
    did.skipped.sort();
    did.errors.sort();
    did
}

/// Errors of `mkstemp` and `rename` name a random file.
fn without_random_name(line: &str) -> String {
    if let Some((path, to)) = line.split_once("\" -> \"").filter(|_| line.contains("[receiver] rename")) {
        return format!("{}XXXXXX\" -> \"{to}", &path[..path.len() - 6]);
    }
    match line.split_once("\" failed: ") {
        Some((path, reason)) if line.contains("mkstemp") => {
            format!("{}XXXXXX\" failed: {reason}", &path[..path.len() - 6])
        }
        _ => line.to_owned(),
    }
}
