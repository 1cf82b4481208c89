//! What may not be read, as another user: root may everything.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::harness::{Bench, End, WAYS, Way, agreed, finish};
use crate::tree::{look, touch};

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// `command` as nobody.
fn as_nobody(command: &Command) -> Command {
    let mut other = Command::new("setpriv");
    other
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(command.get_program())
        .args(command.get_args());
    other.env("LC_ALL", "C.UTF-8");
    other
}

/// A client of `pair` as nobody, into a destination of his. The exit code, standard output, and the sorted lines on standard error,
/// up to what names the program.
fn ran_as_nobody(bench: &Bench, pair: (End, End), way: Way, args: &[&str]) -> (Option<i32>, String, Vec<String>) {
    bench.prepare("ours");
    assert!(Command::new("chown").args(["-R", "65534:65534"]).arg(bench.path("ours")).status().unwrap().success());
    let output = finish(as_nobody(&bench.client(pair, way, args, "ours")));
    let errors = String::from_utf8(output.stderr).unwrap();
    let mut errors: Vec<_> = errors.lines().map(|line| line.split(" at ").next().unwrap_or(line).to_owned()).collect();
    errors.sort();
    (output.status.code(), String::from_utf8(output.stdout).unwrap(), errors)
}

#[test]
fn what_has_attributes_that_cannot_be_read_is_left_out() {
    let bench = Bench::new();
    let src = bench.src();
    mode(src.parent().unwrap(), 0o755);
    fs::create_dir_all(src.join("closed/inner")).unwrap();
    fs::create_dir_all(src.join("open/closed")).unwrap();
    for file in ["a", "secret", "open/secret", "open/f", "closed/f"] {
        fs::write(src.join(file), file).unwrap();
        touch(&src.join(file), "@1000000000");
    }
    for (path, closed) in [("secret", 0o600), ("open/secret", 0o600), ("closed", 0o700), ("open/closed", 0o700)] {
        let path = src.join(path);
        assert!(Command::new("setfattr").args(["-n", "user.a", "-v", "1"]).arg(&path).status().unwrap().success());
        mode(&path, closed);
    }
    fs::create_dir(bench.old().join("closed")).unwrap();
    fs::write(bench.old().join("closed/kept"), "kept").unwrap();
    for way in WAYS {
        for args in ["-rX", "-rtXi --delete", "-rXin", "-dXi", "-rXHi", "-rXi --no-inc-recursive", "-rX --list-only"] {
            let args: Vec<_> = args.split(' ').collect();
            let run = |pair| {
                let (code, lines, errors) = ran_as_nobody(&bench, pair, way, &args);
                (code, lines, errors, look(&bench.path("ours"), false))
            };
            let (code, _, errors, _) = agreed(run, &(way, &args));
            let left_out = if args[0] == "-dXi" { 2 } else { 4 };
            assert_eq!((code, errors.len()), (Some(23), left_out + 1), "{way:?} {args:?}: {errors:?}");
        }
    }
}

