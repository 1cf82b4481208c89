//! What sources and destinations mean: slashes, names, several sources, one file, what is missing.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::harness::{Bench, FOREBAY, command, did};
use crate::tree::{look, touch};

/// Two sources with names in common, and some places to copy to.
fn bench() -> Bench {
    let bench = Bench::new();
    let src = bench.src();
    for dir in ["x/d/deep", "y/d", "y/g", "empty", "only"] {
        fs::create_dir_all(src.join(dir)).unwrap();
    }
    for file in ["x/f", "y/f", "y/e", "x/g", "x/d/1", "y/d/1", "y/d/2", "y/g/5", "only/skipped"] {
        fs::write(src.join(file), file).unwrap();
        touch(&src.join(file), "@1000000000.25");
    }
    symlink("x/f", src.join("link")).unwrap();
    symlink("x", src.join("dirlink")).unwrap();
    // Whatever is made at the destination has another time.
    for dir in ["x/d/deep", "x/d", "x", "y/d", "y/g", "y", "empty", "only", "."] {
        touch(&src.join(dir), "@1000000000.25");
    }
    bench.both(|place| {
        fs::create_dir_all(place.join("dir/x")).unwrap();
        fs::create_dir_all(place.join("dir/f")).unwrap();
        fs::write(place.join("file"), "old").unwrap();
        symlink("nowhere", place.join("dangling")).unwrap();
    });
    bench
}

#[test]
fn where_nothing_is_to_be_copied_destinations_mean_what_they_mean_to_rsync() {
    for options in [
        "-av",
        "-avv --backup-dir=../bak",
        "-avv --backup-dir=x",
        "-avv --backup-dir=x --no-i-r",
        "-anvv --backup-dir=../bak",
        "-av -T ../none",
        "-av --link-dest=../none --compare-dest=x",
        "-a --mkpath",
        "-av --mkpath",
        "-anv --mkpath",
    ] {
        for destination in ["dir", "new", "new/", "dir/new", "no/new", "no/new/", "file", "file/"] {
            let bench = bench();
            let source = format!("{}/x/", bench.src().display());
            let args: Vec<&str> = options.split(' ').chain(["--no-r", &source, destination]).collect();
            eprintln!("{args:?}");
            bench.same(&args);
        }
    }
}

