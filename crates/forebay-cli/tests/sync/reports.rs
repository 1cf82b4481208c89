//! What is said beside the names: topics, formats, log files, listings, texts.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::harness::{Bench, FOREBAY};
use crate::tree::touch;

fn bench() -> Bench {
    let bench = Bench::new();
    let src = bench.src();
    fs::create_dir_all(src.join("d/deep")).unwrap();
    for file in ["f", "g", "d/1", "d/deep/2"] {
        fs::write(src.join(file), vec![b'x'; 2000 * file.len()]).unwrap();
        touch(&src.join(file), "@1000000000.25");
    }
    symlink("f", src.join("link")).unwrap();
    bench.both(|place| {
        fs::create_dir_all(place.join("dst/gone")).unwrap();
        fs::write(place.join("dst/f"), "old").unwrap();
        fs::write(place.join("dst/more"), "more").unwrap();
    });
    bench
}

/// What both write to standard output and to the log file, but for times, processes, and what counts a wire's bytes.
fn said(bench: &Bench, args: &[&str]) -> [(Option<i32>, String, String); 2] {
    let src = format!("{}/", bench.src().display());
    let [theirs, ours] = bench.places();
    [("rsync", &[][..], theirs), (FOREBAY, &["sync"][..], ours)].map(|(program, first, place)| {
        let mut command = Command::new(program);
        command.args(first).args(args.iter().map(|arg| arg.replace("SRC", &src)));
        let output = command.current_dir(&place).env("TZ", "America/New_York").output().unwrap();
        let log = fs::read_to_string(place.join("log")).unwrap_or_default();
        (output.status.code(), comparable(&String::from_utf8(output.stdout).unwrap()), comparable(&log))
    })
}

fn comparable(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.split_once("] ").filter(|(head, _)| head.contains(" [")).map_or(line, |(_, rest)| rest);
        match line.split_once("sent ") {
            Some(("", rest)) => {
                format!("sent {}", rest.split("  ").last().filter(|l| l.contains("total")).unwrap_or_default())
            }
            _ => line.split("  speedup").next().unwrap().split(" at ").next().unwrap().to_owned(),
        }
    });
    lines.map(|line| line + "\n").collect()
}

#[test]
fn log_files_say_what_rsyncs_do() {
    for args in [
        "-a",
        "-a -v",
        "-a -vv",
        "-a -i",
        "-a -ii",
        "-a -q",
        "-an",
        "-anv",
        "-ani --delete",
        "-a --delete -i",
        "-a --delete --log-file-format=%n|%o|%l",
        "-a --delete --log-file-format=%n|%l",
        "-av --no-i-r",
        "-avq --no-i-r",
        "-avv --no-i-r",
        "-a --delay-updates --info=flist",
        "-a --info=flist2 --no-i-r",
        "-a --log-file-format=",
        "-aii --log-file-format=%n|%l",
        "-aii --log-file-format=%i|%n",
        "-aii --out-format=%n --log-file-format=%i|%n",
        "-a /dev/none",
    ] {
        logs_are_rsyncs(&format!("{args} --log-file=log"));
    }
}

#[test]
fn log_files_of_the_side_that_receives_say_what_rsyncs_do() {
    for args in [
        "-a",
        "-av",
        "-av --no-i-r",
        "-avv --no-i-r",
        "-avv --delete",
        "-ai --delete",
        "-an --delete",
        "-aii -n",
        "-aq --delete",
        "-a /dev/none",
        "-ai --existing -vv",
        "-avv -b --safe-links",
        "-r --list-only",
        "-a --delete -M--log-file-format=%i|%n|%o|%l|%L --out-format=%o",
        "-a --delete -M--log-file-format=%n --log-file-format=%i",
        "-aiH",
    ] {
        logs_are_rsyncs(&format!("{args} -M--log-file=log"));
    }
}

