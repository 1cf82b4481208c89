//! `--progress` over a connection: how far a file is, and how many entries are left.

use std::fs;
use std::process::Command;

use crate::harness::{Bench, End, PAIRS, WAYS, finish, noise};

/// What a client prints.
fn said(client: Command) -> String {
    let output = finish(client);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A tree in which one file takes long.
fn bench() -> Bench {
    let bench = Bench::new();
    let src = bench.src();
    fs::create_dir(src.join("d")).unwrap();
    fs::write(src.join("a"), "a").unwrap();
    fs::write(src.join("large"), noise(LARGE as usize)).unwrap();
    fs::write(src.join("d/z"), "z").unwrap();
    bench
}

const LARGE: u32 = 6_000_000;

/// Without what is a matter of moments: how far a file was when it was told of, how fast it came, how long that took.
fn lines(text: &str, counts: bool) -> Vec<String> {
    let record = |line: &str| {
        let words: Vec<&str> = line.rsplit('\r').next().unwrap().split_whitespace().collect();
        let [bytes, percent, rate, time, transferred, left] = words[..] else { panic!("{line:?}") };
        assert!(rate.ends_with("B/s") && time.matches(':').count() == 2, "{line:?}");
        format!("{bytes} {percent} {transferred}{}", if counts { left } else { "" })
    };
    let line = |line: &str| if line.starts_with('\r') { record(line) } else { line.to_owned() };
    let summary = |line: &&str| {
        !["sent ", "total size", "receiving ", "sending ", "building "].iter().any(|s| line.starts_with(s))
    };
    text.split('\n').filter(summary).map(line).collect()
}

/// How long a file took, as its last record says.
fn seconds(record: &str) -> u32 {
    let time = record.split_whitespace().nth(3).unwrap();
    time.rsplit(':').next().unwrap().parse().unwrap()
}

/// How many bytes of the large file were told of on its way, with the percentage of `size`.
fn on_its_way(text: &str, size: u64) -> Vec<u64> {
    let mut told = Vec::new();
    for update in text.split(['\r', '\n']).filter(|update| update.contains("% ") && !update.contains("xfr#")) {
        let words: Vec<&str> = update.split_whitespace().collect();
        let bytes = words[0].replace(',', "").parse::<u64>().unwrap();
        if (10_000..u64::from(LARGE)).contains(&bytes) {
            assert_eq!(words[1], format!("{}%", bytes * 100 / size), "{update:?}");
            assert!(update.ends_with("  ") && !update.ends_with("   "), "{update:?}");
            told.push(bytes);
        }
    }
    told
}

#[test]
fn a_file_is_told_of_while_it_comes() {
    let bench = bench();
    for (args, counts) in [
        (&["-aPz", "--bwlimit=3500"][..], false),
        (&["-aPi", "--bwlimit=3500", "--no-inc-recursive", "--info=flist0"], true),
        // What tells of the content comes behind it.
        (&["-aP", "--bwlimit=3500", "--out-format=%n %b %C"], false),
    ] {
        for way in WAYS {
            bench.prepare("stock");
            let stock = said(bench.client((End::Stock, End::Stock), way, args, "stock"));
            assert!(!on_its_way(&stock, LARGE.into()).is_empty(), "{stock}");
            for pair in PAIRS {
                bench.prepare("ours");
                let ours = said(bench.client(pair, way, args, "ours"));
                assert_eq!(lines(&ours, counts), lines(&stock, counts), "{pair:?}, {way:?} with {args:?}");
                let told = on_its_way(&ours, LARGE.into());
                assert!(!told.is_empty() && told.is_sorted(), "{pair:?}, {way:?} with {args:?}: {ours}");
                let took: Vec<_> = ours.split(['\r', '\n']).filter(|end| end.contains("xfr#")).map(seconds).collect();
                assert!(matches!(took[..], [0, 1..=3, 0]), "{pair:?}, {way:?} with {args:?}: {ours}");
            }
        }
    }
}

#[test]
fn a_file_that_is_there_in_part_is_told_of_as_a_whole() {
    let bench = bench();
    let mut old = fs::read(bench.src().join("large")).unwrap();
    old.truncate(LARGE as usize / 2);
    fs::write(bench.old().join("large"), old).unwrap();
    for args in [&["-aP", "--append", "--bwlimit=1500"][..], &["-aP", "--no-whole-file", "--bwlimit=1500"]] {
        for way in WAYS {
            for pair in PAIRS {
                // How far it is when it is told of is chance: where others keep the processors busy, perhaps never far enough.
                let told = || {
                    bench.prepare("ours");
                    on_its_way(&said(bench.client(pair, way, args, "ours")), LARGE.into())
                };
                let after = u64::from(LARGE) / 2;
                let far = (0..5).any(|_| told().iter().any(|&bytes| bytes > after));
                assert!(far, "{pair:?}, {way:?} with {args:?}");
            }
        }
    }
}

/// What shows progress ends before anything else is said: a name is a line of its own.
#[test]
fn names_stand_apart_from_how_far_the_whole_is() {
    let bench = bench();
    let args = ["-ai", "--info=progress2", "--bwlimit=2500"];
    let names = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with('\r') && !line.is_empty()).map(str::to_owned).collect()
    };
    for way in WAYS {
        bench.prepare("stock");
        let stock = said(bench.client((End::Stock, End::Stock), way, &args, "stock"));
        for pair in PAIRS {
            bench.prepare("ours");
            let ours = said(bench.client(pair, way, &args, "ours"));
            assert_eq!(names(&ours), names(&stock), "{pair:?}, {way:?}: {ours}");
            assert!(!on_its_way(&ours, u64::from(LARGE) + 2).is_empty(), "{pair:?}, {way:?}: {ours}");
        }
    }
}

#[test]
fn the_whole_is_told_of_in_bytes() {
    let bench = bench();
    let args = ["-a", "--info=progress2", "--bwlimit=2500"];
    let last = |text: &str| {
        let end = text.trim_end().rsplit('\r').next().unwrap().to_owned();
        let words: Vec<&str> = end.split_whitespace().collect();
        let [bytes, percent, _, _, transferred, left] = words[..] else { panic!("{end:?}") };
        [bytes, percent, transferred, left].map(str::to_owned)
    };
    for way in WAYS {
        bench.prepare("stock");
        let stock = last(&said(bench.client((End::Stock, End::Stock), way, &args, "stock")));
        for pair in PAIRS {
            bench.prepare("ours");
            let ours = said(bench.client(pair, way, &args, "ours"));
            assert_eq!(last(&ours), stock, "{pair:?}, {way:?}: {ours}");
            let told = on_its_way(&ours, u64::from(LARGE) + 2);
            assert!(!told.is_empty() && told.is_sorted(), "{pair:?}, {way:?}: {ours}");
        }
    }
}
