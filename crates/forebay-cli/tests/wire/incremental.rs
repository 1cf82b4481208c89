//! A list for each directory, whoever sends.

use std::fs;
use std::process::Command;

use crate::harness::{Bench, End, WAYS, Way, finish};

/// More directories and files than are listed ahead.
fn bench() -> Bench {
    let bench = Bench::new();
    for d in 0..40 {
        let dir = bench.src().join(format!("d{d}/sub"));
        fs::create_dir_all(&dir).unwrap();
        (0..40).for_each(|f| fs::write(dir.join(format!("f{f}")), format!("{d} {f}")).unwrap());
    }
    fs::create_dir_all(bench.src().join("empty/in/empty")).unwrap();
    fs::create_dir_all(bench.old().join("d7/sub/extra")).unwrap();
    fs::write(bench.old().join("d9"), "in the way").unwrap();
    bench
}

#[test]
fn more_than_is_listed_ahead_arrives_and_then_nothing_is_to_be_done() {
    let bench = bench();
    for way in WAYS {
        let did = bench.same(way, &["-ai", "--delete"]);
        assert!(did.lines.len() > 40 * 41, "{} lines", did.lines.len());
        for pair in [(End::Ours, End::Stock), (End::Stock, End::Ours)] {
            bench.run(pair, way, &["-a"], "ours");
            // Nothing is asked for: only ends of lists tell how far the other side is.
            let output = finish(bench.client(pair, way, &["-ai"], "ours"));
            let lines = String::from_utf8(output.stdout).unwrap();
            assert_eq!((output.status.code(), &lines[..]), (Some(0), ""), "{pair:?} {way:?}");
        }
    }
}

#[test]
fn paths_from_the_root_are_called_so_where_they_are_sent_from() {
    let bench = bench();
    let source = bench.src().join("d3");
    let said = |client: End, args: &[&str]| {
        bench.prepare("place");
        let mut command = match client {
            End::Stock => Command::new("rsync"),
            End::Ours => Command::new(crate::harness::FOREBAY),
        };
        if client == End::Ours {
            command.arg("sync");
        }
        command.args(args).arg("-e").arg(bench.path("rsh")).arg(&source);
        let output = finish({
            command.arg(format!("host:{}/", bench.path("place").display()));
            command
        });
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for args in [&["-aiR"][..], &["-aR", "--out-format=%n"]] {
        let lines = said(End::Ours, args);
        assert_eq!(lines, said(End::Stock, args));
        assert!(lines.contains(" /") || lines.starts_with('/'), "{lines}");
    }
}

#[test]
fn a_push_says_where_it_spills_to_and_how_long_its_list_took() {
    let bench = bench();
    bench.prepare("ours");
    let dir = bench.path("spill");
    fs::create_dir(&dir).unwrap();
    let spill = format!("--spill-dir={}", dir.display());
    for way in [Way::Push, Way::Pull] {
        let output = finish(bench.client((End::Ours, End::Stock), way, &["-a", "--stats", &spill], "ours"));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(&format!("forebay: spill directory {}", dir.display())), "{text}");
        assert!(text.contains("\nFile list generation time: 0.") && !text.contains("generation time: 0.000"), "{text}");
    }
}