#[test]
fn names_of_one_file_are_in_log_files() {
    let bench = bench();
    for name in ["e", "h", "d/f", "d/deep/f"] {
        fs::hard_link(bench.src().join("f"), bench.src().join(name)).unwrap();
    }
    for args in ["-aH", "-aiiH", "-aHq", "-aH --link-dest=../dst"] {
        for to in ["dst", "new"] {
            logs_of_are_rsyncs(&bench, &format!("{args} --log-file=log --log-file-format=%i|%n SRC {to}"));
            clear(&bench);
        }
    }
}

/// Whatever the locale: a log is of bytes, and only what is no text at all is escaped.
#[test]
fn log_files_have_names_as_they_are() {
    for locale in ["C", "C.UTF-8"] {
        let bench = bench();
        for name in [&b"\xc3\xa4"[..], b"\xff", b"a\nb", b"x\\#303"] {
            fs::write(bench.src().join(OsStr::from_bytes(name)), "").unwrap();
        }
        let src = format!("{}/", bench.src().display());
        let [theirs, ours] = bench.places();
        let logs = [("rsync", &[][..], theirs), (FOREBAY, &["sync"][..], ours)].map(|(program, first, place)| {
            let mut command = Command::new(program);
            command.args(first).args(["-a", "--log-file=log", &src, "dst"]);
            assert!(command.current_dir(&place).env("LC_ALL", locale).status().unwrap().success());
            let log = fs::read(place.join("log")).unwrap();
            let code = b">f+++++++++ ";
            let names = log.split(|&byte| byte == b'\n').filter_map(|line| {
                let at = line.windows(code.len()).position(|window| window == code)?;
                Some(line[at + code.len()..].to_vec())
            });
            names.collect::<BTreeSet<_>>()
        });
        assert_eq!(logs[1], logs[0], "{locale}");
        assert!(logs[0].contains(&b"\xff"[..]), "{locale}: {logs:?}");
    }
}

#[test]
fn each_source_is_told_with_its_own_path() {
    let bench = bench();
    for place in bench.places() {
        for (dir, name) in [("a/sub", "one"), ("b/sub", "two"), ("c/deep/sub", "three")] {
            fs::create_dir_all(place.join(dir)).unwrap();
            for name in [name, "same"] {
                fs::write(place.join(dir).join(name), dir).unwrap();
                fs::write(place.join(dir).join("..").join(name), dir).unwrap();
            }
        }
        fs::write(place.join("list"), "a/./sub/\nb/./two\n/c/deep/./same\n./b/sub/two\nb/same\n").unwrap();
    }
    for args in [
        "a/ b/",
        "a b/",
        "./a/ b/. c/deep/",
        "a/ SRC c/../b",
        "a/one b/two b/same",
        "-R a/./sub b/./sub",
        "-R a/./ b/./ c/deep/./sub",
        "-R SRC b",
        "-R SRC a/./sub b",
        "-vvR --filter=-_2 --filter=-_two SRC b",
        "--files-from=list .",
        "--files-from=list --no-R ./",
    ] {
        let args = format!("-rl --out-format=%i|%f|%n --log-file=log --log-file-format=%f|%n {args} new");
        let [theirs, ours] = said(&bench, &args.split(' ').collect::<Vec<_>>());
        let lines = |(code, text, log): (_, String, String)| {
            // What is given twice is another matter for sums.
            let lines = |text: String| {
                let told = text.lines().filter(|line| !line.contains("total size"));
                let mut lines: Vec<String> = told.map(str::to_owned).collect();
                lines.sort();
                lines
            };
            (code, lines(text), lines(log))
        };
        let (theirs, ours) = (lines(theirs), lines(ours));
        assert!(theirs.1.len() > 2, "{args} {theirs:?}");
        assert_eq!(ours, theirs, "{args}");
        clear(&bench);
    }
}

