//! `--remove-source-files`: what has arrived goes from the source, on whichever machine that is.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::harness::{Bench, Did, End, PAIRS, WAYS, Way, agreed};
use crate::tree::{look, touch};

/// What a run says, what it leaves of the source, and of the destination.
fn moved(bench: &Bench, pair: (End, End), way: Way, args: &[&str], place: &str) -> (Did, Vec<String>, Vec<String>) {
    fs::remove_dir_all(bench.src()).unwrap();
    assert!(Command::new("cp").arg("-a").args([bench.path("whole"), bench.src()]).status().unwrap().success());
    let mut did = bench.run(pair, way, args, place);
    // When something is removed is not bound to what is said of other files.
    if args.contains(&"--info=remove") {
        did.lines.sort();
    }
    let names = |path| look(path, false).into_iter().map(|(name, seen)| format!("{name:?} {seen:?}")).collect();
    (did, names(&bench.src()), names(&bench.path(place)))
}

fn bench() -> Bench {
    let bench = Bench::new();
    let whole = bench.path("whole");
    fs::create_dir_all(whole.join("d/deep")).unwrap();
    fs::create_dir(whole.join("empty")).unwrap();
    for name in ["a", "same", "newer", "d/1", "d/deep/2", "large"] {
        fs::write(whole.join(name), name.repeat(if name == "large" { 30_000 } else { 3 })).unwrap();
        touch(&whole.join(name), "@1000000000");
    }
    symlink("a", whole.join("link")).unwrap();
    assert!(Command::new("mkfifo").arg(whole.join("pipe")).status().unwrap().success());
    fs::hard_link(whole.join("a"), whole.join("d/a2")).unwrap();
    fs::write(bench.old().join("same"), "same".repeat(3)).unwrap();
    touch(&bench.old().join("same"), "@1000000000");
    fs::write(bench.old().join("newer"), "other").unwrap();
    bench
}

#[test]
fn what_has_arrived_goes_and_nothing_else() {
    let bench = bench();
    for way in WAYS {
        for options in [
            "-ai",
            "-ain",
            "-a --info=remove",
            "-aiu",
            "-aiH",
            "-ai --delay-updates",
            "-ai --delete-after",
            "-ai --inplace",
            "-ai --existing",
            "-ai --max-size=100",
            "-a --no-D",
        ] {
            let args: Vec<&str> = options.split(' ').chain(["--remove-source-files"]).collect();
            // Where other names of a file are told varies from run to run.
            let moved = |pair, place| {
                let mut all = moved(&bench, pair, way, &args, place);
                all.0.lines.sort_by_key(|line| line.starts_with("hf"));
                all
            };
            let expected = moved((End::Stock, End::Stock), "stock");
            for pair in PAIRS {
                let got = moved(pair, "ours");
                assert_eq!(got, expected, "{pair:?} {way:?} {args:?}");
            }
            let stays = expected.1.iter().any(|name| name.contains("/large\""));
            assert_eq!(stays, matches!(options, "-ain" | "-ai --existing" | "-ai --max-size=100"), "{options}");
            assert!(expected.1.iter().any(|name| name.contains("/empty\"")), "directories stay");
        }
    }
}

#[test]
fn what_could_not_be_written_stays() {
    let bench = bench();
    // A full directory is in the way.
    fs::create_dir_all(bench.old().join("d/deep/2/full")).unwrap();
    for way in WAYS {
        for pair in PAIRS {
            let (did, left, _) = moved(&bench, pair, way, &["-a", "--remove-source-files"], "ours");
            assert_eq!(did.code, Some(23), "{did:?}");
            let files = left.iter().filter(|name| name.contains("kind: \"file\"")).count();
            assert!(files == 1 && left.iter().any(|name| name.contains("d/deep/2\"")), "{pair:?} {way:?}: {left:?}");
        }
    }
}

/// What a link to a directory leads to is copied and stays where it is.
#[test]
fn what_links_lead_to_is_not_removed() {
    let bench = bench();
    let whole = bench.path("whole");
    fs::rename(whole.join("d"), bench.path("elsewhere")).unwrap();
    symlink("../elsewhere", whole.join("dirl")).unwrap();
    symlink("../elsewhere/1", whole.join("filel")).unwrap();
    for way in WAYS {
        for options in ["-aL", "-ak", "-a --copy-unsafe-links", "-aL --no-inc-recursive"] {
            let args: Vec<&str> = options.split(' ').chain(["--remove-source-files"]).collect();
            let run = |pair| moved(&bench, pair, way, &args, "ours");
            let (did, ..) = agreed(run, &(way, &args));
            assert!(did.errors.iter().any(|line| line.contains("failed to secure-open-parent dirl/1")), "{did:?}");
            assert!(bench.path("elsewhere/1").exists());
        }
    }
}

#[test]
fn all_names_of_a_file_go_whenever_its_content_comes() {
    let bench = Bench::new();
    let whole = bench.path("whole");
    for dir in ["a", "c", "z"] {
        fs::create_dir_all(whole.join(dir)).unwrap();
    }
    // Content comes for the first name of one file and for the last of the other.
    for (name, other, text) in [("top", "c/top", "top"), ("z/h", "a/h", "h")] {
        fs::write(whole.join(name), text.repeat(100)).unwrap();
        touch(&whole.join(name), "@1000000000");
        fs::hard_link(whole.join(name), whole.join(other)).unwrap();
    }
    fs::write(whole.join("a/g"), "g".repeat(30_000)).unwrap();
    assert!(Command::new("cp").arg("-a").arg(whole.join(".")).arg(bench.old()).status().unwrap().success());
    for name in ["top", "z/h"] {
        fs::write(bench.old().join(name), "changed").unwrap();
    }
    for way in WAYS {
        // Which list is done with when is a matter of chance.
        for _ in 0..4 {
            let moved = |pair| moved(&bench, pair, way, &["-aH", "--remove-source-files"], "ours");
            let (did, left, _) = agreed(moved, &way);
            assert_eq!(did.code, Some(0), "{did:?}");
            assert!(left.iter().all(|name| !name.contains("kind: \"file\"")), "{left:?}");
        }
    }
}
