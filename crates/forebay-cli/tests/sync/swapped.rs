//! Directories of the destination that become symbolic links while a mirror writes into them: nothing outside changes.
//! Somebody else's process swaps them again and again, for as long as the run takes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::harness::{Bench, FOREBAY, command};

/// What is swapped: a directory, and a file.
const NAMES: [&str; 2] = ["sub", "f"];

/// What the swapping process and the test know of each other.
#[derive(Default)]
struct Swaps {
    /// Which of the names is swapped.
    which: AtomicUsize,
    done: AtomicU64,
    over: AtomicBool,
}

/// Puts a link to what is `outside` in the place of the name in `dir`, and what was there back again, as fast as that goes, until
/// it is over.
fn swap(dir: &Path, aside: &Path, outside: &Path, swaps: &Swaps) {
    let is_link = |path: &Path| path.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
    while !swaps.over.load(Ordering::Relaxed) {
        let name = NAMES[swaps.which.load(Ordering::Relaxed)];
        let (path, link) = (dir.join(name), aside.join(name));
        // A mirror may have taken it away.
        if !is_link(&path) && !is_link(&link) {
            let _ = fs::remove_dir_all(&link).or_else(|_| fs::remove_file(&link));
            // Where what is there is still written to, the next time has more luck.
            let _ = symlink(outside.join(name), &link);
        }
        for _ in 0..20 {
            // What is being replaced just now is not there.
            let swapped = renameat_with(CWD, &path, CWD, &link, RenameFlags::EXCHANGE).is_ok();
            swaps.done.fetch_add(u64::from(swapped), Ordering::Relaxed);
        }
    }
}

/// Everything beneath `dir`: what it is and whose, when it has changed, and what is in it.
fn look(dir: &Path) -> BTreeMap<PathBuf, String> {
    let (mut seen, mut paths) = (BTreeMap::new(), vec![dir.to_owned()]);
    while let Some(path) = paths.pop() {
        let meta = path.symlink_metadata().unwrap();
        let content = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        // Whatever is done to an entry, its time of change tells.
        let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
        let attributes = Command::new("getfattr").args(["-h", "-d", "-m", "-"]).arg(&path).output().unwrap().stdout;
        let text = format!("{:o} {} {} {times:?} {content:?} {attributes:?}", meta.mode(), meta.uid(), meta.nlink());
        if meta.is_dir() {
            paths.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        seen.insert(path, text);
    }
    seen
}

/// Sets it when dropped.
struct Ends<'e>(&'e AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn what_becomes_a_link_while_it_is_written_to_leads_nowhere() {
    let bench = Bench::new();
    let src = bench.src();
    let [place, ours] = bench.places();
    let (outside, aside, dir) = (place.join("outside"), place.join("aside"), ours.join("dst/dir"));
    for path in [&src.join("dir"), &outside, &aside, &dir.join("sub")] {
        fs::create_dir_all(path).unwrap();
    }
    fs::write(src.join("dir/f"), "new ".repeat(5000)).unwrap();
    fs::write(outside.join("f"), "old").unwrap();
    let sub = src.join("dir/sub");
    fs::create_dir_all(sub.join("deep")).unwrap();
    for file in ["1", "2", "deep/1"] {
        let path = sub.join(file);
        fs::write(&path, "new ".repeat(5000)).unwrap();
        assert!(Command::new("setfattr").args(["-n", "user.new", "-v", "1"]).arg(&path).status().unwrap().success());
        std::os::unix::fs::chown(&path, Some(5), Some(6)).unwrap();
    }
    fs::hard_link(sub.join("1"), sub.join("deep/linked")).unwrap();
    symlink("1", sub.join("link")).unwrap();
    fs::create_dir_all(outside.join("sub/deep/more")).unwrap();
    for file in ["1", "extra", "deep/1", "deep/extra", "deep/more/x"] {
        fs::write(outside.join("sub").join(file), "old").unwrap();
    }
    fs::write(src.join("dir/other"), "new").unwrap();
    let before = look(&outside);
    let swaps = Swaps::default();
    thread::scope(|scope| {
        scope.spawn(|| swap(&dir, &aside, &outside, &swaps));
        // Also when the test fails.
        let _ends = Ends(&swaps.over);
        for options in [
            "-I",
            "-I --inplace",
            "-I -b",
            "-I -b --backup-dir=bk",
            "-IH",
            "-IX",
            "-I --delete",
            "-I --delete-after",
            "-I --delete-delay",
            "-I --delay-updates",
            "-I --partial-dir=.p",
            "-I -T .",
            "-I -K",
            "-I -K --delete",
            "-I --no-W",
            "-I --fake-super",
            "-I --append --no-t",
            "-I --delete --force --sparse",
            "-I --copy-dest=bk",
            "-c --chmod=F600,D711",
            "-IR",
            "--delete -d --no-r",
        ] {
            for round in 0..12 {
                swaps.which.store(round / 9, Ordering::Relaxed);
                let seen = swaps.done.load(Ordering::Relaxed);
                let mut run = command(None, FOREBAY, &["sync", "-a"]);
                run.args(options.split(' ')).arg(format!("{}/./", src.display())).arg("dst").current_dir(&ours);
                let output = run.output().unwrap();
                let text = String::from_utf8_lossy(&output.stderr);
                // Names that come and go are no more than that; a directory of the options that is none ends the run.
                assert!(matches!(output.status.code(), Some(0 | 3 | 11 | 23 | 24)), "{options}: {text}");
                assert_eq!(look(&outside), before, "{options}: {text}");
                while swaps.done.load(Ordering::Relaxed) == seen {
                    thread::yield_now();
                }
            }
        }
    });
    assert!(dir.join("other").exists());
}