#[test]
fn what_is_refused_is_in_the_log_file_that_was_named_before() {
    for args in [
        "--log-file=log --nonsense SRC dst",
        "-aq --log-file=log --sparse=3 SRC dst",
        "--log-file=other --log-file=log --info=blah SRC dst",
        "--inplace --log-file=log --delay-updates SRC dst",
        "-a --log-file=log --files-from=none SRC dst",
        "-a SRC dst --log-file=log --filter=foo",
        "--nonsense --log-file=log SRC dst",
        "--log-file=/none/log --nonsense SRC dst",
    ] {
        let bench = bench();
        bench.places().iter().for_each(|place| fs::write(place.join("log"), "").unwrap());
        let args: Vec<&str> = args.split(' ').collect();
        let [theirs, ours] = said(&bench, &args);
        assert_eq!(ours, theirs, "{args:?}");
        assert_eq!(theirs.2.is_empty(), args[0] == "--nonsense" || args[0] == "--log-file=/none/log", "{args:?}");
    }
}

#[test]
fn what_is_said_first_ends_the_line_of_the_list() {
    for args in [
        "-avv --no-i-r --copy-unsafe-links SRC dst",
        "-avv --no-i-r --copy-unsafe-links /dev/none SRC dst",
        "-avv --delete-before -L SRC dst",
        "-avv --no-i-r --copy-unsafe-links SRC /dev/none dst",
    ] {
        let bench = bench();
        symlink("../b/none", bench.src().join("leads out")).unwrap();
        let args: Vec<&str> = args.split(' ').collect();
        let [theirs, ours] = said(&bench, &args);
        let head = |text: &str| text.lines().take(3).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(head(&ours.1), head(&theirs.1), "{args:?}");
    }
}

/// Makes room for another run into `new`, with another log file.
fn clear(bench: &Bench) {
    for place in bench.places() {
        let _ = fs::remove_dir_all(place.join("new"));
        fs::remove_file(place.join("log")).unwrap();
    }
}

fn logs_are_rsyncs(args: &str) {
    logs_of_are_rsyncs(&bench(), &format!("{args} SRC dst"));
}

fn logs_of_are_rsyncs(bench: &Bench, args: &str) {
    let args: Vec<&str> = args.split(' ').collect();
    let [theirs, ours] = said(bench, &args);
    let log = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert!(!theirs.2.is_empty());
    assert_eq!(log(&ours.2), log(&theirs.2), "{args:?}");
    assert_eq!(ours.0, theirs.0);
}

#[test]
fn sums_of_files_are_rsyncs() {
    for args in [
        "-aii",
        "-aiic",
        "-aiin",
        "-aiicn",
        "-aiicI",
        "-aiiH",
        "-aiiHc --delete",
        "-aii --cc=md5,sha1",
        "-aiic --cc=md5,sha1",
        "-aii --cc=none,md5",
        "-aii --no-W",
        "-aii --append",
        "-aiic --append",
        "-aiic --copy-dest=../like",
        "-aiic --link-dest=../like",
        "-aii --log-file=log --log-file-format=%C|%i|%n",
    ] {
        let bench = bench();
        fs::hard_link(bench.src().join("d/1"), bench.src().join("d/other")).unwrap();
        for place in bench.places() {
            fs::create_dir(place.join("like")).unwrap();
            fs::copy(bench.src().join("g"), place.join("like/g")).unwrap();
            touch(&place.join("like/g"), "@1000000000.25");
        }
        let mut args: Vec<&str> = args.split(' ').collect();
        args.extend(["--out-format=[%C][%40C][%-40C] %i %n", "SRC", "dst"]);
        // The second time, most is there.
        for _ in 0..2 {
            let [theirs, ours] = said(&bench, &args);
            let sorted = |text: &str| {
                let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                lines.sort();
                lines
            };
            assert!(theirs.1.contains(" g\n"), "{args:?} {}", theirs.1);
            assert_eq!(sorted(&ours.1), sorted(&theirs.1), "{args:?}");
            assert_eq!(sorted(&ours.2), sorted(&theirs.2), "{args:?}");
            assert_eq!(ours.0, theirs.0);
        }
    }
}