#[test]
fn sources_and_destinations_mean_what_they_mean_to_rsync() {
    for args in [
        "-ai x new",
        "-ai x/ new",
        "-ai x/. new",
        "-ai x new/",
        "-av x/ new/",
        "-ai x y/ new",
        "-ai x/ y/ new",
        "-ai y/ x/ new",
        "-ai y x new",
        "-ai x/f y/f new",
        "-ai x/f new",
        "-ai x/f new/",
        "-ai x/f dir",
        "-ai x/f dir/x",
        "-ai x/f file",
        "-ai x/f file/",
        "-ai x/ file",
        "-ai x file",
        "-ai x/f x/g file",
        "-ai empty file",
        "-ai empty new",
        "-ai empty/ new",
        "-ai empty/ new/",
        "-av empty/ empty/ new",
        "-avn empty/ empty/ new",
        "-av --existing empty/ empty/ new",
        "-avR empty/./ empty/./ new",
        "-av --exclude=* x/ y/ new",
        "-ai empty new/",
        "-ai empty dir",
        "-ai empty no/new",
        "-ai empty/ no/new",
        "-ai x no/new",
        "-ai x/f no/new",
        "-ai none new",
        "-ai none/ new",
        "-ai none x new",
        "-ai --delete none x/ dir",
        "-i x x/f new",
        "-i x/ new",
        "-i x dir",
        "-ai link new",
        "-i link new",
        "-ai dirlink new",
        "-ai dirlink/ new",
        "-ai x/f/ new",
        "-ain x new",
        "-ain x/ y new/",
        "-ain x/f new",
        "-ain x/f no/new",
        "-ain x no/new",
        "-aivn empty new",
        "-aiq x new",
        "-ai x/../y new",
        "-ai x/.. new",
        "-ai --exclude=skipped only new",
        "-ai --exclude=skipped only/ new",
        "-ai --exclude=x x y new",
        "-ai --exclude=/x/f x x/f new",
        "-ai x//f x//d new",
        "-ai --delete x/ y/ dir",
        "-ai --delete x y dir",
        "-aivv --delete --exclude=f x/ dir",
        "-riu x/ y/ dir",
        "-ai --delete x/f dir",
        "-ai --mkpath x no/new",
        "-ai --mkpath x/ no/ne/w",
        "-ai --mkpath x/f new",
        "-ai --mkpath x/f file/",
        "-ai --mkpath x/f file/new",
        "-ai --mkpath x/f file/no/new",
        "-ain --mkpath x/f file/",
        "-ain --mkpath x/ file/new",
        "-ain --mkpath x/f file/no/new",
        "-ai --mkpath x/ dangling/",
        "-ai --mkpath x/f dangling/new",
        "-ai --mkpath x/ dangling/new",
        "-ai --mkpath x/f no/new",
        "-ai --mkpath x/f no/ne/w/",
        "-av --mkpath x/f y/e no/new",
        "-ain --mkpath x no/new",
        "-ain --mkpath x/f no/new",
        "-ain --mkpath x/ no/new/",
        "-a --mkpath x no/new",
        "-ai --mkpath empty no/new",
        "-ai --mkpath empty/ no/new",
        "-ai --mkpath x/f dir",
        "-ai --mkpath x/f dir/x/new",
        "-ai --mkpath --no-mkpath x/f no/new",
        "-i --old-dirs x new",
        "-i --old-d x/ new",
        "-ai --old-dirs --delete x/ dir",
        "-i --old-dirs --no-d x/ new",
        "-av --old-dirs x/ y new",
        "-avv --old-dirs --no-r x/ new",
        "-av --old-dirs -d x/ new",
        "-avv -d --old-dirs --include=/d/1 x/ new",
        "-a --old-dirs -v --list-only x",
        "-ai -T file x new",
        "-ai -T ../file x/ dir",
        "-ain -T ../file/x x/ dir",
        "-ai --backup-dir=../file x/ dir",
        "-aib --backup-dir=../file/x x/ dir",
        "-av --files-from=none x new",
        "-ai --block-size= x new",
        "-ai --max-size= x new",
        "-ai --min-size= x new",
        "-ai --max-alloc= x new",
        "-ai --exclude-from= x new",
        "-ai --include-from= --exclude=f x new",
        "-ai --exclude-from=dir x new",
        "-ai --exclude-from=dir/ x new",
        "-ai --include-from=dir/ x new",
        "-i --old-dirs x/ y/ new",
        "-aiO --no-r --old-dirs -R x y new",
    ] {
        let bench = bench();
        let args: Vec<String> = args
            .split(' ')
            .map(|arg| match arg.split('/').next() {
                Some("x" | "y" | "empty" | "only" | "link" | "dirlink" | "none") => {
                    format!("{}/{arg}", bench.src().display())
                }
                _ => arg.to_owned(),
            })
            .collect();
        eprintln!("{args:?}");
        bench.same(&args);
        bench.same(&args);
    }
}

/// The names of owners are asked for within the process: a program for each would be as many as another machine likes.
#[test]
fn no_program_is_asked_for_the_numbers_of_owners() {
    let bench = bench();
    let [_, ours] = bench.places();
    let getent = ours.join("getent");
    fs::write(&getent, "#!/bin/sh\ntouch asked\n").unwrap();
    assert!(Command::new("chmod").arg("755").arg(&getent).status().unwrap().success());
    let src = format!("{}/x/", bench.src().display());
    let args = ["sync", "-a", "--usermap=0:no-such-user", "--groupmap=0:no-such-group", &src, "new"];
    let output = Command::new(FOREBAY).args(args).current_dir(&ours).env("PATH", &ours).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("no-such-user") && errors.contains("no-such-group"), "{errors}");
    assert!(output.status.success() && !ours.join("asked").exists());
}

