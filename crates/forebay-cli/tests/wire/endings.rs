//! How a session ends that does not go well: who says so, once.

use std::fs;

use crate::harness::{Bench, WAYS, Way, agreed, finish};

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
        for args in [&["-a", "--temp-dir=/none"][..], &["-a", "--temp-dir=/none", "--no-inc-recursive"]] {
            let lines = ended(&bench, way, args, &[""]);
            assert_eq!(
                lines,
                ["The temp-dir does not exist: /none", "rsync error: syntax or usage error (code 1) [Receiver]"]
            );
        }
    }
}