#[test]
fn sums_of_files_that_go_to_or_come_from_another_machine_are_rsyncs() {
    for args in ["-aii", "-aiic", "-aiin", "-aii --append", "-aii --append-verify", "-aii --cc=xxh64,md5", "-aiiH"] {
        for pulls in [false, true] {
            let bench = bench();
            let script = bench.src().with_file_name("sh");
            fs::write(&script, "shift; exec \"$@\"").unwrap();
            let shell = format!("-esh {}", script.display());
            let places = bench.places();
            let mut args: Vec<&str> = args.split(' ').collect();
            args.extend([&shell, "--out-format=[%C] %i %n"]);
            for _ in 0..2 {
                let [theirs, ours] = [("rsync", &[][..], &places[0]), (FOREBAY, &["sync"][..], &places[1])].map(
                    |(program, first, place)| {
                        let mut command = Command::new(program);
                        let (src, dst) = (format!("{}/", bench.src().display()), format!("{}/dst/", place.display()));
                        let [from, to] = match pulls {
                            true => [format!("there:{src}"), dst],
                            false => [src, format!("there:{dst}")],
                        };
                        let output = command.args(first).args(&args).arg(from).arg(to).output().unwrap();
                        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                        let mut lines: Vec<String> =
                            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
                        lines.sort();
                        lines
                    },
                );
                assert_eq!(ours, theirs, "{args:?}, pulls: {pulls}");
            }
        }
    }
}

#[test]
fn listings_are_rsyncs() {
    for args in [
        "SRC",
        "-r SRC",
        "-a SRC",
        "-ah SRC",
        "-ahh SRC",
        "-a --no-h SRC",
        "-av SRC",
        "-avv SRC",
        "-ai SRC",
        "-aq SRC",
        "-a --exclude=d SRC",
        "-aU SRC",
        "-rU --no-h SRC",
        "-r --chmod=D711,F600 SRC",
        "-a --list-only SRC dst",
        "-a --list-only --delete-missing-args SRC SRCgone dst",
        "-aU --no-h --list-only --delete-missing-args SRCd/gone dst",
        "--list-only SRC none/there",
        "none",
    ] {
        let bench = bench();
        let args: Vec<&str> = args.split(' ').collect();
        let [theirs, ours] = said(&bench, &args);
        assert_eq!(ours, theirs, "{args:?}");
    }
}

/// What is beside no destination is looked for from where the run begins.
#[test]
fn listings_miss_other_trees_as_rsyncs_do() {
    for (args, missing) in [
        ("-a --list-only --link-dest=../none SRC", 1),
        ("-a --copy-dest=none --copy-dest=dst SRC", 1),
        ("-a --compare-dest=none SRC dst --list-only", 1),
        ("-a --compare-dest SRC dst", 0),
        ("-a --list-only --link-dest=/none --link-dest=dst --link-dest=no/ne /dev/none", 2),
    ] {
        let bench = bench();
        let src = format!("{}/", bench.src().display());
        let args: Vec<&str> = args.split(' ').map(|arg| if arg == "SRC" { &src } else { arg }).collect();
        // Each runs in its own place.
        let errors = |(did, place): (crate::harness::Did, std::path::PathBuf)| -> Vec<String> {
            did.errors.iter().map(|line| line.replace(&place.display().to_string(), "PLACE")).collect()
        };
        let mut all = bench.did(&args).into_iter().zip(bench.places()).map(errors);
        let theirs = all.next().unwrap();
        assert_eq!(all.next(), Some(theirs.clone()), "{args:?}");
        assert_eq!(
            theirs.iter().filter(|line| line.contains("does not exist")).count(),
            missing,
            "{args:?} {theirs:?}"
        );
    }
}