/// What a variable that is not set leaves of a path is no working directory.
#[test]
fn paths_that_are_empty_or_elsewhere_are_refused() {
    for args in [
        &["-a", "--delete", "SRC", ""][..],
        &["-an", "SRC", ""],
        &["-a", "--list-only", "SRC", ""],
        &["-a", "", "new"],
        &["-a", "SRC", "", "new"],
        &["-a", ""],
        &["-a", "", "host:new"],
        &["-aR", "--delete", "--old-args", "", "new"],
        &["-a", "SRC", "host:b", "new"],
        &["-a", "SRC", "host:b", "host:new"],
        &["-a", "host:a", "b", "new"],
        &["-a", "host:a", "", "new"],
    ] {
        let bench = bench();
        let src = format!("{}/", bench.src().display());
        let args: Vec<&str> = args.iter().map(|&arg| if arg == "SRC" { &src } else { arg }).collect();
        let mut ends = bench.places().into_iter().zip(["rsync", FOREBAY]).map(|(place, program)| {
            let first: &[&str] = if program == FOREBAY { &["sync"] } else { &[] };
            let before = look(&place, true);
            let output = Command::new(program)
                .args(first)
                .args(["-e", "false"])
                .args(&args)
                .current_dir(&place)
                .output()
                .unwrap();
            assert_eq!(look(&place, true), before, "{program} {args:?}");
            let text = String::from_utf8(output.stderr).unwrap();
            let told: Vec<_> =
                text.lines().filter(|line| !line.starts_with("rsync error: ")).map(str::to_owned).collect();
            (output.status.code(), told)
        });
        let theirs = ends.next().unwrap();
        assert_eq!(theirs.0, Some(1), "{args:?} {theirs:?}");
        assert_eq!(ends.next(), Some(theirs), "{args:?}");
    }
    let bench = bench();
    bench.same(&["-a", "--old-args", &format!("{}/", bench.src().display()), ""]);
}

#[test]
fn what_is_not_there_yet_is_refused_with_the_code_for_usage() {
    for args in [
        &["--foo", "a", "b"][..],
        &["-M--delete", "a", "b"],
        &["-r", "--files-from=none", "a"],
        &["a", "host::b"],
        &["rsync://host/a", "b"],
        &[],
    ] {
        let output = Command::new(FOREBAY).arg("sync").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("rsync error: syntax or usage error (code 1) at "));
    }
    for (arg, code) in [
        ("--stop-at=25:00", 1),
        ("--stop-at=2020-1-1", 1),
        ("--stderr=x", 1),
        ("--bwlimit=x", 1),
        ("--bwlimit=100b", 1),
        ("--bwlimit=-1", 1),
        ("--bwlimit=--1", 1),
        ("--bwlimit=--version", 1),
        ("--files-from=/", 1),
        ("-aQ", 1),
        ("-Qa=3", 1),
        ("--protocol=99", 2),
        ("-Mfoo", 1),
    ] {
        let run = |program: &str, first: &[&str]| {
            let output =
                Command::new(program).args(first).args([arg, "/nonexistent/a", "/nonexistent/b"]).output().unwrap();
            let text = String::from_utf8(output.stderr).unwrap();
            (output.status.code(), text.lines().next().unwrap_or_default().to_owned())
        };
        let theirs = run("rsync", &[]);
        assert_eq!(theirs.0, Some(code), "{arg}");
        assert_eq!(run(FOREBAY, &["sync"]), theirs, "{arg}");
    }
    for help in ["-h", "--help"] {
        let output = Command::new(FOREBAY).args(["sync", help]).output().unwrap();
        assert!(output.status.success() && output.stdout.starts_with(b"forebay sync: "));
    }
}

