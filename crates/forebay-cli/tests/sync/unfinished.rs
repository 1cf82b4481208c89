//! What is left where writing ends early: by a signal, on a full disk, on a destination that cannot be written.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Bench, FOREBAY, command};
use crate::interrupted::{interrupt, written};
use crate::tree::look;

/// Everything in a directory, by name.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Interrupts a copy of a large file once 64 MiB of it are there in what `grows` finds, and returns the destination.
fn interrupted(bench: &Bench, options: &[&str], grows: impl Fn(&Path) -> Option<Metadata>) -> PathBuf {
    // Of what several write at once, only what has no gap is kept, and that may be nothing yet.
    let options = [&["--workers=1", "--reflink=never"], options].concat();
    let much = |dst: &Path| grows(dst).is_some_and(|file| file.len() >= 64 << 20);
    let (output, dst) = interrupt(bench, "INT", &options, much);
    assert_eq!(output.status.code(), Some(20), "{}", String::from_utf8_lossy(&output.stderr));
    dst
}

fn first_bytes(path: &Path) -> Vec<u8> {
    let mut bytes = [0; 3];
    File::open(path).unwrap().read_exact_at(&mut bytes, 0).unwrap();
    bytes.to_vec()
}

#[test]
fn a_signal_keeps_what_partial_asks_to_keep() {
    let bench = Bench::new();
    let dst = interrupted(&bench, &["--partial"], written);
    assert_eq!(names(&dst), ["large"]);
    assert_eq!(first_bytes(&dst.join("large")), b"new");
    let meta = dst.join("large").metadata().unwrap();
    assert!(meta.len() < 20 << 30, "a part, and no gap in it");
    assert_eq!(meta.modified().unwrap(), std::time::UNIX_EPOCH, "never taken for the source's");
}

#[test]
fn a_signal_keeps_it_in_the_directory_for_that_and_the_old_file_as_it_was() {
    let bench = Bench::new();
    let dst = interrupted(&bench, &["--partial-dir=.part"], written);
    assert_eq!(names(&dst), [".part", "large"]);
    assert_eq!(fs::read(dst.join("large")).unwrap(), b"old");
    assert_eq!(first_bytes(&dst.join(".part/large")), b"new");
}

#[test]
fn a_signal_in_place_leaves_the_users_file() {
    let bench = Bench::new();
    let dst = interrupted(&bench, &["--inplace"], |dst| dst.join("large").metadata().ok());
    assert_eq!(names(&dst), ["large"]);
    assert_eq!(first_bytes(&dst.join("large")), b"new");
}

/// A file system of a megabyte, for as long as this lives.
struct Mounted<'p>(&'p Path);

impl<'p> Mounted<'p> {
    fn new(path: &'p Path) -> Self {
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(path).status().unwrap();
        assert!(status.success(), "cannot mount a small file system");
        Mounted(path)
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_keeps_what_is_asked_for_and_what_was_there() {
    let bench = Bench::new();
    let [place, _] = bench.places();
    fs::write(bench.src().join("large"), vec![7; 3 << 20]).unwrap();
    for (options, left, old) in [
        ("--partial", &["large"][..], None),
        ("--partial-dir=.part", &[".part", "large"], Some("old")),
        ("--preallocate", &["large"], Some("old")),
        ("--no-whole-file", &["large"], Some("old")),
        ("-S", &["large"], Some("old")),
        ("--inplace", &["large"], None),
    ] {
        for program in [&["rsync"][..], &[FOREBAY, "sync"]] {
            let mounted = Mounted::new(&place);
            fs::write(mounted.0.join("large"), "old").unwrap();
            let output = Command::new(program[0])
                .args(&program[1..])
                .args(["-a", options, &format!("{}/", bench.src().display())])
                .arg(mounted.0)
                .output()
                .unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(11), "{program:?} {options}: {errors}");
            assert!(errors.contains("rsync: [receiver] write failed on \""), "{program:?} {options}: {errors}");
            assert_eq!(names(mounted.0), left, "{program:?} {options}");
            let content = fs::read(mounted.0.join("large")).unwrap();
            match old {
                Some(old) => assert_eq!(content, old.as_bytes(), "{program:?} {options}"),
                None => assert!(content.len() > 1000 && content.iter().all(|&b| b == 7), "{program:?} {options}"),
            }
        }
    }
}

#[test]
fn a_file_that_may_not_be_written_is_reported_as_rsync_does() {
    let bench = Bench::new();
    for name in ["ours", "theirs"] {
        fs::write(bench.src().join(name), "new content").unwrap();
    }
    bench.both(|place| {
        fs::create_dir(place.join("dst")).unwrap();
        ["ours", "theirs"].iter().for_each(|name| fs::write(place.join("dst").join(name), "old").unwrap());
        let ours = [place.to_owned(), place.join("dst"), place.join("dst/ours")];
        assert!(command(None, "chown", &["65534:65534"]).args(ours).status().unwrap().success());
    });
    let did = bench.same_as(Some(65534), &["-rti", "--inplace", &format!("{}/", bench.src().display()), "dst"]);
    assert_eq!(did.code, Some(23));
    assert_eq!(fs::read(bench.places()[1].join("dst/theirs")).unwrap(), b"old");
}

/// A directory for partial files that is the one that the files are in is not rid of them.
#[test]
fn files_stay_in_a_partial_dir_that_is_their_own() {
    for dir in ["./", ".//", "./.", "", "e/..", "PLACE/dst", "../dst"] {
        for options in ["-ai", "-ai --existing", "-ai --no-W"] {
            let bench = Bench::new();
            for name in ["a", "b", "e/c"] {
                fs::create_dir_all(bench.src().join("e")).unwrap();
                fs::write(bench.src().join(name), name).unwrap();
            }
            bench.both(|place| {
                fs::create_dir_all(place.join("dst/e/e")).unwrap();
                fs::write(place.join("dst/a"), "older").unwrap();
                fs::write(place.join("dst/e/c"), "older").unwrap();
            });
            let src = format!("{}/", bench.src().display());
            let ends = [("rsync", &[][..]), (FOREBAY, &["sync"])];
            for ((program, first), place) in ends.into_iter().zip(bench.places()) {
                let partial = format!("--partial-dir={}", dir.replace("PLACE", place.to_str().unwrap()));
                let args: Vec<&str> = options.split(' ').chain([&partial[..], &src, "dst"]).collect();
                let output = command(None, program, first).args(&args).current_dir(&place).output().unwrap();
                assert!(output.status.success(), "{args:?} {output:?}");
            }
            let [theirs, ours] = bench.places().map(|place| look(&place.join("dst"), false));
            assert_eq!(ours, theirs, "{dir} {options}");
        }
    }
}