/// However source and destination are written.
#[test]
fn messages_have_paths_without_detours() {
    for args in [
        "./src/ dst",
        "src// dst",
        "src/. dst",
        "src/./ dst",
        "../PLACE/src/ dst",
        "../PLACE//src dst",
        "src/../src dst",
        "./src .//dst/",
        "src/../src/none src//none ./none src/./d/none dst",
        "--link-dest=../none src/ ./dst",
        "--link-dest=../none src/ src/../dst",
        "--link-dest=../none src/ dst/.",
        "-R src/./d//none ./src/../src//none dst",
        "-R ./src//d dst",
        "--files-from=list ./src dst",
    ] {
        let bench = Bench::new();
        for place in bench.places() {
            fs::create_dir_all(place.join("src/d")).unwrap();
            fs::create_dir(place.join("dst")).unwrap();
            for name in ["x", "d/x"] {
                symlink("nowhere", place.join("src").join(name)).unwrap();
            }
            fs::write(place.join("list"), "d/./x\n.//x\nd//none\n").unwrap();
        }
        let mut all = bench.places().into_iter().zip(["rsync", FOREBAY]).map(|(place, program)| {
            let name = place.file_name().unwrap().to_str().unwrap();
            let args = args.replace("PLACE", name);
            let first = if program == FOREBAY { &["sync"][..] } else { &[] };
            let mut command = Command::new(program);
            command.args(first).arg("-aL").args(args.split(' ')).current_dir(&place);
            let errors = String::from_utf8(command.output().unwrap().stderr).unwrap();
            let errors = errors.lines().filter(|line| !line.starts_with("rsync error: "));
            let mut errors: Vec<_> = errors.map(|line| line.replace(&place.display().to_string(), "PLACE")).collect();
            errors.sort();
            errors
        });
        let theirs = all.next().unwrap();
        assert!(!theirs.is_empty(), "{args}");
        assert_eq!(all.next(), Some(theirs), "{args}");
    }
}

#[test]
fn a_listing_is_no_dry_run() {
    let bench = bench();
    let src = format!("{}/", bench.src().display());
    for (args, dry) in [("-av", false), ("-av --list-only", false), ("-avn --list-only", true)] {
        let ends = [("rsync", &[][..]), (FOREBAY, &["sync"])].map(|(program, first)| {
            let output = Command::new(program).args(first).args(args.split(' ')).arg(&src).output().unwrap();
            output.stdout.ends_with(b" (DRY RUN)\n")
        });
        assert_eq!(ends, [dry; 2], "{args}");
    }
}

#[test]
fn each_file_has_its_progress() {
    for args in ["-a --progress", "-aP", "-aP --info=name0", "-aPi", "-aPq", "-aPn", "-aPH", "-aP --no-progress"] {
        let bench = bench();
        let mut args: Vec<&str> = args.split(' ').collect();
        args.extend(["SRC", "dst"]);
        let [theirs, ours] = said(&bench, &args);
        let records = |text: &str| -> Vec<String> {
            text.lines()
                .map(|line| {
                    let last = line.rsplit('\r').next().unwrap();
                    // Rates and the sizes of lists not yet known are a matter of moments.
                    last.split_once("% ").map_or(last, |(head, _)| head).to_owned()
                })
                .collect()
        };
        assert_eq!(records(&ours.1), records(&theirs.1), "{args:?}");
    }
}

/// What of a line stands between carriage returns, without numbers that are a matter of moments: rates, and how far it is.
fn updates(text: &str, file: &str) -> Vec<String> {
    let line = text.split_inclusive('\n').find(|line| line.starts_with('\r') && line.contains(file)).unwrap();
    let shape = |update: &str| {
        let words: Vec<&str> = update.split_whitespace().collect();
        let [_, percent, rate, left, counts @ ..] = &words[..] else { panic!("{update:?}") };
        let whole = *percent == "100%" && !counts.is_empty();
        assert!(percent.ends_with('%') && rate.ends_with("B/s") && left.matches(':').count() == 2, "{update:?}");
        assert_eq!(update.find('%'), Some(19), "{update:?}");
        assert!(whole || (update.ends_with("  ") && !update.ends_with("   ")), "{update:?}");
        if whole { format!("{} {}", words[0], counts.join(" ")) } else { "on its way".to_owned() }
    };
    let mut updates: Vec<String> = line.trim_end_matches('\n').split('\r').skip(1).map(shape).collect();
    updates.dedup();
    updates
}

