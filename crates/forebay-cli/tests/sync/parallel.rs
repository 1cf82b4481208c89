//! More than one worker works, and the lines come in the same order all the same.

use std::fs;
use std::process::Command;

use crate::harness::{Bench, FOREBAY};

/// The number before `word` in the engine's line of the statistics.
fn number(stats: &str, word: &str) -> u64 {
    let line = stats.lines().find(|line| line.starts_with("forebay: ") && line.contains(word)).unwrap();
    let before = &line[..line.find(word).unwrap()];
    before.split([' ', ',', ':']).rfind(|part| !part.is_empty()).unwrap().parse().unwrap()
}

#[test]
fn four_workers_say_what_one_says() {
    let bench = Bench::new();
    for dir in 0..50 {
        let dir = bench.src().join(format!("dir{dir}/sub"));
        fs::create_dir_all(&dir).unwrap();
        (0..100).for_each(|file| fs::write(dir.join(format!("file{file}")), vec![1; file * 100]).unwrap());
    }
    let run = |workers: &str, dst: &str| {
        let output = Command::new(FOREBAY)
            .args(["sync", "-ai", "--stats", workers])
            .arg(bench.src())
            .arg(bench.places()[0].join(dst))
            .output()
            .unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let (lines, stats) = text.split_once("\n\n").unwrap();
        let (_, lines) = lines.split_once('\n').unwrap();
        (lines.to_owned(), stats.to_owned())
    };
    let (one, _) = run("--workers=1", "one");
    let (four, stats) = run("--workers=4", "four");
    assert_eq!(one, four);
    assert_eq!(number(&stats, " workers"), 4, "{stats}");
    assert!(number(&stats, " used") >= 2, "{stats}");
    // And as rsync: `one` and `four` are in the way there.
    fs::remove_dir_all(bench.places()[0].join("one")).unwrap();
    fs::remove_dir_all(bench.places()[0].join("four")).unwrap();
    bench.same(&["-ai", &bench.src().display().to_string(), "dst"]);
}

#[test]
fn deleting_does_not_take_what_others_are_writing() {
    const OLD: usize = 1500;
    const NEW: usize = 300;
    for _ in 0..3 {
        let bench = Bench::new();
        (0..NEW).for_each(|i| fs::write(bench.src().join(format!("new{i}")), "text").unwrap());
        let dst = bench.places()[1].join("dst");
        fs::create_dir(&dst).unwrap();
        (0..OLD).for_each(|i| fs::hard_link(bench.src().join("new0"), dst.join(format!("old{i}"))).unwrap());
        let output = Command::new(FOREBAY)
            .args(["sync", "-ai", "--delete", "--workers=8"])
            .arg(format!("{}/", bench.src().display()))
            .arg(&dst)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let text = String::from_utf8(output.stdout).unwrap();
        let deleted: Vec<&str> = text.lines().filter(|line| line.starts_with("*deleting")).collect();
        assert_eq!(deleted.len(), OLD);
        assert!(deleted.iter().all(|line| line.starts_with("*deleting   old")));
        assert_eq!(fs::read_dir(&dst).unwrap().count(), NEW);
    }
}