#[test]
fn what_is_done_late_is_done_before_modes_that_forbid_it() {
    let bench = Bench::new();
    let src = bench.src();
    mode(src.parent().unwrap(), 0o755);
    let given = |path: &Path| {
        assert!(Command::new("chown").args(["-Rh", "65534:65534"]).arg(path).status().unwrap().success());
    };
    fs::create_dir_all(src.join("a/b")).unwrap();
    fs::create_dir(src.join("c")).unwrap();
    for name in ["a/f", "a/b/f", "c/h"] {
        fs::write(src.join(name), "abcdef").unwrap();
    }
    fs::hard_link(src.join("a/b/f"), src.join("c/g")).unwrap();
    given(&src);
    for path in ["a/f", "a/b/f", "c/h", "a/b", "a", "c"] {
        touch(&src.join(path), "@1000000000");
    }
    for dir in ["a/b", "a", "c"] {
        mode(&src.join(dir), 0o555);
    }
    let old = bench.old();
    fs::create_dir_all(old.join("a/b")).unwrap();
    fs::create_dir(old.join("a/z")).unwrap();
    for name in ["a/f", "a/b/f", "a/b/gone", "a/z/gone"] {
        fs::write(old.join(name), "abc").unwrap();
        mode(&old.join(name), 0o444);
    }
    for dir in ["a/b", "a/z", "a"] {
        mode(&old.join(dir), 0o555);
    }
    given(&old);
    for way in WAYS {
        for args in [
            "-a --delete-after",
            "-a --delete-delay",
            "-a --delete-delay --delay-updates",
            "-a --delay-updates",
            "-aH --delete-after",
            "-aH",
            "-a --inplace",
            "-a --append",
            "-r --inplace",
        ] {
            let args: Vec<_> = args.split(' ').collect();
            let run = |pair| {
                bench.prepare("ours");
                let output = finish(as_nobody(&bench.client(pair, way, &args, "ours")));
                let errors = String::from_utf8(output.stderr).unwrap();
                (output.status.code(), errors, look(&bench.path("ours"), true))
            };
            let (code, errors, _) = agreed(run, &(way, &args));
            assert_eq!((code, &errors[..]), (Some(0), ""), "{way:?} {args:?}");
        }
    }
}

#[test]
fn with_ignore_errors_what_is_beneath_an_unreadable_directory_goes() {
    let bench = Bench::new();
    mode(bench.src().parent().unwrap(), 0o755);
    fs::create_dir(bench.src().join("closed")).unwrap();
    fs::create_dir_all(bench.old().join("closed/in")).unwrap();
    for path in [bench.src(), bench.old()] {
        assert!(Command::new("chown").args(["-R", "65534:65534"]).arg(path).status().unwrap().success());
    }
    mode(&bench.src().join("closed"), 0);
    for way in WAYS {
        for when in ["--delete", "--delete-before", "--delete-after", "--delete-delay"] {
            for more in [&[][..], &["--ignore-errors"]] {
                let run = |pair| {
                    bench.prepare("ours");
                    let output = finish(as_nobody(&bench.client(pair, way, &[&["-a", when], more].concat(), "ours")));
                    (output.status.code(), look(&bench.path("ours"), false))
                };
                let (code, left) = agreed(run, &(way, when, more));
                assert_eq!((code, left.len()), (Some(23), if more.is_empty() { 3 } else { 2 }), "{way:?} {when}");
            }
        }
    }
}

#[test]
fn what_cannot_be_read_counts_where_rsync_counts_it_and_is_said_once() {
    let bench = Bench::new();
    let src = bench.src();
    mode(src.parent().unwrap(), 0o755);
    fs::create_dir(src.join("d")).unwrap();
    for file in ["a", "closed", "d/closed", "d/f"] {
        fs::write(src.join(file), file).unwrap();
        touch(&src.join(file), "@1000000000");
    }
    mode(&src.join("closed"), 0o600);
    mode(&src.join("d/closed"), 0o600);
    fs::write(bench.old().join("closed"), "older").unwrap();
    for way in WAYS {
        for args in ["-rti --stats", "-rtic --stats", "-rtin --stats", "-rtiz --stats --no-inc-recursive"] {
            let args: Vec<_> = args.split(' ').collect();
            let run = |pair| {
                let (code, lines, errors) = ran_as_nobody(&bench, pair, way, &args);
                let counts = lines.lines().filter(|line| {
                    line.starts_with("Number of")
                        || line.starts_with("Total file size")
                        || line.starts_with("Total transferred")
                });
                (code, counts.map(str::to_owned).collect::<Vec<_>>(), errors)
            };
            let (code, counts, errors) = agreed(run, &(way, &args));
            assert!(counts.len() > 4, "{counts:?}");
            let expected = if args[0] == "-rtin" { (Some(0), 0) } else { (Some(23), 3) };
            assert_eq!((code, errors.len()), expected, "{way:?} {args:?}: {errors:?}");
        }
    }
}

