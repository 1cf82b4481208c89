//! Paths that are kept, and names that are given and not there.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::harness::{Bench, End, WAYS, Way, agreed, finish};
use crate::tree::{Mounted, look, rustix_is_root, touch};

fn bench() -> Bench {
    let bench = Bench::new();
    let (src, old) = (bench.src(), bench.old());
    for dir in ["a/b/c/d", "a/b/e", "x/y", "z"] {
        fs::create_dir_all(src.join(dir)).unwrap();
    }
    for file in ["a/b/c/1", "a/b/c/d/2", "a/b/3", "a/4", "x/y/5", "z/6", "7"] {
        fs::write(src.join(file), file).unwrap();
        touch(&src.join(file), "@1000000000");
    }
    fs::create_dir_all(old.join("x/y")).unwrap();
    for file in ["x/gone", "x/y/gone", "gone", "keep"] {
        fs::write(old.join(file), file).unwrap();
    }
    for path in ["a/b/c/d", "a/b/c", "a/b/e", "a/b", "a", "x/y", "x", "z", "."] {
        touch(&src.join(path), "@1100000000");
    }
    bench
}

#[test]
fn directories_on_the_way_are_left_as_they_are() {
    let bench = bench();
    for way in WAYS {
        for more in [&[][..], &["--delete"], &["-n"], &["--no-inc-recursive"], &["--protocol=30"], &["-H"]] {
            let args = [&["-aiR", "--no-implied-dirs"][..], more].concat();
            bench.same_of(way, &args, &["./a/b/c", "./x/y", "./a/4", "./7"]);
            bench.same_of(way, &args, &["./a/b/3"]);
            bench.same_of(way, &args, &["./a/b/", "./x/y/5", "./x/y/5"]);
        }
        bench.same_of(way, &["-aiR", "--no-implied-dirs", "--existing"], &["./a/b/c", "./x/y"]);
        bench.same_of(way, &["-diR", "--no-implied-dirs"], &["./a/b/c", "./x/y/"]);
    }
}

#[test]
fn what_is_mounted_is_entered_where_it_is_asked_for() {
    assert!(rustix_is_root(), "this test mounts small file systems and needs root");
    let bench = bench();
    let mount = |name: &str| {
        let path = bench.src().join(name);
        fs::create_dir_all(&path).unwrap();
        Mounted::new(&path, "1m")
    };
    let _mounted = mount("m");
    // Unmounted first.
    let _inner = mount("m/sub/n");
    for file in ["m/in", "m/sub/1", "m/sub/n/2"] {
        fs::write(bench.src().join(file), file).unwrap();
        touch(&bench.src().join(file), "@1000000000");
    }
    for dir in ["m/sub/n", "m/sub", "m"] {
        touch(&bench.src().join(dir), "@1000000000");
    }
    for way in WAYS {
        for args in [
            &["-aixR"][..],
            &["-aixR", "--no-inc-recursive"],
            &["-aixR", "--no-implied-dirs"],
            &["-aixR", "--delete"],
            &["-aixxR"],
        ] {
            bench.same_of(way, args, &["./m"]);
            bench.same_of(way, args, &["./m/in", "./m/sub/n/2"]);
            bench.same_of(way, args, &["./", "./m"]);
            bench.same_of(way, args, &["./x", "./m/sub", "./m/sub/n"]);
        }
        for args in ["-aix", "-aixx"] {
            bench.same_of(way, &[args], &["", "m"]);
            bench.same_of(way, &[args], &["", "m/"]);
            bench.same_of(way, &[args], &["m/", "a/"]);
        }
    }
}

#[test]
fn what_is_given_and_not_there_goes() {
    let bench = bench();
    for way in WAYS {
        for more in [&[][..], &["-n"], &["--delete"], &["-c", "--no-inc-recursive"], &["--protocol=30"], &["-XAUH"]] {
            let args = [&["-ai", "--delete-missing-args"][..], more].concat();
            let did = bench.same_of(way, &args, &["gone", "7", "z", "never"]);
            assert_eq!(did.deletions, ["*deleting   gone"], "{more:?}");
            bench.same_of(way, &args, &["gone"]);
            let did = bench.same_of(way, &[&args[..], &["-R"]].concat(), &["./x/gone", "./x/y/gone", "./x/y/5"]);
            assert_eq!(did.deletions.len(), 2, "{more:?}");
        }
        bench.same_of(way, &["-av", "--delete-missing-args", "--delete-during"], &["x/", "x/y", "y"]);
        bench.same_of(way, &["-ai", "--ignore-missing-args"], &["gone", "7"]);
    }
}

