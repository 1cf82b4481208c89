//! How a session ends that does not go well: who says so, once.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Bench, End, PAIRS, WAYS, Way, agreed, finish, noise};
use crate::tree::{Mounted, rustix_is_root};

/// The lines on standard error of `args` with `source`, each with the part that it names itself by instead of where it comes from.
fn ended(bench: &Bench, way: Way, args: &[&str], sources: &[&str]) -> Vec<String> {
    let lines = |pair| {
        bench.prepare("ours");
        let output = finish(bench.client_of(pair, way, args, sources, "ours"));
        let errors = String::from_utf8(output.stderr).unwrap();
        let lines = errors.lines().filter(|line| !line.ends_with("write error: Broken pipe (32)"));
        let mut lines: Vec<_> = lines
            .map(|line| {
                match (line.split_once(" at "), line.rsplit_once('[').and_then(|(_, end)| end.split_once('='))) {
                    (Some((text, _)), Some((role, _))) => format!("{text} [{role}]"),
                    _ => line.to_owned(),
                }
            })
            .collect();
        lines.sort();
        (output.status.code(), lines)
    };
    agreed(lines, &(way, args)).1
}

#[test]
fn the_side_that_ends_it_is_named() {
    let bench = Bench::new();
    fs::write(bench.src().join("a"), "a").unwrap();
    fs::write(bench.old().join("gone"), "gone").unwrap();
    for way in WAYS {
        for (args, sources, role) in [
            (&["-a"][..], &["none"][..], "Receiver"),
            (&["-a"], &["none", "a"], "generator"),
            (&["-r", "--delete", "--max-delete=0"], &[""], "generator"),
            (&["-a", "--foo"], &[""], "client"),
            (&["-a", "--cc=foo"], &[""], "client"),
            (&["-a", "-M--foo"], &[""], "Receiver"),
            (&["-a", "-M--timeout=x"], &[""], "Receiver"),
            (&["-a", "-M--recursive=3"], &[""], "Receiver"),
            (&["-a", "-M-Q"], &[""], "Receiver"),
        ] {
            let lines = ended(&bench, way, args, sources);
            let role = if way == Way::Push && role != "client" { "sender" } else { role };
            let role = format!(" [{role}]");
            assert!(lines.iter().any(|line| line.ends_with(&role)), "{way:?} {args:?}: {lines:?}");
        }
    }
}

/// Whoever ends it tells the other side, which says nothing more then.
#[test]
fn the_end_is_told_once() {
    let bench = Bench::new();
    fs::write(bench.src().join("a"), "a").unwrap();
    for way in WAYS {
        for (args, why) in [
            (&["-a", "--temp-dir=/none"][..], "The temp-dir does not exist: /none"),
            (&["-a", "--temp-dir=/none", "--no-inc-recursive"], "The temp-dir does not exist: /none"),
            (&["-a", "--usermap=bogus"], "No colon found in --usermap: bogus"),
        ] {
            let lines = ended(&bench, way, args, &[""]);
            assert_eq!(lines, [why, "rsync error: syntax or usage error (code 1) [Receiver]"]);
        }
    }
}

/// Why nothing can be written is told, and is the exit code, at whichever end it is.
#[test]
fn a_full_disk_is_told_by_the_side_that_receives() {
    assert!(rustix_is_root(), "this test mounts a small file system and needs root");
    let bench = Bench::new();
    let src = bench.src();
    fs::write(src.join("a"), noise(400_000)).unwrap();
    fs::write(src.join("large"), noise(9_000_000)).unwrap();
    fs::create_dir(src.join("z")).unwrap();
    (0..50).for_each(|n| fs::write(src.join(format!("z/{n}")), "behind it").unwrap());
    fs::create_dir(bench.path("ours")).unwrap();
    for way in WAYS {
        for args in [&["-a"][..], &["-a", "--inplace"], &["-az", "--no-inc-recursive"]] {
            for pair in [(End::Stock, End::Stock)].into_iter().chain(PAIRS) {
                let _mounted = Mounted::new(&bench.path("ours"), "1m");
                let output = finish(bench.client_of(pair, way, args, &[""], "ours"));
                let errors = String::from_utf8(output.stderr).unwrap();
                assert_eq!(output.status.code(), Some(11), "{pair:?} {way:?} {args:?}: {errors}");
                let [told, full] = ["rsync: [receiver] write failed on \"", "large\": No space left on device (28)"];
                let full = errors.lines().filter(|line| line.starts_with(told) && line.ends_with(full));
                let end = errors.lines().filter(|line| line.starts_with("rsync error: error in file IO (code 11) at "));
                assert_eq!((full.count(), end.count()), (1, 1), "{pair:?} {way:?} {args:?}: {errors}");
            }
        }
    }
}