/// What is wrong with a file of rules ends the run; what was said of sources before that is not lost.
#[test]
fn what_cannot_be_found_is_said_before_what_ends_the_run() {
    let bench = Bench::new();
    fs::create_dir(bench.src().join("d")).unwrap();
    fs::write(bench.src().join("d/.r"), "bad rule\n").unwrap();
    for way in WAYS {
        let run = |pair| {
            bench.prepare("ours");
            let output = finish(bench.client_of(pair, way, &["-r", "--filter=:_.r"], &["none", "d/"], "ours"));
            let errors = String::from_utf8(output.stderr).unwrap();
            // Stock rsync's sides do not agree about the code.
            (output.status.success(), errors.contains("link_stat \"/"), errors.contains("Unknown filter rule"))
        };
        let (succeeded, missing, rule) = agreed(run, &way);
        assert!(missing && rule && !succeeded, "{way:?}");
    }
}

/// A file that cannot be begun is not told as one that came.
#[test]
fn what_nobody_may_make_has_not_come() {
    let bench = Bench::new();
    let src = bench.src();
    mode(src.parent().unwrap(), 0o755);
    for dir in ["a", "b"] {
        fs::create_dir(src.join(dir)).unwrap();
        fs::create_dir(bench.old().join(dir)).unwrap();
        fs::write(src.join(dir).join("f"), "content").unwrap();
    }
    for way in WAYS {
        for args in [&["-ri"][..], &["-r", "--out-format=%n %l", "--stats"], &["-ri", "--inplace"]] {
            let run = |pair| {
                bench.prepare("ours");
                let place = bench.path("ours");
                assert!(Command::new("chown").arg("65534:65534").arg(&place).status().unwrap().success());
                assert!(Command::new("chown").arg("65534:65534").arg(place.join("b")).status().unwrap().success());
                let output = finish(as_nobody(&bench.client(pair, way, args, "ours")));
                let text = String::from_utf8(output.stdout).unwrap();
                let told: Vec<_> = text
                    .lines()
                    .filter(|line| line.contains("/f") || line.starts_with("Literal") || line.starts_with("Number"))
                    .map(str::to_owned)
                    .collect();
                (output.status.code(), told)
            };
            let (code, told) = agreed(run, &(way, args));
            let a = told.iter().any(|line| line.contains("a/f"));
            assert_eq!((code, a), (Some(23), way == Way::Push), "{way:?} {args:?}: {told:?}");
        }
    }
}

/// Where some files could not be sent, the log file of the side that sends has the sums all the same.
#[test]
fn the_log_file_sums_up_where_the_files_are() {
    let bench = Bench::new();
    mode(bench.src().parent().unwrap(), 0o777);
    fs::write(bench.src().join("secret"), "secret").unwrap();
    mode(&bench.src().join("secret"), 0o600);
    let log = bench.path("log");
    let option = format!("--log-file={}", log.display());
    for way in WAYS {
        for level in ["-r", "-rv", "-rq"] {
            let run = |pair| {
                let _ = fs::remove_file(&log);
                let (code, ..) = ran_as_nobody(&bench, pair, way, &[level, &option]);
                let text = fs::read_to_string(&log).unwrap();
                // Behind the date, the time and the process.
                let texts = text.lines().filter_map(|line| line.splitn(4, ' ').nth(3));
                let ends =
                    texts.filter(|text| ["sent ", "total ", "rsync error: "].iter().any(|end| text.starts_with(end)));
                // Of what depends on either program, the first word.
                (code, ends.map(|text| text.split_once(' ').unwrap().0.to_owned()).collect::<Vec<_>>())
            };
            let (code, ends) = agreed(run, &(way, level));
            let sums = usize::from(way == Way::Push) + if level == "-rv" { 2 } else { 0 };
            assert_eq!((code, ends.len()), (Some(23), sums + 1), "{way:?} {level}: {ends:?}");
        }
    }
}