#[test]
fn a_file_that_takes_long_is_told_of_while_it_is_copied() {
    let large = 2_000_000;
    for args in [
        "-a --progress --bwlimit=1000",
        "-aiP --bwlimit=1000 --info=name0",
        "-aP --bwlimit=1000 --sparse --inplace",
        "-aP --bwlimit=1000 --delete-before",
    ] {
        let bench = bench();
        let content: Vec<u8> = (0..large).map(|n: u32| (n % 251) as u8).collect();
        fs::write(bench.src().join("d/large"), content).unwrap();
        touch(&bench.src(), "@1200000000");
        bench.places().iter().for_each(|place| touch(&place.join("dst"), "@1300000000"));
        let mut args: Vec<&str> = args.split(' ').collect();
        args.extend(["SRC", "dst"]);
        let [theirs, ours] = said(&bench, &args);
        let [theirs, ours] = [theirs.1, ours.1].map(|text| {
            let lines: Vec<String> = text.lines().filter(|line| !line.starts_with('\r')).map(str::to_owned).collect();
            (updates(&text, "2,000,000"), lines)
        });
        assert_eq!(ours, theirs, "{args:?}");
        assert_eq!(ours.0[0], "on its way");
    }
}

#[test]
fn the_whole_is_told_of_while_one_file_takes_long() {
    let bench = bench();
    fs::write(bench.src().join("large"), vec![7; 2_500_000]).unwrap();
    let [_, ours] = said(&bench, &["-a", "--info=progress2", "--bwlimit=1000", "SRC", "dst"]);
    let before = ours.1.split('\r').take_while(|update| !update.contains("xfr#3")).filter(|it| it.contains("% "));
    let bytes = before.map(|update| update.split_whitespace().next().unwrap().replace(',', "").parse::<u64>().unwrap());
    let moving: Vec<u64> = bytes.filter(|bytes| (10_000..2_500_000).contains(bytes)).collect();
    assert!(!moving.is_empty() && moving.is_sorted(), "{moving:?} in {}", ours.1);
}

#[test]
fn a_list_that_is_made_first_is_told_as_rsync_does() {
    for args in [
        "-a --progress --no-inc-recursive",
        "-a --progress --delete-before",
        "-aP --delete-after --log-file=log",
        "-aPn --delete-before",
        "-aPH --delete-before",
        "-aPm",
        "-aPq --delete-before",
        "-rP --no-inc-recursive --max-size=1",
        "-aP --no-inc-recursive --debug=filter --exclude=g --log-file=log",
        "-av --delete-before --debug=filter --exclude=g",
        "-av --delete-after --debug=filter",
        "-a --info=flist2 --delete-before /dev/none",
        "-a --info=flist2 --no-inc-recursive --list-only",
        "-a --info=flist2 --no-inc-recursive",
        "-a --info=flist0 --progress --no-inc-recursive",
        "-aP",
    ] {
        let bench = bench();
        let many = bench.src().join("many");
        fs::create_dir_all(many.join("empty")).unwrap();
        // With the others, exactly 200, of which nothing is said.
        (0..190).for_each(|file| fs::write(many.join(file.to_string()), "").unwrap());
        let mut args: Vec<&str> = args.split(' ').collect();
        args.extend(["SRC", "new/dst"]);
        for place in bench.places() {
            fs::create_dir(place.join("new")).unwrap();
        }
        let [theirs, ours] = said(&bench, &args);
        let head = |text: &str| -> Vec<String> {
            let to = text.lines().position(|line| line.starts_with("created") || line.ends_with("./"));
            text.lines().take(to.unwrap_or(usize::MAX)).map(str::to_owned).collect()
        };
        assert_eq!(head(&ours.1), head(&theirs.1), "{args:?}");
        let listed = |text: &str| text.lines().filter(|line| line.ends_with(" to consider")).collect::<String>();
        assert_eq!(listed(&ours.2), listed(&theirs.2), "{args:?}");
        assert_eq!(ours.0, theirs.0);
        if args[0] == "-aPm" {
            assert!(
                ours.1.starts_with("building file list ... \n 0 files...\r 100 files...\r200 files to"),
                "{}",
                ours.1
            );
        }
    }
}

