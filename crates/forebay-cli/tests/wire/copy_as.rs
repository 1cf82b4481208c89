//! `--copy-as` between two machines: it is for the side that is told.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::harness::{Bench, End, PAIRS, WAYS, Way, finish};

const NOBODY: u32 = 65_534;

#[test]
fn the_side_that_is_told_reads_and_writes_as_that_user() {
    for (client, server) in PAIRS {
        for way in WAYS {
            for option in ["--copy-as=nobody", "-M--copy-as=nobody"] {
                let bench = Bench::new();
                // Others must be able to enter.
                fs::set_permissions(bench.path(""), Permissions::from_mode(0o755)).unwrap();
                for (name, mode) in [("a", 0o644), ("secret", 0o600)] {
                    fs::write(bench.src().join(name), name).unwrap();
                    fs::set_permissions(bench.src().join(name), Permissions::from_mode(mode)).unwrap();
                }
                bench.prepare("got");
                fs::set_permissions(bench.path("got"), Permissions::from_mode(0o777)).unwrap();
                let output = finish(bench.client((client, server), way, &["-rlpt", option], "got"));
                let text = String::from_utf8_lossy(&output.stderr).into_owned();
                let case = format!("{client:?} {server:?} {way:?} {option}: {text}");
                assert_eq!(output.status.code(), Some(23), "{case}");
                // The client's own side, or the other.
                let receives = (way == Way::Pull) == option.starts_with("--copy");
                let owner = fs::metadata(bench.path("got/a")).unwrap().uid();
                assert_eq!(owner, if receives { NOBODY } else { 0 }, "{case}");
                assert_eq!(bench.path("got/secret").exists(), receives, "{case}");
            }
        }
    }
    assert!(PAIRS.contains(&(End::Ours, End::Ours)));
}