/// The exit code and the first line of each of several runs, but for the number of bytes that were received.
fn first_lines(bench: &Bench, way: Way, args: &[&str], sources: &[&str]) -> (Option<i32>, String) {
    let run = |pair| {
        bench.prepare("ours");
        let output = finish(bench.client_of(pair, way, args, sources, "ours"));
        let errors = String::from_utf8(output.stderr).unwrap();
        let first = errors.lines().next().unwrap_or_default();
        (output.status.code(), first.split(" (").next().unwrap_or_default().to_owned())
    };
    agreed(run, &(way, args))
}

/// Whatever kills the other side has nothing to say.
#[test]
fn who_is_killed_has_no_exit_code() {
    let bench = Bench::new();
    fs::write(bench.src().join("large"), noise(1 << 20)).unwrap();
    for signal in ["KILL", "SEGV"] {
        // It takes something before it goes.
        bench.script("rsh", &format!("head -c 4 >\"$0.took\"\nkill -{signal} $$\n"));
        for way in WAYS {
            let run = |client| {
                let output = finish(bench.client((client, End::Stock), way, &["-a", "--protocol=31"], "ours"));
                output.status.code()
            };
            assert_eq!(run(End::Ours), run(End::Stock), "{signal} {way:?}");
        }
    }
}

#[test]
fn names_that_are_not_there_end_it_before_it_begins() {
    let bench = Bench::new();
    fs::write(bench.src().join("a"), "a").unwrap();
    for way in WAYS {
        let (code, first) = first_lines(&bench, way, &["-a", "--files-from=:/none"], &[""]);
        assert_eq!(
            (code, &first[..]),
            (Some(12), "rsync: failed to open files-from file /none: No such file or directory")
        );
    }
}

/// What is only listed is neither written nor deleted.
#[test]
fn a_listing_of_what_would_be_sent_deletes_nothing() {
    let bench = Bench::new();
    fs::write(bench.src().join("a"), "a").unwrap();
    fs::write(bench.old().join("gone"), "gone").unwrap();
    for way in WAYS {
        for when in ["--delete", "--delete-before", "--delete-after"] {
            let did = bench.same(way, &["-a", "--list-only", when]);
            assert_eq!(did.code, Some(0), "{way:?} {when}");
        }
    }
}

/// Starts a client of `pair` with a file that would take minutes, and waits until some of that is there. `rsh` is how the server
/// is started.
fn begun(bench: &Bench, pair: (End, End), way: Way, rsh: &str) -> Child {
    begun_at("--bwlimit=100", bench, pair, way, rsh)
}