/// What members there are and of which kind, but for one of ours.
fn shape(json: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match json {
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| *name != "forebay")
            .map(|(name, value)| (name.clone(), shape(value)))
            .collect(),
        Value::Array(_) => "list".into(),
        Value::String(_) => "text".into(),
        Value::Number(_) => "number".into(),
        Value::Bool(_) => "boolean".into(),
        Value::Null => Value::Null,
    }
}

#[test]
fn texts_are_in_the_shape_of_rsyncs() {
    let run = |args: &[&str]| Command::new(FOREBAY).arg("sync").args(args).output().unwrap();
    let text = |args: &[&str]| String::from_utf8(run(args).stdout).unwrap();
    assert!(text(&["--version"]).starts_with("rsync  version 3."));
    assert_eq!(text(&["--delete", "-V"]), text(&["--version"]));
    let theirs = Command::new("rsync").arg("-VV").output().unwrap();
    let [ours, theirs] = [text(&["-VV"]).into_bytes(), theirs.stdout].map(|json| {
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        ["program", "version", "protocol", "checksum_list", "compress_list"]
            .map(|member| json[member].clone())
            .into_iter()
            .chain([shape(&json)])
            .collect::<Vec<_>>()
    });
    assert_eq!(ours, theirs);
    for option in ["--info=help", "--debug=help"] {
        let words = |text: &str| -> Vec<String> {
            let topics = text.lines().filter_map(|line| line.split_once("  ").map(|(word, _)| word.to_owned()));
            topics.chain(text.lines().filter(|line| line.get(1..3) == Some(") ")).map(str::to_owned)).collect()
        };
        let theirs = Command::new("rsync").arg(option).output().unwrap();
        assert_eq!(words(&text(&[option])), words(&String::from_utf8(theirs.stdout).unwrap()));
    }
    let unknown = run(&["--foo", "--version"]);
    assert_eq!((unknown.status.code(), unknown.stdout.len()), (Some(1), 0));
    assert!(text(&["--help"]).contains("\n--archive, -a "));
}

#[test]
fn json_is_an_object_a_line() {
    let bench = bench();
    let src = format!("{}/", bench.src().display());
    let output = Command::new(FOREBAY)
        .args(["sync", "-a", "--delete", "--json", &src, "dst"])
        .current_dir(&bench.places()[1])
        .output()
        .unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let objects: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let item = |path: &str| objects.iter().find(|object| object["path"] == path).unwrap();
    assert_eq!((item("f")["action"].as_str(), item("f")["size"].as_u64()), (Some("replace"), Some(2000)));
    assert_eq!((item("link")["action"].as_str(), item("link")["target"].as_str()), (Some("create"), Some("f")));
    assert_eq!(item("more")["action"], "delete");
    let summary = objects.last().unwrap();
    assert_eq!((&summary["type"], summary["deleted_files"].as_u64()), (&"summary".into(), Some(1)));
    assert_eq!(summary["exit_code"], 0);
}

#[test]
fn json_lists_an_object_for_each_entry() {
    let bench = bench();
    let output = Command::new(FOREBAY).args(["sync", "-r", "--list-only", "--json"]).arg(bench.src()).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let objects: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (summary, items) = objects.split_last().unwrap();
    assert!(items.iter().all(|item| item["type"] == "item" && item["action"] == "list"), "{text}");
    let item = |path: &str| items.iter().find(|item| item["path"] == path).unwrap();
    assert_eq!((item("src")["kind"].as_str(), item("src/f")["size"].as_u64()), (Some("directory"), Some(2000)));
    assert_eq!((summary["type"].as_str(), summary["exit_code"].as_u64()), (Some("summary"), Some(0)));
}

