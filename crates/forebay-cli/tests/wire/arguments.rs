//! What is told to the program on the other side, and how.

use std::fs;
use std::process::Command;

use crate::harness::{Bench, End, FOREBAY, PAIRS, WAYS, Way, finish};

/// The command line that a client of `program` gives to its remote shell.
fn told(bench: &Bench, program: End, way: Way, args: &[&str]) -> String {
    bench.script("rsh", &format!("shift\necho \"$*\" >{}\n", bench.path("told").display()));
    bench.prepare("ours");
    finish(bench.client((program, End::Stock), way, args, "ours"));
    fs::read_to_string(bench.path("told")).unwrap()
}

#[test]
fn what_the_other_side_is_to_do_is_told_in_stock_rsyncs_words() {
    let bench = Bench::new();
    fs::write(bench.path("list"), "a\n").unwrap();
    let list = format!("--files-from={}", bench.path("list").display());
    let remote_list = format!("--files-from=:{}", bench.path("list").display());
    for way in WAYS {
        for args in [
            &["-ai"][..],
            &["-a", "--remove-source-files"],
            &["-aXAH", "--numeric-ids"],
            &["-a", &list],
            &["-ar", &list, "--no-relative"],
            &["-a", &remote_list, "-0"],
            &["-ai", "-M--fsync", "-M", "-X", "--remote-option=--suffix=a b"],
            &["-a", "--bwlimit=100"],
            &["-a", "--bwlimit=1.5m"],
            &["-a", "--bwlimit=600b"],
            &["-a", "--usermap=0:1,2:x", "--groupmap=*:5"],
            &["-a", "--chown=a:b"],
        ] {
            // Letters for lists of single directories are a matter of each side.
            let [stock, ours] = [End::Stock, End::Ours].map(|end| {
                let words = told(&bench, end, way, args).replace("e.iLsf", "e.Lsf");
                let (before, after) = words.trim().split_once(" . ").unwrap();
                let mut words: Vec<_> = before.split(" -").map(|word| word.trim().to_owned()).collect();
                // Each says in its own way that it has nothing to say.
                words.retain(|word| word != "-log-format=X");
                words.sort();
                (words, after.to_owned())
            });
            assert_eq!(ours, stock, "{way:?} {args:?}");
        }
    }
}

#[test]
fn arguments_need_not_pass_the_other_sides_shell() {
    let bench = Bench::new();
    fs::create_dir(bench.src().join("a b'$(x)")).unwrap();
    fs::write(bench.src().join("a b'$(x)/file"), "file").unwrap();
    for way in WAYS {
        for args in [&["-ais"][..], &["-ai", "--secluded-args", "--backup-dir=b $x", "-M--fsync"], &["-ai", "--no-s"]] {
            bench.same(way, args);
        }
    }
    // The shell sees what begins the arguments, and no paths.
    for program in [End::Stock, End::Ours] {
        let words = told(&bench, program, Way::Pull, &["-as"]);
        assert!(
            words.starts_with("rsync --server --sender -slogDtpr") && !words.contains("src"),
            "{program:?} {words}"
        );
    }
}

#[test]
fn the_program_expands_wildcards_that_no_shell_has_seen() {
    let bench = Bench::new();
    for name in ["d1/x", "d2/x", ".hidden", "w*", "wx", "one"] {
        fs::create_dir_all(bench.src().join(name).parent().unwrap()).unwrap();
        fs::write(bench.src().join(name), name).unwrap();
    }
    for path in ["*", "w*", "w\\*", "d?/x", "[d]1", "none*", "one"] {
        let mut all = Vec::new();
        for (client, server) in [(End::Stock, End::Stock)].into_iter().chain(PAIRS) {
            bench.prepare("ours");
            let mut command = Command::new(if client == End::Ours { FOREBAY } else { "rsync" });
            command.args((client == End::Ours).then_some("sync")).args(["-ais", "-e"]).arg(bench.path("rsh"));
            if server == End::Ours {
                command.arg(format!("--rsync-path={FOREBAY} sync"));
            }
            command
                .arg(format!("host:{}/{path}", bench.src().display()))
                .arg(bench.path("ours"))
                .env("LC_ALL", "C.UTF-8");
            let output = finish(command);
            all.push((output.status.code(), String::from_utf8(output.stdout).unwrap()));
        }
        assert!(all.iter().all(|one| *one == all[0]), "{path}: {all:?}");
    }
}

#[test]
fn who_sends_keeps_to_the_limit() {
    let bench = Bench::new();
    // What one step of the limit does not hold.
    fs::write(bench.src().join("file"), vec![7; 60_000]).unwrap();
    for way in WAYS {
        for pair in PAIRS {
            let begun = std::time::Instant::now();
            let did = bench.run(pair, way, &["-aW", "--bwlimit=50"], "ours");
            assert_eq!(did.code, Some(0), "{did:?}");
            assert!(begun.elapsed().as_millis() >= 900, "{pair:?} {way:?}: {:?}", begun.elapsed());
        }
    }
}
