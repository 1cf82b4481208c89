//! A source file that becomes shorter or longer while it is copied, beside stock rsync.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Bench, Did, FOREBAY, command, did};
use crate::tree::{look, touch};

/// How large the file is, and how much of it is copied in a second.
const SIZE: usize = 4_000_000;
const RATE: &str = "--bwlimit=2m";

/// What happens to the file each time that the copying of it has begun.
type Changes<'c> = &'c [&'c dyn Fn(&File)];

fn cut(to: u64) -> impl Fn(&File) {
    move |file| file.set_len(to).unwrap()
}

/// Bytes that are no others' twice.
fn bytes(len: usize) -> Vec<u8> {
    (0..len as u32 / 4 + 1).flat_map(|n| n.wrapping_mul(0x9e37_79b1).to_le_bytes()).take(len).collect()
}

/// Makes the source anew.
fn prepare(src: &Path) {
    fs::remove_dir_all(src).unwrap();
    fs::create_dir(src).unwrap();
    fs::write(src.join("f"), bytes(SIZE)).unwrap();
    touch(&src.join("f"), "@1400000000");
    touch(src, "@1400000000");
}

/// Runs one program on the source, which changes once something of it is at the destination.
fn run(program: &str, first: &[&str], args: &[&str], (src, place): (&Path, &Path), changes: Changes<'_>) -> Did {
    let child = command(None, program, first)
        .args(args)
        .args([RATE, "../src/", "dst/"])
        .current_dir(place)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let file = File::options().write(true).open(src.join("f")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    // Written to its own name, or to a temporary one, each time another; what was there before has another size.
    let before = 1_000_000;
    let mut seen = Vec::new();
    for change in changes {
        let begun = || {
            let files = fs::read_dir(place.join("dst")).unwrap().filter_map(|entry| {
                let entry = entry.ok()?;
                Some((entry.file_name(), entry.metadata().ok()?.len()))
            });
            // A backup is made before.
            let mut files = files.filter(|(name, _)| name != "f~");
            files.find_map(|(name, size)| (size > 0 && size != before && !seen.contains(&name)).then_some(name))
        };
        let name = loop {
            if let Some(name) = begun() {
                break name;
            }
            assert!(Instant::now() < deadline, "nothing more appears at the destination");
            thread::sleep(Duration::from_millis(5));
        };
        seen.push(name);
        change(&file);
    }
    did(child.wait_with_output(), place)
}

/// Requires that both programs do and leave the same with a source that changes. Returns what they did, and the bench.
fn same(args: &[&str], old: bool, changes: Changes<'_>) -> (Did, Bench) {
    let bench = Bench::new();
    let src = bench.src();
    bench.both(|place| {
        fs::create_dir(place.join("dst")).unwrap();
        if old {
            fs::write(place.join("dst/f"), &bytes(SIZE)[..1_000_000]).unwrap();
            touch(&place.join("dst/f"), "@1300000000");
        }
        touch(&place.join("dst"), "@1400000000");
    });
    let [theirs, ours] = bench.places();
    prepare(&src);
    let expected = run("rsync", &[], args, (&src, &theirs), changes);
    prepare(&src);
    let got = run(FOREBAY, &["sync"], args, (&src, &ours), changes);
    assert_eq!(got, expected, "{args:?}");
    let (mut left, mut right) = (look(&ours, true), look(&theirs, true));
    // What is kept of a file that was never right has the time at which that was found out.
    for tree in [&mut left, &mut right] {
        tree.retain(|path, _| path != ".");
    }
    assert_eq!(left, right, "{args:?}");
    (got, bench)
}

fn each(cases: &[(&[&str], bool)], check: impl Fn(&[&str], bool) + Sync) {
    thread::scope(|scope| {
        for &(args, old) in cases {
            let check = &check;
            scope.spawn(move || check(args, old));
        }
    });
}

#[test]
fn a_file_that_becomes_shorter_is_copied_once_more() {
    let cases: &[(&[&str], bool)] = &[
        (&["-ai"], false),
        (&["-a"], false),
        (&["-av"], true),
        (&["-ai", "--inplace"], false),
        (&["-ai", "--inplace"], true),
        (&["-aiS"], false),
        (&["-ai", "--partial"], false),
        (&["-ai", "--partial-dir=p"], true),
        (&["-aib"], true),
        (&["-aib", "--inplace"], true),
        (&["-aic"], true),
        (&["-ai", "--append"], true),
        (&["-ai", "--append-verify"], true),
        (&["-ai", "--no-whole-file"], true),
        (&["-ai", "--delay-updates"], false),
        (&["-ai", "--preallocate"], false),
        (&["-ai", "--remove-source-files"], false),
    ];
    each(cases, |args, old| {
        let (did, bench) = same(args, old, &[&cut(2_000_000)]);
        assert_eq!(did.code, Some(23), "{args:?}");
        assert!(did.errors.iter().any(|line| line.contains("read errors mapping")), "{args:?}: {:?}", did.errors);
        // The source stays, as it has changed.
        let source = fs::read(bench.src().join("f")).unwrap();
        assert_eq!(source.len(), 2_000_000);
        for place in bench.places() {
            assert!(fs::read(place.join("dst/f")).unwrap() == source, "{args:?}");
        }
    });
}

#[test]
fn a_file_that_becomes_shorter_again_and_again_is_given_up() {
    let cases: &[(&[&str], bool)] = &[(&["-ai"], true), (&["-aq"], false), (&["-aib"], true), (&["-aiS"], false)];
    each(cases, |args, old| {
        let (did, bench) = same(args, old, &[&cut(3_000_000), &cut(500_000)]);
        assert_eq!(did.code, Some(23), "{args:?}");
        let ours = bench.places()[1].join("dst/f");
        assert_eq!(ours.exists(), old, "{args:?}");
        assert!(!old || fs::read(ours).unwrap() == bytes(SIZE)[..1_000_000], "{args:?}");
    });
}

#[test]
fn of_a_file_that_grows_what_it_was_is_copied() {
    let cases: &[(&[&str], bool)] = &[
        (&["-ai"], true),
        (&["-ai", "--inplace"], true),
        (&["-aiS"], false),
        (&["-ai", "--append"], true),
        (&["-ai", "--no-whole-file"], true),
    ];
    each(cases, |args, old| {
        let grow = |file: &File| {
            let mut file = file;
            std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).unwrap();
            file.write_all(b"more").unwrap();
        };
        let (did, bench) = same(args, old, &[&grow]);
        assert_eq!(did.code, Some(0), "{args:?}");
        assert!(fs::read(bench.places()[1].join("dst/f")).unwrap() == bytes(SIZE), "{args:?}");
    });
}

/// Files that say more of their size than can be read of them, and what is not readable at all.
#[test]
fn what_cannot_be_read_on_is_not_copied() {
    let bench = Bench::new();
    let sized = |path: &str| match (fs::metadata(path), fs::read(path)) {
        (Ok(found), Ok(all)) => (all.len() as u64) < found.len(),
        _ => false,
    };
    let path = ["/sys/kernel/notes", "/sys/kernel/uevent_seqnum", "/sys/kernel/mm/transparent_hugepage/enabled"];
    let Some(path) = path.into_iter().find(|path| sized(path)) else { return };
    for args in [
        &["-i"][..],
        &["-iS"],
        &["-i", "--partial"],
        &["-iv", "--inplace"],
        &["-ib", "--partial"],
        &["-ib", "--inplace"],
        &["-i", "--partial-dir=p"],
        &["-i", "--partial-dir=p", "--delay-updates"],
        &["-i", "--delay-updates"],
    ] {
        for old in [false, true] {
            for place in bench.places().into_iter().filter(|_| old) {
                fs::write(place.join("dst"), "what was there").unwrap();
            }
            // What is kept of the file ends here where the source does; stock rsync keeps zeros behind that.
            let [theirs, ours] = bench.did(&[args, &[path, "dst"]].concat());
            assert_eq!(ours, theirs, "{args:?}");
            assert_eq!(ours.code, Some(23), "{args:?}");
            let lost = bench.places().map(|place| {
                let content = |name: &str| fs::read(place.join(name)).unwrap_or_default();
                old && ["dst", "dst~"].iter().all(|name| content(name) != b"what was there")
            });
            assert_eq!(lost[1], lost[0], "{args:?}");
            for place in bench.places() {
                fs::remove_dir_all(&place).unwrap();
                fs::create_dir(&place).unwrap();
            }
        }
    }
}