#[test]
fn json_stays_json_where_the_log_file_cannot_be_opened() {
    let bench = bench();
    let src = format!("{}/", bench.src().display());
    let mut command = Command::new(FOREBAY);
    command.args(["sync", "-a", "--json", "--log-file=/nonexistent/log", &src, "dst"]).current_dir(&bench.places()[1]);
    let output = command.output().unwrap();
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(lines.lines().all(|line| line.starts_with('{')), "{lines}");
    assert!(String::from_utf8(output.stderr).unwrap().ends_with("\nIgnoring \"log file\" setting.\n"));
}

#[test]
fn everything_goes_to_standard_error_where_that_is_asked_for() {
    for option in ["--stderr=e", "--stderr=all", "--stderr=c", "--msgs2stderr", "--no-msgs2stderr", "--stderr=a"] {
        let bench = bench();
        let none = format!("{}/none", bench.src().display());
        let src = format!("{}/", bench.src().display());
        let [theirs, ours] = bench.places();
        let both = [("rsync", &[][..], theirs), (FOREBAY, &["sync"][..], ours)].map(|(program, first, place)| {
            let mut command = Command::new(program);
            let output =
                command.args(first).args(["-aiv", option, &none, &src, "dst"]).current_dir(&place).output().unwrap();
            let lines = |bytes: Vec<u8>| {
                let mut lines: Vec<String> =
                    comparable(&String::from_utf8(bytes).unwrap()).lines().map(str::to_owned).collect();
                lines.sort();
                lines
            };
            (output.status.code(), lines(output.stdout), lines(output.stderr))
        });
        assert_eq!(both[1], both[0], "{option}");
        assert_eq!(both[1].1.is_empty(), option.contains("=a") || option.starts_with("--msgs"), "{option}");
    }
}

/// What is no character that can be printed is escaped by the side whose message it is.
#[test]
fn names_with_the_character_127_are_shown_as_rsync_shows_them() {
    let bench = Bench::new();
    let name = "a\x7fb\x01";
    fs::write(bench.src().join(name), "new").unwrap();
    bench.both(|place| fs::create_dir_all(place.join("dst").join(name).join("full")).unwrap());
    let src = format!("{}/", bench.src().display());
    let did = bench.same(&["-ri", &src, "dst"]);
    assert!(did.errors.iter().any(|line| line.ends_with("new regular file: a\\#177b\\#001")), "{did:?}");
}

/// What becomes of one file, or of a directory with nothing in it, is told by the name that it has at the destination.
#[test]
fn why_the_one_entry_is_passed_over_is_told_by_its_new_name() {
    for options in
        ["-avv", "-avv --existing", "-avv --ignore-existing", "-avvu", "-aivv --existing", "-avvn --existing"]
    {
        for source in ["file", "empty", "empty/", "full/"] {
            for (to, time) in [("new", ""), ("x/new", ""), ("file2", "@1000000000"), ("x/file2", "@1100000000")] {
                let bench = Bench::new();
                let src = bench.src();
                fs::create_dir(src.join("empty")).unwrap();
                fs::create_dir_all(src.join("full/d")).unwrap();
                fs::write(src.join("file"), "file").unwrap();
                touch(&src.join("file"), "@1000000000");
                bench.both(|place| {
                    fs::create_dir(place.join("x")).unwrap();
                    if !time.is_empty() {
                        fs::write(place.join(to), "file").unwrap();
                        touch(&place.join(to), time);
                    }
                });
                let source = format!("{}/{source}", src.display());
                bench.same(&options.split(' ').chain([&source[..], to]).collect::<Vec<_>>());
            }
        }
    }
}
