//! What the two ends can agree on: versions, sums, compressors.

use std::fs;

use crate::harness::{Bench, WAYS, agreed, finish};

/// A file that compresses, of which the destination has most.
fn bench() -> Bench {
    let bench = Bench::new();
    let text: String = (0..40_000).map(|n| format!("line {}\n", n * n % 977)).collect();
    fs::write(bench.src().join("text"), &text).unwrap();
    fs::write(bench.src().join("new"), &text[1000..90_000]).unwrap();
    fs::write(bench.old().join("text"), text.replacen("line 1", "LINE 1", 20)).unwrap();
    bench
}

#[test]
fn each_version() {
    let bench = bench();
    for way in WAYS {
        for version in ["--protocol=30", "--protocol=31", "--protocol=32"] {
            bench.same(way, &["-ai", version]);
            bench.same(way, &["-aiz", "--delete", version]);
        }
    }
}

#[test]
fn each_sum() {
    let bench = bench();
    for way in WAYS {
        for name in ["xxh128", "xxh3", "xxh64", "md5", "md4", "sha1", "none", "md5,xxh64"] {
            bench.same(way, &["-ai", &format!("--checksum-choice={name}")]);
        }
        bench.same(way, &["-aic", "--cc=md5,xxh3"]);
        // What is left open beside the other is not a matter of what both have.
        for pair in ["auto,xxh64", "xxh64,auto"] {
            let did = bench.same(way, &["-a", &format!("--cc={pair}"), "--out-format=%n %C"]);
            let long = did.lines.iter().filter(|line| line.starts_with("new ")).map(String::len).next();
            assert_eq!(long, Some(4 + if pair.starts_with("auto") { 32 } else { 16 }), "{did:?}");
            bench.same(way, &["-ac", &format!("--cc={pair}"), "--out-format=%n %C"]);
        }
    }
}

/// Whoever sends has none for `-c`, and says so before there is a list.
#[test]
fn no_sum_is_none_to_compare_with() {
    let bench = bench();
    for way in WAYS {
        for args in [&["-aic", "--cc=none"][..], &["-ac", "--cc=md5,none"], &["-ac", "--cc=none", "--append"]] {
            let refused = |pair| {
                let did = bench.run(pair, way, args, "ours");
                (
                    did.code,
                    did.lines,
                    did.errors.into_iter().find(|line| line.contains("whole") || line.contains("none")),
                )
            };
            let expected = agreed(refused, &(way, args));
            assert_eq!(expected.1, [""; 0]);
            assert!(expected.2.is_some(), "{expected:?}");
        }
        bench.same(way, &["-aic", "--cc=none,md5"]);
    }
}

#[test]
fn each_compressor() {
    let bench = bench();
    for way in WAYS {
        for name in ["zstd", "lz4", "zlibx", "zlib", "none"] {
            bench.same(way, &["-ai", &format!("--compress-choice={name}")]);
        }
        bench.same(way, &["-aiz", "--compress-level=1"]);
        bench.same(way, &["-aiz", "--compress-level=0"]);
        for kind in ["--zc=zlib", "--zc=zlibx", "--zc=lz4", "--old-compress", "--new-compress"] {
            bench.same(way, &["-ai", kind, "--zl=0"]);
        }
        bench.same(way, &["-aiz", "--compress-choice=none"]);
        bench.same(way, &["-ai", "--compress-choice=auto"]);
        bench.same(way, &["-ai", "--compress-level=3"]);
        bench.same(way, &["-ai", "--old-compress"]);
        bench.same(way, &["-ai", "--new-compress"]);
    }
}

/// A version that there is not yet is the newest that both have.
#[test]
fn a_version_to_come() {
    let bench = bench();
    for way in WAYS {
        let did = bench.same(way, &["-ai", "--protocol=33"]);
        assert_eq!(did.code, Some(0), "{did:?}");
    }
}

/// The client says what each side has, and the exit code says it, too.
#[test]
fn nothing_that_both_have() {
    let bench = bench();
    for (name, value) in [
        ("RSYNC_CHECKSUM_LIST", "nope"),
        ("RSYNC_COMPRESS_LIST", "nope"),
        // Of the client, and of the server.
        ("RSYNC_CHECKSUM_LIST", "nope & md5 md4"),
        ("RSYNC_COMPRESS_LIST", "zstd lz4 & nope nada"),
        ("RSYNC_COMPRESS_LIST", "zstd lz4 & zlib zlibx"),
    ] {
        for way in WAYS {
            let refused = |pair| {
                bench.prepare("ours");
                let mut command = bench.client(pair, way, &["-az"], "ours");
                command.env(name, value);
                let output = finish(command);
                let errors = String::from_utf8(output.stderr).unwrap();
                let said = ["Failed", "Server", "Client"];
                let lines = errors.lines().filter(|line| said.iter().any(|start| line.starts_with(start)));
                (output.status.code(), lines.map(str::to_owned).collect::<Vec<_>>())
            };
            let (code, lines) = agreed(refused, &(way, name, value));
            assert_eq!((code, lines.len()), (Some(4), 3), "{way:?} {name}={value}: {lines:?}");
        }
    }
}