#[test]
fn variables_that_make_no_sense_are_refused() {
    let bench = Bench::new();
    fs::write(bench.src().join("f"), "f").unwrap();
    for (name, value, code) in [
        ("RSYNC_MAX_ALLOC", "x", 1),
        ("RSYNC_MAX_ALLOC", "1", 1),
        ("RSYNC_MAX_ALLOC", "", 0),
        ("RSYNC_MAX_ALLOC", "2M", 0),
        ("RSYNC_CHECKSUM_LIST", "nope", 4),
        ("RSYNC_CHECKSUM_LIST", "md5 nope", 0),
        ("RSYNC_CHECKSUM_LIST", "", 0),
    ] {
        let [theirs, ours] = [("rsync", &[][..]), (FOREBAY, &["sync"][..])].map(|(program, first)| {
            let place = &bench.places()[usize::from(program == FOREBAY)];
            let source = format!("{}/", bench.src().display());
            let mut run = command(None, program, first);
            run.args(["-a", &source, "dst"]).env(name, value).current_dir(place);
            let did = did(run.output(), place);
            let why = did.errors.into_iter().find(|line| line.starts_with("Failed") || line.starts_with("rsync: --"));
            (did.code, why)
        });
        assert_eq!((&ours, ours.0), (&theirs, Some(code)), "{name}={value}");
    }
}

/// What only a server or a daemon knows.
#[test]
fn options_of_other_roles_are_refused() {
    let bench = Bench::new();
    for args in [
        &["--sender", "-r", "a", "b"][..],
        &["-r", "--sender", "a", "h:b"],
        &["--sender", "--server", ".", "a"],
        &["--detach", "a", "b"],
        &["--no-detach"],
        &["--config=x", "a", "b"],
        &["--use-qsort", "-r", "a", "b"],
    ] {
        let [theirs, ours] = bench.did(args);
        assert_eq!((ours.code, theirs.code), (Some(1), Some(1)), "{args:?}: {ours:?} {theirs:?}");
        // The help is our own.
        if !args.contains(&"--sender") {
            assert_eq!(ours.errors, theirs.errors, "{args:?}");
        }
    }
    assert_eq!(bench.did(&["-rn", "--qsort", ".", "dst"]).map(|did| did.code), [Some(0); 2]);
}

#[test]
fn whether_owners_are_kept_is_what_is_said_last() {
    for options in [
        "-ai --usermap=*:7 --no-o",
        "-ai --groupmap=*:7 --no-g",
        "-ai --chown=7:8 --no-o",
        "-ai --chown=7:8 --no-o --no-g",
        "-ai --chown=:8 --no-o",
        "-rti --usermap=*:7",
        "-rti --no-o --usermap=*:7",
        "-rti --usermap=*:7 --no-o -o",
        "-rti --chown=7:8",
        "-rti --chown=7",
    ] {
        let bench = bench();
        let src = format!("{}/x/", bench.src().display());
        let args: Vec<&str> = options.split(' ').chain([&src[..], "new"]).collect();
        bench.same(&args);
    }
}

#[test]
fn how_long_a_run_may_take_is_read_as_rsync_reads_it() {
    for minutes in ["1", "99999999999", "153722867250000000", "1x", " 5", "+5", "5.5", "010"] {
        let bench = bench();
        let src = format!("{}/x/", bench.src().display());
        assert_eq!(bench.same(&["-ai", &format!("--stop-after={minutes}"), &src, "new"]).code, Some(0), "{minutes}");
    }
    for minutes in ["0", "", "-5x", "0x10", "153722867280000000", "9223372036854775808", "99999999999999999999"] {
        let bench = bench();
        let src = format!("{}/x/", bench.src().display());
        assert_eq!(bench.same(&["-ai", &format!("--stop-after={minutes}"), &src, "new"]).code, Some(1), "{minutes}");
    }
}

#[test]
fn a_log_file_without_a_name_is_none() {
    for options in ["-ai --log-file=", "-ai --log-file= --log-file-format=%n", "-ai -M--log-file="] {
        let bench = bench();
        let src = format!("{}/x/", bench.src().display());
        let args: Vec<&str> = options.split(' ').chain([&src[..], "new"]).collect();
        assert_eq!(bench.same(&args).errors, [""; 0]);
    }
}
