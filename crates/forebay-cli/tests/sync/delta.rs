//! `--no-whole-file`: what matched is counted as rsync counts it, and a large file is searched by several threads.

use std::fs;
use std::process::Command;

use crate::harness::{Bench, FOREBAY};
use crate::tree::Rng;

/// The number behind `label` in a block of statistics.
fn number(stats: &str, label: &str) -> u64 {
    let line = stats.lines().find(|line| line.starts_with(label)).unwrap_or_else(|| panic!("no {label} in {stats}"));
    let digits: String = line[label.len()..].chars().filter(|c| c.is_ascii_digit()).collect();
    digits.parse().unwrap()
}

/// Runs one of the programs in its place and returns what it said.
fn run(bench: &Bench, which: usize, options: &[&str]) -> String {
    let mut command = Command::new(["rsync", FOREBAY][which]);
    if which == 1 {
        command.args(["sync", "--workers=2"]);
    }
    let src = format!("{}/", bench.src().display());
    let output = command.args(options).args(["--stats", &src, "dst"]).current_dir(&bench.places()[which]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn matched_and_literal_bytes_are_rsyncs_within_a_tenth() {
    let mut rng = Rng::new(7);
    for options in [&["-a", "--no-whole-file"][..], &["-a", "--no-W", "--inplace"], &["-a", "--no-W", "-B", "4096"]] {
        let bench = Bench::new();
        let old: Vec<u8> = (0..24 << 20).map(|_| rng.below(256) as u8).collect();
        let mut new = old.clone();
        for _ in 0..60 {
            let at = rng.below(new.len() as u64 - 100) as usize;
            match rng.below(3) {
                0 => new[at..at + 50].fill(1),
                1 => drop(new.splice(at..at, [2; 30])),
                _ => drop(new.drain(at..at + 20)),
            }
        }
        fs::write(bench.src().join("large"), &new).unwrap();
        bench.both(|place| {
            fs::create_dir(place.join("dst")).unwrap();
            fs::write(place.join("dst/large"), &old).unwrap();
        });
        let (theirs, ours) = (run(&bench, 0, options), run(&bench, 1, options));
        assert!(fs::read(bench.places()[1].join("dst/large")).unwrap() == new, "{options:?}");
        let matched = [&theirs, &ours].map(|stats| number(stats, "Matched data: "));
        let literal = [&theirs, &ours].map(|stats| number(stats, "Literal data: "));
        assert!(matched[1] > 0 && matched[1].abs_diff(matched[0]) * 10 <= matched[0], "{options:?}: {matched:?}");
        assert!(literal[1].abs_diff(literal[0]) * 10 <= literal[0].max(1 << 20), "{options:?}: {literal:?}");
        assert!(ours.contains("forebay: 1 files built from what was there, each by 2.0 workers"), "{ours}");
    }
}

#[test]
fn a_partial_file_and_another_tree_give_blocks() {
    let bench = Bench::new();
    let content: Vec<u8> = (0..200_000u32).flat_map(u32::to_be_bytes).collect();
    fs::write(bench.src().join("resumed"), &content).unwrap();
    fs::write(bench.src().join("elsewhere"), &content).unwrap();
    bench.both(|place| {
        fs::create_dir_all(place.join("dst/.part")).unwrap();
        fs::create_dir(place.join("alt")).unwrap();
        fs::write(place.join("dst/.part/resumed"), &content[..500_000]).unwrap();
        fs::write(place.join("alt/elsewhere"), &content[..600_000]).unwrap();
    });
    let options = ["-a", "--no-W", "--partial-dir=.part", "--copy-dest=../alt"];
    let (theirs, ours) = (run(&bench, 0, &options), run(&bench, 1, &options));
    assert_eq!(number(&ours, "Matched data: "), number(&theirs, "Matched data: "));
    assert!(!bench.places()[1].join("dst/.part").exists());
    assert!(fs::read(bench.places()[1].join("dst/resumed")).unwrap() == content);
}

#[test]
fn a_file_that_is_like_it_gives_blocks() {
    let content: Vec<u8> = (0..100_000u32).flat_map(u32::to_be_bytes).collect();
    for (options, old, other) in [
        (&["-a", "-y", "--no-W"][..], "dst/file-1.0.txt", "dst/zzz.bin"),
        (&["-a", "-y", "--no-W"], "dst/renamed", "dst/file-1.1.tx"),
        (&["-a", "-yy", "--no-W", "--compare-dest=../alt"], "alt/file-1.0.txt", "dst/zzz.bin"),
    ] {
        let bench = Bench::new();
        fs::write(bench.src().join("file-1.1.txt"), &content).unwrap();
        crate::tree::touch(&bench.src().join("file-1.1.txt"), "@1000000000");
        bench.both(|place| {
            ["dst", "alt"].iter().for_each(|dir| fs::create_dir(place.join(dir)).unwrap());
            fs::write(place.join(old), &content).unwrap();
            fs::write(place.join(other), [7; 5000]).unwrap();
            if old == "dst/renamed" {
                // Its time tells, where its name does not.
                crate::tree::touch(&place.join(old), "@1000000000");
            }
        });
        let (theirs, ours) = (run(&bench, 0, options), run(&bench, 1, options));
        assert_eq!(number(&ours, "Matched data: "), content.len() as u64, "{options:?}");
        assert_eq!(number(&theirs, "Matched data: "), content.len() as u64, "{options:?}");
    }
}
