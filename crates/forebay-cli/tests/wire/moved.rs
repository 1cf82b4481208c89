//! `--remove-source-files`: what has arrived goes from the source, on whichever machine that is.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::harness::{Bench, Did, End, PAIRS, WAYS, Way};
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