/// Who receives is told what could not be read, and ends with that as well.
#[test]
fn what_could_not_be_read_is_what_both_sides_end_with() {
    let bench = Bench::new();
    mode(bench.src().parent().unwrap(), 0o777);
    let (code_there, log) = (bench.path("code"), bench.path("log"));
    bench.script("rsh", &format!("shift; sh -c \"$*\"; code=$?; echo $code >{}; exit $code", code_there.display()));
    for name in ["closed", "open"] {
        fs::write(bench.src().join(name), name).unwrap();
    }
    mode(&bench.src().join("closed"), 0o600);
    (0..4).for_each(|n| fs::write(bench.old().join(n.to_string()), "to go").unwrap());
    let log_there = format!("-M--log-file={}", log.display());
    for way in WAYS {
        for args in [
            "-r",
            "-r --delete",
            "-r --delete-delay",
            "-r --delete-after",
            "-r --delete-before --max-delete=2",
            "-r --delete --max-delete=2",
            "-r --delete-delay --max-delete=2",
            "-r --delete-after --max-delete=2",
        ] {
            let args: Vec<_> = args.split(' ').chain([&log_there[..]]).collect();
            let run = |pair| {
                let _ = (fs::remove_file(&code_there), fs::remove_file(&log));
                let (code, ..) = ran_as_nobody(&bench, pair, way, &args);
                let there = fs::read_to_string(&code_there).unwrap();
                let said = fs::read_to_string(&log).unwrap();
                let sums = said.lines().any(|line| line.contains(" sent "));
                (code, there, sums, look(&bench.path("ours"), false))
            };
            let (code, there, ..) = agreed(run, &(way, &args));
            assert_eq!((code, there.trim_end()), (Some(23), "23"), "{way:?} {args:?}");
        }
    }
}

/// What is to be appended to, or to give blocks, and may not be read is like nothing, which is said.
#[test]
fn what_may_not_be_read_at_the_destination_is_replaced_by_something_new() {
    let bench = Bench::new();
    mode(bench.src().parent().unwrap(), 0o755);
    let whole = "a line\n".repeat(500);
    for (name, len) in [("f", 2000), ("longer", 5000), ("same", 3500), ("from-partial", 2000)] {
        let (src, old) = (bench.src().join(name), bench.old().join(name));
        fs::write(&src, &whole).unwrap();
        fs::write(&old, &whole.repeat(2)[..len]).unwrap();
        touch(&src, "@1000000000");
        touch(&old, if name == "same" { "@1000000000" } else { "@900000000" });
        mode(&old, 0);
    }
    fs::create_dir(bench.old().join(".p")).unwrap();
    fs::write(bench.old().join(".p/from-partial"), &whole).unwrap();
    for way in WAYS {
        for args in [
            "-rti",
            "-rtip",
            "-rtip --append",
            "-rtin --append",
            "-rti --append-verify",
            "-rtic",
            "-rti --backup",
            "-rti --inplace",
            "-rtiW",
            "-rtiz --partial-dir=.p",
            "-rti --stats",
            "-rti --delay-updates",
        ] {
            let args: Vec<_> = args.split(' ').collect();
            let run = |pair| {
                let (code, lines, errors) = ran_as_nobody(&bench, pair, way, &args);
                let lines = lines.lines().filter(|line| line.contains("f+++") || line.starts_with("Number of created"));
                let lines: Vec<_> = lines.map(str::to_owned).collect();
                (code, lines, errors, look(&bench.path("ours"), true))
            };
            let (code, _, errors, _) = agreed(run, &(way, &args));
            assert_eq!(code, Some(0), "{way:?} {args:?}: {errors:?}");
        }
    }
}
