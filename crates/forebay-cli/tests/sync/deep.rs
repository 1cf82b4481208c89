//! A tree that has more levels than there may be open files.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};

use crate::harness::{Bench, FOREBAY, command};

const LEVELS: usize = 1_500;

/// Goes down from `top` as long as `each` says so.
fn down(top: &Path, mut each: impl FnMut(usize, rustix::fd::BorrowedFd<'_>) -> bool) {
    let enter = |at: rustix::fd::BorrowedFd<'_>, name: &str| {
        rustix::fs::openat(at, name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap()
    };
    let mut dir = enter(CWD, top.to_str().unwrap());
    for level in 0.. {
        if !each(level, dir.as_fd()) {
            return;
        }
        dir = enter(dir.as_fd(), "d");
    }
}

/// Makes the tree at `top`: a file on each level, and another name of some at the end of it.
fn make(top: &Path) {
    down(top, |level, dir| {
        let flags = OFlags::WRONLY | OFlags::CREATE;
        let file = rustix::fs::openat(dir, "f", flags, Mode::from(0o644)).unwrap();
        rustix::io::write(&file, level.to_string().as_bytes()).unwrap();
        if level % 100 == 50 {
            rustix::fs::linkat(dir, "f", dir, "linked", rustix::fs::AtFlags::empty()).unwrap();
        }
        if level < LEVELS {
            rustix::fs::mkdirat(dir, "d", Mode::from(0o755)).unwrap();
        }
        level < LEVELS
    });
}

/// What is on each level: names and how many each has, and the time.
fn look(top: &Path) -> Vec<(Vec<(String, u64)>, i64)> {
    let mut levels = Vec::new();
    down(top, |_, dir| {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(dir).unwrap() {
            let name = entry.unwrap().file_name().to_str().unwrap().to_owned();
            let stat = rustix::fs::statat(dir, &*name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
            let is_file = name == "f" || name == "linked";
            names.push((name, if is_file { stat.st_nlink as u64 } else { 0 }));
        }
        names.sort();
        let goes_on = names.iter().any(|(name, _)| name == "d");
        levels.push((names, rustix::fs::fstat(dir).unwrap().st_mtime));
        goes_on
    });
    levels
}

#[test]
fn few_open_files_are_enough_for_many_levels() {
    let bench = Bench::new();
    let src = bench.src();
    make(&src);
    let [_, place] = bench.places();
    let run = |args: &str| {
        let args = args.replace("SRC", src.to_str().unwrap());
        let line = format!("ulimit -n 1024; exec {FOREBAY} sync {args}");
        let output = command(None, "sh", &["-c", &line]).current_dir(&place).output().unwrap();
        assert!(output.status.success(), "{args}: {:?} {}", output.status, String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let whole = look(&src);
    assert_eq!(whole.len(), LEVELS + 1);
    // What is beneath another place.
    let last = vec!["d"; LEVELS - 10].join("/");
    fs::create_dir(place.join("none")).unwrap();
    for options in ["-aH", "-aHX --delete --fake-super --delay-updates --no-W --workers=1"] {
        run(&format!("{options} SRC/ dst"));
        assert_eq!(look(&place.join("dst")), whole, "{options}");
        assert_eq!(run(&format!("{options} -i SRC/ dst")), "", "{options}");
        run("-aH --link-dest=../dst SRC/ other");
        assert_eq!(look(&place.join("other")).len(), whole.len(), "{options}");
        run(&format!("-aR SRC/./{last}/ relative"));
        assert_eq!(look(&place.join("relative")).len(), whole.len(), "{options}");
        run("-a --delete none/ dst");
        run("-a --delete-after -b --backup-dir=../kept none/ other");
        run("-a --delete-delay none/ relative");
        for gone in ["dst", "other", "relative"] {
            assert_eq!(look(&place.join(gone)).len(), 1, "{options} {gone}");
        }
        assert_eq!(look(&place.join("kept")).len(), whole.len(), "{options}");
        run("-a --delete none/ kept");
    }
}