/// What is on the way to something, and is named behind that, is itself what is transferred.
#[test]
fn a_directory_that_is_named_behind_what_is_in_it_is_transferred() {
    let bench = bench();
    for way in WAYS {
        for more in [&[][..], &["--delete"], &["--no-inc-recursive", "--delete"], &["--protocol=30", "--delete"]] {
            let args = [&["-aiR"], more].concat();
            let did = bench.same_of(way, &args, &["./x/y", "./x"]);
            let gone = if more.is_empty() { 0 } else { 2 };
            assert_eq!((did.code, did.deletions.len()), (Some(0), gone), "{way:?} {more:?}: {did:?}");
            bench.same_of(way, &args, &["./x/y/5", "./x/", "./a/b/c/d", "./a/b"]);
        }
        bench.same_of(way, &["-aiR", "--no-implied-dirs"], &["./x/y", "./x"]);
    }
}

/// A remote shell would take a backslash away.
#[test]
fn a_backslash_is_a_byte_of_a_name() {
    let bench = bench();
    for name in ["back\\slash", "\\x", "st*ar", "a\\*b"] {
        fs::write(bench.src().join(name), name).unwrap();
    }
    for way in WAYS {
        for source in ["back\\slash", "\\x", "st\\*ar", "a\\*b", "back\\s*"] {
            // Here, no shell looks at them.
            let there = if way == Way::Push { bench.src().join(source).exists() } else { true };
            if there {
                bench.same_of(way, &["-ai"], &[source]);
            }
        }
    }
    let [theirs, ours] = [End::Stock, End::Ours].map(|client| {
        bench.prepare("ours");
        fs::create_dir(bench.path("ours/\\d")).unwrap();
        let output = finish(bench.client((client, End::Stock), Way::Push, &["-ai"], "ours/\\d"));
        (output.stdout, look(&bench.path("ours"), true))
    });
    assert!(!theirs.0.is_empty());
    assert_eq!(ours, theirs);
}

/// Old arguments are the remote shell's, which may make several of one.
#[test]
fn what_the_shell_makes_of_old_arguments_is_not_held_against_the_other_side() {
    let bench = bench();
    for name in ["one", "two"] {
        fs::write(bench.src().join(name), name).unwrap();
    }
    let two = format!("one {}/two", bench.src().display());
    let did = bench.same_of(Way::Pull, &["-ai", "--old-args"], &[&two]);
    assert_eq!((did.code, did.lines.len()), (Some(0), 2), "{did:?}");
}

/// Where one source says where its path begins, its beginning is on the way as well. The other is absolute, and stands where
/// the slash before it brings it.
#[test]
fn the_destination_is_left_as_it_is_where_it_is_on_the_way() {
    let bench = bench();
    for way in WAYS {
        for more in [&["--no-implied-dirs"][..], &[]] {
            let args = [&["-aiR"], more].concat();
            let run = |pair| {
                bench.prepare("ours");
                let output = finish(bench.client_of(pair, way, &args, &["x/y/5", "./a/4"], "ours"));
                let time = fs::metadata(bench.path("ours")).unwrap().mtime();
                let lines = String::from_utf8(output.stdout).unwrap();
                let mut lines: Vec<_> = lines.lines().map(str::to_owned).collect();
                lines.sort();
                (output.status.code(), lines, time == 1_100_000_000)
            };
            let (code, lines, retimed) = agreed(run, &(way, &args));
            assert!(code == Some(0) && (more.is_empty() || !retimed), "{way:?} {args:?} {lines:?}");
        }
    }
}

