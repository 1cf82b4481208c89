//! Paths that are kept, and names that are given and not there.

use std::fs;

use crate::harness::{Bench, WAYS};
use crate::tree::touch;

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
