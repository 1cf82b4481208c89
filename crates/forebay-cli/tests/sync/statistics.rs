//! `--stats`, `-v` and `--info=progress2`: rsync's lines with rsync's numbers, where they mean the same.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::harness::{Bench, FOREBAY, copy};
use crate::tree::{Rng, change, fill};

/// The lines of a `--stats` block that do not depend on a wire.
fn comparable(output: &str) -> Vec<&str> {
    let same =
        ["Number of ", "Total file size", "Total transferred file size", "Literal data", "Matched data", "total size"];
    output
        .lines()
        .filter(|line| same.iter().any(|start| line.starts_with(start)))
        .map(|line| line.split("  speedup").next().unwrap())
        .collect()
}

#[test]
fn the_numbers_are_rsyncs() {
    for seed in 0..15 {
        let mut rng = Rng::new(seed);
        let bench = Bench::new();
        fill(&mut rng, &bench.src(), 3);
        bench.both(|place| {
            copy(&bench.src(), &place.join("dst"));
            change(&mut rng, &place.join("dst"), 2);
        });
        let [theirs, ours] = bench.places();
        let src = format!("{}/", bench.src().display());
        for options in
            [&["-an", "--delete"][..], &["-an", "--protocol=30"], &["-a"], &["-a", "--delete"], &["-a", "--delete"]]
        {
            let run = |program: &str, first: &[&str], place| {
                let output = Command::new(program)
                    .args(first)
                    .args(options)
                    .args(["--stats", &src, "dst"])
                    .current_dir(place)
                    .output()
                    .unwrap();
                String::from_utf8(output.stdout).unwrap()
            };
            let (expected, got) = (run("rsync", &[], &theirs), run(FOREBAY, &["sync"], &ours));
            assert_eq!(comparable(&got), comparable(&expected), "seed {seed}, {options:?}");
            assert_eq!(got.lines().filter(|line| line.starts_with("forebay: ")).count(), 6, "{got}");
        }
    }
}

/// Names that are given twice count each time, whatever becomes of them.
#[test]
fn what_is_given_twice_is_counted_twice() {
    let bench = Bench::new();
    let src = bench.src();
    for dir in ["a/sub/deep", "b/sub/deep"] {
        fs::create_dir_all(src.join(dir)).unwrap();
    }
    for (file, size) in [("x", 10), ("a/f", 5), ("b/f", 7), ("a/sub/g", 3), ("b/sub/g", 1), ("b/sub/h", 2)] {
        fs::write(src.join(file), vec![b'x'; size]).unwrap();
    }
    for file in ["a/sub/deep/1", "b/sub/deep/1", "b/sub/deep/2"] {
        fs::write(src.join(file), file).unwrap();
    }
    symlink("x", src.join("l")).unwrap();
    bench.both(|place| {
        copy(&src, &place.join("src"));
        fs::write(place.join("names"), "a/f\na/f\na\na/sub/\na/sub/g\nx\na/\nb/f\na/sub/deep/1\n").unwrap();
    });
    let counted = |args: &str, last: &[String]| {
        let [theirs, ours] = [("rsync", &[][..]), (FOREBAY, &["sync"])].map(|(program, first)| {
            let place = &bench.places()[usize::from(program == FOREBAY)];
            let _ = fs::remove_dir_all(place.join("new"));
            let args = args.split(' ').map(str::to_owned).chain(last.iter().cloned());
            let output =
                Command::new(program).args(first).arg("--stats").args(args).current_dir(place).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        });
        assert_eq!(comparable(&ours), comparable(&theirs), "{args}");
    };
    let into = |sources: &str| -> Vec<String> {
        sources.split(' ').map(|source| format!("src/{source}")).chain(["new/".to_owned()]).collect()
    };
    for sources in [
        "x x x",
        "x a/f x l l",
        "a a",
        "a a a",
        "a b a",
        "a/ b/",
        "a/ a/ b/ b/",
        "a/ b/ b/",
        "b/ b/ b/ b/ b/",
        "a/ b/ a/ b/",
        "a x a/ x",
        "./a a",
        "a/sub b/sub a/sub",
    ] {
        for options in
            ["-a", "-r", "-a --no-i-r", "-an", "-a --delete-after", "-am", "-dl", "-aH", "-avv --delete-before"]
        {
            counted(options, &into(sources));
        }
    }
    for sources in [
        ". ./x",
        "./a/f ./a/f",
        "./a ./a",
        "./a/f ./b/f ./a/f",
        "./a ./a/sub/deep/1",
        "./a/sub/g ./x ./a/f ./a/sub/deep ./a",
        "./a/sub ./a/sub/g",
    ] {
        for options in ["-aR", "-aR --no-i-r", "-dlR", "-aR --no-implied-dirs"] {
            counted(options, &into(sources));
        }
    }
    for options in ["-a", "-ar --no-i-r", "-a --no-R", "-r --no-R --no-i-r"] {
        counted(&format!("{options} --files-from=names src new"), &[]);
    }
}

#[test]
fn progress_ends_with_everything_checked() {
    let bench = Bench::new();
    fill(&mut Rng::new(9), &bench.src(), 2);
    let output = Command::new(FOREBAY)
        .args(["sync", "-a", "--info=progress2"])
        .arg(format!("{}/", bench.src().display()))
        .arg(bench.places()[1].join("dst"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let last = text.trim_end_matches('\n').rsplit('\r').next().unwrap();
    assert!(last.contains(" 100% ") && last.contains("(xfr#") && last.contains("to-chk=0/"), "{text:?}");
}
