//! What a client counts, logs and tells as JSON does not depend on which program is at the other end.

use std::fs;
use std::os::unix::fs::symlink;

use crate::harness::{Bench, End, PAIRS, WAYS, Way, finish};
use crate::tree::touch;

/// Something of each kind that is not content alone.
fn bench() -> Bench {
    let bench = Bench::new();
    fs::create_dir(bench.src().join("sub")).unwrap();
    fs::write(bench.src().join("a"), "a").unwrap();
    fs::write(bench.src().join("same"), "same").unwrap();
    fs::write(bench.old().join("same"), "same").unwrap();
    fs::create_dir(bench.old().join("gone")).unwrap();
    fs::write(bench.old().join("gone/file"), "").unwrap();
    symlink("a", bench.src().join("l")).unwrap();
    for path in [bench.src().join("sub"), bench.src(), bench.src().join("same"), bench.old().join("same")] {
        touch(&path, "@1000000000");
    }
    bench
}

#[test]
fn what_is_made_is_counted() {
    let bench = bench();
    for way in WAYS {
        for args in [&["-a", "--stats"][..], &["-a", "--stats", "--delete"], &["-an", "--stats"]] {
            let counts = |pair| {
                bench.prepare("ours");
                let text = String::from_utf8(finish(bench.client(pair, way, args, "ours")).stdout).unwrap();
                let counts = text.lines().filter(|line| line.starts_with("Number of ")).map(str::to_owned);
                counts.collect::<Vec<_>>()
            };
            let expected = counts((End::Stock, End::Stock));
            assert!(expected.iter().any(|line| line == "Number of created files: 3 (reg: 1, dir: 1, link: 1)"));
            for pair in PAIRS {
                assert_eq!(counts(pair), expected, "{pair:?} {way:?} {args:?}");
            }
        }
    }
}

#[test]
fn it_is_told_how_long_the_list_took_if_there_is_one() {
    let bench = bench();
    for way in WAYS {
        for (args, path) in [(&["-a", "--stats"][..], ""), (&["-a", "--stats", "--exclude=a"], "a")] {
            let told = |pair| {
                bench.prepare("ours");
                let output = finish(bench.client_of(pair, way, args, &[path], "ours"));
                let text = String::from_utf8(output.stdout).unwrap();
                text.lines().any(|line| line.starts_with("File list generation time: 0.0"))
            };
            let expected = told((End::Stock, End::Stock));
            assert_eq!(expected, path.is_empty() || way == Way::Push);
            for pair in PAIRS {
                assert_eq!(told(pair), expected, "{pair:?} {way:?} {args:?}");
            }
        }
    }
}

#[test]
fn what_is_changed_is_in_the_log_file() {
    let bench = bench();
    let log = bench.path("log");
    let option = format!("--log-file={}", log.display());
    for way in WAYS {
        for args in [&["-a"][..], &["-a", "--delete"], &["-av"], &["-a", "--log-file-format=%i %n %l"]] {
            let args = [args, &[&option]].concat();
            let lines = |pair| {
                bench.prepare("ours");
                let _ = fs::remove_file(&log);
                finish(bench.client(pair, way, &args, "ours"));
                let text = fs::read_to_string(&log).unwrap();
                // Behind the date, the time and the process.
                let texts = text.lines().filter_map(|line| line.splitn(4, ' ').nth(3));
                let around = ["building ", "receiving ", "sending ", "sent ", "total "];
                let told = texts.filter(|text| !around.iter().any(|start| text.starts_with(start)));
                let mut lines: Vec<_> = told.map(str::to_owned).collect();
                lines.sort();
                lines
            };
            let expected = lines((End::Stock, End::Stock));
            for pair in PAIRS {
                assert_eq!(lines(pair), expected, "{pair:?} {way:?} {args:?}");
            }
        }
    }
}

#[test]
fn what_is_changed_has_objects() {
    let bench = bench();
    for way in WAYS {
        for server in [End::Stock, End::Ours] {
            bench.prepare("ours");
            let output = finish(bench.client((End::Ours, server), way, &["-a", "--json"], "ours"));
            let text = String::from_utf8(output.stdout).unwrap();
            for path in ["a", "l", "sub"] {
                let named = format!("\"path\":\"{path}\"");
                assert!(text.lines().any(|line| line.contains(&named)), "{server:?} {way:?} {path}: {text}");
            }
        }
    }
}