/// A server that is told other arguments than the client's lists what the client has not asked for.
#[test]
fn what_was_not_asked_for_ends_the_run() {
    let bench = Bench::new();
    fs::create_dir_all(bench.src().join("d/e")).unwrap();
    fs::create_dir_all(bench.src().join("q")).unwrap();
    fs::write(bench.src().join("d/e/y"), "").unwrap();
    fs::write(bench.path("l"), "d/e\n").unwrap();
    let from = format!("--files-from={}", bench.path("l").display());
    let (deeper, recursive) = ("s, --server, --server -r,", &[][..]);
    for (lie, args, source) in [
        (deeper, &["-d"][..], "d"),
        (deeper, &["-d"], "./"),
        (deeper, &["-d"], "*"),
        (deeper, &["-dR"], "./d"),
        (deeper, &["-l"], "d"),
        (deeper, &["-R"], "./d"),
        (deeper, &["--list-only"], "d"),
        (deeper, &["-d", &from[..]], "../src"),
        (deeper, &["--no-d", &from], ""),
        (deeper, &["--no-R", "--no-d", &from], ""),
        // These are not beneath what is asked for.
        ("s,/d/e,/d,", &["-rR"], "./d/e/y"),
        ("s,/d/e,/d,", &["-rR"], "./d/e/[z]"),
        ("s,/d/x,/d/e/y,", &["-R"], "./d/x"),
        ("s,/d/x,/d/e/y,", &["-rR", "--no-implied-dirs"], "./d/x"),
        // And these are.
        (deeper, recursive, "d/e/y"),
        (deeper, &["-R"], "./d/e/y"),
        ("s,/d/e,/d/e/y,", &["-rR"], "./d/e"),
        ("s,/d/e,/d/e/y,", &["-d"], "d/e/"),
    ] {
        bench.script("rsh", &format!("shift\nexec sh -c \"$(printf %s \"$*\" | sed '{lie}')\"\n"));
        let run = |pair| {
            bench.prepare("ours");
            let output = finish(bench.client_of(pair, Way::Pull, args, &[source], "ours"));
            let errors = String::from_utf8(output.stderr).unwrap();
            let refused = errors.lines().find(|line| line.starts_with("ERROR: rejecting")).map(str::to_owned);
            (output.status.code(), refused, look(&bench.path("ours"), false).into_keys().collect::<Vec<_>>())
        };
        let (code, refused, _) = agreed(run, &(lie, args, source));
        assert_eq!(code == Some(4), refused.is_some(), "{lie} {args:?} {source}: {code:?} {refused:?}");
    }
}

/// `--trust-sender` is about what was asked for and what is left out; no name leads out of the destination all the same.
#[test]
fn a_sender_is_trusted_with_names_that_are_left_out_and_not_with_unsafe_ones() {
    let bench = Bench::new();
    ["a", "b"].iter().for_each(|name| fs::write(bench.src().join(name), name).unwrap());
    for (lie, args, code) in [
        ("s,--server --sender,--server --sender --include=b,", &["-a", "--exclude=b"][..], 4),
        ("s,--server --sender,--server --sender --include=b,", &["-a", "--exclude=b", "--old-args"], 4),
        ("s,--server --sender,--server --sender --include=b,", &["-a", "--exclude=b", "--trust-sender"], 0),
        ("s,--server --sender,--server --sender -R,", &["-a"], 4),
        ("s,--server --sender,--server --sender -R,", &["-a", "--trust-sender"], 4),
    ] {
        bench.script("rsh", &format!("shift\nexec sh -c \"$(printf %s \"$*\" | sed '{lie}')\"\n"));
        // Whether an absolute name comes as one depends on who sends it.
        let run = |client| {
            bench.prepare("ours");
            let output = finish(bench.client((client, End::Stock), Way::Pull, args, "ours"));
            let errors = String::from_utf8(output.stderr).unwrap();
            let told: Vec<_> = errors.lines().map(|line| line.split(" at ").next().unwrap().to_owned()).collect();
            (output.status.code(), told, look(&bench.path("ours"), false).into_keys().collect::<Vec<_>>())
        };
        let stock = run(End::Stock);
        assert_eq!(stock.0, Some(code), "{args:?}: {stock:?}");
        assert_eq!(run(End::Ours), stock, "{lie} {args:?}");
    }
}
