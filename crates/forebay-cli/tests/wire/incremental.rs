//! A list for each directory, whoever sends.

use std::fs;
use std::process::Command;

use crate::harness::{Bench, End, PAIRS, WAYS, Way, agreed, finish};
use crate::tree::look;

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

/// What of a run of our client with `args` says how many lists came.
fn lists(bench: &Bench, args: &[&str]) -> String {
    let args = [args, &["--stats"]].concat();
    let output = finish(bench.client((End::Ours, End::Stock), Way::Pull, &args, "ours"));
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find(|line| line.ends_with(" file lists received")).unwrap().to_owned()
}

#[test]
fn names_of_one_file_are_found_in_lists_that_come_one_by_one() {
    let bench = bench();
    let src = bench.src();
    // In one list, in two that are near, in two that are far from each other, and in all.
    for (from, to) in [("d0/sub/f0", "d0/sub/g0"), ("d1/sub/f0", "d2/sub/g0"), ("d0/sub/f1", "d39/sub/g1")] {
        fs::hard_link(src.join(from), src.join(to)).unwrap();
    }
    (0..40).for_each(|d| fs::hard_link(src.join("d7/sub/f7"), src.join(format!("d{d}/all"))).unwrap());
    // One is there and up to date, of another an old one.
    fs::create_dir_all(bench.old().join("d39/sub")).unwrap();
    let copied = Command::new("cp").arg("-p").arg(src.join("d39/sub/g1")).arg(bench.old().join("d39/sub/g1")).status();
    assert!(copied.unwrap().success());
    fs::write(bench.old().join("d7/sub/f7"), "old").unwrap();
    for way in WAYS {
        for more in [&[][..], &["--delete-delay"], &["-n"], &["--link-dest=../src"], &["-c", "--no-whole-file"]] {
            let args = [&["-aHi"][..], more].concat();
            for pair in [(End::Ours, End::Stock), (End::Stock, End::Ours), (End::Ours, End::Ours)] {
                let did = bench.run(pair, way, &args, "ours");
                assert_eq!((did.code, &did.errors[..]), (Some(0), &[][..]), "{pair:?} {way:?} {args:?}");
                if more != ["-n"] {
                    let (left, right) = (look(&bench.path("ours"), true), look(&src, true));
                    for (path, entry) in &right {
                        assert_eq!(left.get(path), Some(entry), "{pair:?} {way:?} {args:?} {path:?}");
                    }
                }
            }
        }
    }
    bench.prepare("ours");
    assert_eq!(lists(&bench, &["-aH"]), "forebay: 84 file lists received");
}

#[test]
fn who_leads_the_names_of_a_file_is_what_stock_rsync_finds_in_a_small_tree() {
    let bench = Bench::new();
    let src = bench.src();
    for dir in ["a/b", "c"] {
        fs::create_dir_all(src.join(dir)).unwrap();
    }
    for (first, others) in [("r1", &["r0", "a/h1", "a/b/h2", "c/h3"][..]), ("a/m1", &["c/m2", "c/m3", "a/m0"])] {
        fs::write(src.join(first), first).unwrap();
        others.iter().for_each(|other| fs::hard_link(src.join(first), src.join(other)).unwrap());
    }
    for there in [&[][..], &["c/h3", "c/m2"], &["a/h1"], &["r1", "a/m0"]] {
        for path in there {
            fs::create_dir_all(bench.old().join(path).parent().unwrap()).unwrap();
            assert!(
                Command::new("cp")
                    .arg("-p")
                    .arg(src.join(path))
                    .arg(bench.old().join(path))
                    .status()
                    .unwrap()
                    .success()
            );
        }
        for way in WAYS {
            let sorted = |pair| {
                let mut did = bench.run(pair, way, &["-aHi"], "ours");
                did.lines.sort();
                did
            };
            agreed(sorted, &(way, there));
        }
    }
}

#[test]
fn what_is_deleted_late_is_remembered_while_lists_come_one_by_one() {
    let bench = bench();
    (0..30).for_each(|n| fs::write(bench.old().join(format!("d7/sub/extra/{n}")), "").unwrap());
    fs::create_dir_all(bench.old().join("gone/deep")).unwrap();
    fs::write(bench.old().join("d7/.rules"), "P kept\n").unwrap();
    fs::write(bench.old().join("d7/sub/kept"), "").unwrap();
    for way in WAYS {
        for more in [&[][..], &["--max-delete=3"], &["-n"], &["-b"], &["--filter=: .rules"]] {
            bench.same(way, &[&["-ai", "--delete-delay"][..], more].concat());
        }
    }
    bench.prepare("ours");
    assert_eq!(lists(&bench, &["-a", "--delete-delay"]), "forebay: 84 file lists received");
    assert!(!bench.path("ours/gone").exists());
}

#[test]
fn a_listing_of_what_comes_list_by_list_is_stock_rsyncs() {
    let bench = bench();
    let list = |client, server: End, args: &[&str]| {
        let mut command = match client {
            End::Stock => Command::new("rsync"),
            End::Ours => Command::new(crate::harness::FOREBAY),
        };
        command.args((client == End::Ours).then_some("sync")).args(args).arg("-e").arg(bench.path("rsh"));
        if server == End::Ours {
            command.arg(format!("--rsync-path={} sync", crate::harness::FOREBAY));
        }
        let output = finish({
            command.arg(format!("host:{}/", bench.src().display()));
            command
        });
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for args in [&["-r"][..], &["-aH", "--list-only"], &["-rv"], &["-d"]] {
        let lines = |text: String| -> Vec<String> {
            text.lines()
                .filter(|line| !line.starts_with("sent ") && !line.starts_with("total size "))
                .map(str::to_owned)
                .collect()
        };
        let expected = lines(list(End::Stock, End::Stock, args));
        for (client, server) in PAIRS {
            assert_eq!(lines(list(client, server, args)), expected, "{client:?} {server:?} {args:?}");
        }
    }
    let text = list(End::Ours, End::Stock, &["-r", "--stats"]);
    assert!(text.contains("forebay: 84 file lists received\n"), "{text}");
}