/// As [`begun`], at this rate.
fn begun_at(rate: &str, bench: &Bench, pair: (End, End), way: Way, rsh: &str) -> Child {
    fs::write(bench.src().join("large"), noise(12 << 20)).unwrap();
    bench.script("rsh", rsh);
    bench.prepare("ours");
    let mut client = bench.client(pair, way, &["-aW", rate], "ours");
    let client = client.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    until("something comes", || fs::read_dir(bench.path("ours")).unwrap().count() > 0);
    client
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

/// A server that is interrupted in the middle of a file that comes slowly says so once, and at once.
#[test]
fn a_server_tells_that_it_was_interrupted() {
    let bench = Bench::new();
    for way in WAYS {
        for (signal, code) in [("TERM", 20), ("USR1", 19)] {
            for pair in [(End::Stock, End::Ours), (End::Ours, End::Ours)] {
                let client = begun(&bench, pair, way, "shift\necho $$ >\"$0.pid\"\nexec sh -c \"exec $*\"\n");
                let server = fs::read_to_string(bench.path("rsh.pid")).unwrap();
                assert!(Command::new("kill").args(["-s", signal, server.trim()]).status().unwrap().success());
                let output = client.wait_with_output().unwrap();
                let errors = String::from_utf8(output.stderr).unwrap();
                assert_eq!(output.status.code(), Some(code), "{pair:?} {way:?} {signal}: {errors}");
                // Who sends, and 19, is believed by its exit code alone.
                let told = errors.lines().filter(|line| line.contains(&format!("(code {code}) at forebay sync ")));
                let alone = code == 20 && way == Way::Push;
                assert!(!alone || told.count() == 1, "{pair:?} {way:?} {signal}: {errors}");
                assert!(!alone || !errors.contains("unexpectedly closed"), "{pair:?} {way:?} {signal}: {errors}");
                assert_eq!(fs::read_dir(bench.path("ours")).unwrap().count(), 0, "{pair:?} {way:?} {signal}");
            }
        }
    }
}

/// That it is gone is said, and not that nothing can be written to it.
#[test]
fn a_server_that_is_killed_is_gone() {
    let bench = Bench::new();
    for way in WAYS {
        let run = |pair| {
            // Of stock rsync's server, one process goes on taking what comes.
            let rsh = "shift\necho $$ >\"$0.pid\"\nexec sh -c \"exec $*\"\n";
            let client = begun_at("--bwlimit=8000", &bench, pair, way, rsh);
            let server = fs::read_to_string(bench.path("rsh.pid")).unwrap();
            assert!(Command::new("kill").args(["-s", "KILL", server.trim()]).status().unwrap().success());
            let output = client.wait_with_output().unwrap();
            let errors = String::from_utf8(output.stderr).unwrap();
            (output.status.code(), errors.contains("rsync: connection unexpectedly closed ("))
        };
        for pair in [(End::Stock, End::Stock), (End::Ours, End::Stock), (End::Ours, End::Ours)] {
            assert_eq!(run(pair), (Some(12), true), "{pair:?} {way:?}");
        }
    }
}

/// A sender that gives no sign of life for longer than the time-out is waited for, as long as the pipe takes ours.
#[test]
fn who_works_for_long_is_waited_for() {
    let bench = Bench::new();
    fs::write(bench.src().join("large"), noise(4 << 20)).unwrap();
    let stops = "shift\nexec 3<&0\nsh -c \"exec $*\" <&3 &\nsleep 1\nkill -STOP $!\nsleep 4\nkill -CONT $!\nwait $!\n";
    bench.script("rsh", stops);
    for client in [End::Stock, End::Ours] {
        bench.prepare("ours");
        let args = ["-aW", "--bwlimit=2000", "--timeout=2", "-M--timeout=0"];
        let output = finish(bench.client((client, End::Stock), Way::Pull, &args, "ours"));
        assert_eq!(output.status.code(), Some(0), "{client:?}: {output:?}");
        assert_eq!(fs::metadata(bench.path("ours/large")).unwrap().len(), 4 << 20, "{client:?}");
    }
}

/// What a server says on its own standard error when its client is gone.
#[test]
fn a_server_whose_client_is_gone_says_so_where_it_was_started() {
    let bench = Bench::new();
    for pair in [(End::Stock, End::Stock)].into_iter().chain(PAIRS) {
        let rsh = "shift\nsh -c \"$*\" 2>\"$0.told\"\n>\"$0.over\"\n";
        let mut client = begun(&bench, pair, Way::Push, rsh);
        client.kill().unwrap();
        client.wait().unwrap();
        until("the server ends", || bench.path("rsh.over").exists());
        fs::remove_file(bench.path("rsh.over")).unwrap();
        let told = fs::read_to_string(bench.path("rsh.told")).unwrap();
        let lines: Vec<_> = told.lines().collect();
        let &[closed, end] = &lines[..] else { panic!("{pair:?}: {told}") };
        assert!(closed.starts_with("rsync: connection unexpectedly closed ("), "{pair:?}: {told}");
        assert!(end.starts_with("rsync error: error in rsync protocol data stream (code 12) at "), "{pair:?}: {told}");
    }
}

/// A server that sends and cannot begin says why, and ends.
#[test]
fn a_sender_that_cannot_begin_ends_the_session() {
    let bench = Bench::new();
    fs::create_dir(bench.src().join("d")).unwrap();
    fs::write(bench.src().join("a"), "a").unwrap();
    let (code, first) = first_lines(&bench, Way::Pull, &["-aR"], &["d/../a"]);
    assert_eq!(code, Some(12), "{first}");
    assert!(first.starts_with("found \"..\" dir in relative path: "), "{first}");
}
