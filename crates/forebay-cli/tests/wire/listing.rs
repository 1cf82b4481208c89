//! What is said of a list while it is made, and what becomes of one that cannot be made to its end.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rustix::fs::{AtFlags, Mode, OFlags};

use crate::harness::{Bench, End, PAIRS, WAYS, Way, agreed, finish};

#[test]
fn a_list_that_is_complete_before_anything_else_is_told_as_stock_rsync_does() {
    for entries in [0, 5, 99, 100, 250] {
        let bench = Bench::new();
        // With the root.
        (1..entries).for_each(|n| fs::write(bench.src().join(n.to_string()), "").unwrap());
        for way in WAYS {
            for args in [
                &["-a", "--info=flist2", "--no-inc-recursive"][..],
                &["-a", "--progress", "--delete-before"],
                &["-av", "--delay-updates"],
                &["-av"],
                &["-avm"],
                &["-d", "--info=flist2"],
            ] {
                let head = |pair| {
                    bench.prepare("ours");
                    let text = String::from_utf8(finish(bench.client(pair, way, args, "ours")).stdout).unwrap();
                    text.split_inclusive('\n')
                        .filter(|line| line.contains(" file list") || line.contains(" to consider"))
                        .collect::<String>()
                };
                let expected = head((End::Stock, End::Stock));
                assert!(!expected.is_empty());
                for server in [End::Stock, End::Ours] {
                    assert_eq!(head((End::Ours, server)), expected, "{server:?} {way:?} {args:?} {entries}");
                }
            }
        }
    }
}

#[test]
fn with_vv_what_comes_first_and_last_is_told_as_stock_rsync_does() {
    let bench = Bench::new();
    fs::write(bench.src().join("a file"), "x").unwrap();
    for way in WAYS {
        for args in
            [&["-avv"][..], &["-avvs"], &["-avvn", "--delete-before"], &["-avv", "--progress"], &["-av", "--debug=cmd"]]
        {
            for server in [End::Stock, End::Ours] {
                let told = |client| {
                    let _ = fs::remove_dir_all(bench.path("new"));
                    let output = finish(bench.client((client, server), way, args, "new"));
                    let text = String::from_utf8(output.stdout).unwrap();
                    let is_told = |line: &&str| {
                        let starts =
                            ["opening ", "protected ", "receiving ", "sending ", "building ", "created ", "delta-"];
                        starts.iter().any(|start| line.starts_with(start)) || line.starts_with("total: matches")
                    };
                    text.lines().filter(is_told).map(str::to_owned).collect::<Vec<_>>()
                };
                let expected = told(End::Stock);
                assert!(expected[0].starts_with("opening connection using: "), "{expected:?}");
                assert_eq!(told(End::Ours), expected, "{server:?} {way:?} {args:?}");
            }
        }
    }
}

#[test]
fn a_directory_that_cannot_be_read_is_told_of_and_the_rest_is_copied() {
    let bench = Bench::new();
    for d in 0..30 {
        let dir = bench.src().join(format!("d{d}"));
        fs::create_dir(&dir).unwrap();
        (0..50).for_each(|n| fs::write(dir.join(n.to_string()), "x").unwrap());
    }
    let closed = bench.src().join("d20/closed");
    fs::create_dir(&closed).unwrap();
    fs::write(closed.join("x"), "x").unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    for path in [bench.path(""), bench.src()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let run = |pair, way| {
        let place = bench.path("ours");
        bench.prepare("ours");
        assert!(Command::new("chown").arg("65534:65534").arg(&place).status().unwrap().success());
        let client = bench.client(pair, way, &["-ai"], "ours");
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.arg(client.get_program()).args(client.get_args());
        let output = finish(command);
        let errors = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned();
        let mut lines: Vec<_> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        (output.status.code(), errors, lines)
    };
    for way in WAYS {
        let expected = agreed(|pair| run(pair, way), &way);
        assert_eq!(expected.0, Some(23));
        assert!(expected.1.contains("/d20/closed\" failed: Permission denied"), "{}", expected.1);
    }
}

#[test]
fn a_list_that_breaks_off_behind_the_first_says_why() {
    let bench = Bench::new();
    for d in 0..40 {
        let dir = bench.src().join(format!("d{d:02}"));
        fs::create_dir(&dir).unwrap();
        (0..60).for_each(|n| fs::write(dir.join(n.to_string()), "x").unwrap());
    }
    fs::write(bench.src().join("d39/.rsync-filter"), "?x bad\n").unwrap();
    let run = |pair| {
        bench.prepare("ours");
        let output = finish(bench.client(pair, Way::Pull, &["-aF"], "ours"));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let ended = errors.contains("rsync error: syntax or usage error (code 1) at ");
        (output.status.code(), errors.contains("Unknown filter rule: "), ended)
    };
    // As with rsync, who sends there says why it ends, and the client finds itself alone.
    assert_eq!(agreed(run, &"-aF"), (Some(12), true, true));
    // The sender is the client, and says it itself.
    for server in [End::Stock, End::Ours] {
        let output = finish(bench.client((End::Ours, server), Way::Push, &["-aF"], "ours"));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(errors.contains("Unknown filter rule: "), "{server:?}: {errors}");
        assert_eq!(output.status.code(), Some(1), "{server:?}: {errors}");
    }
}

/// Directories in each other, with a file in each, to a path of more bytes than fit into a list.
fn deep(root: &Path) {
    let name = "d".repeat(200);
    let mut dir: OwnedFd = fs::File::open(root).unwrap().into();
    for n in 0..22 {
        rustix::fs::mkdirat(&dir, &*name, Mode::RWXU).unwrap();
        let flags = OFlags::CREATE | OFlags::WRONLY;
        rustix::fs::openat(&dir, format!("f{n}"), flags, Mode::RUSR | Mode::WUSR).unwrap();
        dir = rustix::fs::openat(&dir, &*name, OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
}

/// How many files [`deep`] has made and are there still.
fn left(root: &Path) -> usize {
    let mut dir: OwnedFd = fs::File::open(root).unwrap().into();
    let mut left = 0;
    for n in 0..22 {
        left += usize::from(rustix::fs::statat(&dir, format!("f{n}"), AtFlags::empty()).is_ok());
        match rustix::fs::openat(&dir, &*"d".repeat(200), OFlags::DIRECTORY, Mode::empty()) {
            Ok(next) => dir = next,
            Err(_) => break,
        }
    }
    left
}

#[test]
fn what_no_list_has_room_for_is_not_deleted() {
    let bench = Bench::new();
    deep(&bench.src());
    for way in WAYS {
        for pair in PAIRS {
            fs::create_dir(bench.path("ours")).unwrap();
            deep(&bench.path("ours"));
            fs::write(bench.path("ours/extra"), "extra").unwrap();
            let output = finish(bench.client(pair, way, &["-r", "--size-only", "--delete"], "ours"));
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(23), "{pair:?} {way:?}: {errors}");
            assert_eq!(left(&bench.path("ours")), 22, "{pair:?} {way:?}: {errors}");
            fs::remove_dir_all(bench.path("ours")).unwrap();
        }
    }
}
