//! `--stats`, `-v` and `--info=progress2`: rsync's lines with rsync's numbers, where they mean the same.

use std::process::Command;

use crate::harness::{Bench, FOREBAY, copy};
use crate::tree::{Rng, change, fill};

/// The lines of a `--stats` block that do not depend on a wire.
fn comparable(output: &str) -> Vec<&str> {
    let same =
        ["Number of ", "Total file size", "Total transferred file size", "Literal data", "Matched data", "total size"];
    output
        .lines()
        .filter(|line| same.iter().any(|start| line.starts_with(start)))
        .map(|line| line.split("  speedup").next().unwrap())
        .collect()
}

#[test]
fn the_numbers_are_rsyncs() {
    for seed in 0..15 {
        let mut rng = Rng::new(seed);
        let bench = Bench::new();
        fill(&mut rng, &bench.src(), 3);
        bench.both(|place| {
            copy(&bench.src(), &place.join("dst"));
            change(&mut rng, &place.join("dst"), 2);
        });
        let [theirs, ours] = bench.places();
        let src = format!("{}/", bench.src().display());
        for options in [&["-an", "--delete"][..], &["-a"], &["-a", "--delete"], &["-a", "--delete"]] {
            let run = |program: &str, first: &[&str], place| {
                let output = Command::new(program)
                    .args(first)
                    .args(options)
                    .args(["--stats", &src, "dst"])
                    .current_dir(place)
                    .output()
                    .unwrap();
                String::from_utf8(output.stdout).unwrap()
            };
            let (expected, got) = (run("rsync", &[], &theirs), run(FOREBAY, &["sync"], &ours));
            assert_eq!(comparable(&got), comparable(&expected), "seed {seed}, {options:?}");
            assert_eq!(got.lines().filter(|line| line.starts_with("forebay: ")).count(), 6, "{got}");
        }
    }
}

#[test]
fn progress_ends_with_everything_checked() {
    let bench = Bench::new();
    fill(&mut Rng::new(9), &bench.src(), 2);
    let output = Command::new(FOREBAY)
        .args(["sync", "-a", "--info=progress2"])
        .arg(format!("{}/", bench.src().display()))
        .arg(bench.places()[1].join("dst"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let last = text.trim_end_matches('\n').rsplit('\r').next().unwrap();
    assert!(last.contains(" 100% ") && last.contains("(xfr#") && last.contains("to-chk=0/"), "{text:?}");
}
