//! When and how much is deleted, on random trees: the same entries, in the same order, counted alike.

use std::fs;

use crate::harness::{Bench, copy, rounds};
use crate::tree::{Rng, change, fill, touch};

const WHEN: &[&str] = &[
    "--delete",
    "--delete-before",
    "--delete-during",
    "--del",
    "--delete-delay",
    "--delete-after",
    "--delete-excluded",
];

fn round(seed: u64) {
    let mut rng = Rng::new(seed);
    let bench = Bench::new();
    fill(&mut rng, &bench.src(), 4);
    bench.both(|place| {
        copy(&bench.src(), &place.join("dst"));
        change(&mut rng, &place.join("dst"), 3);
    });
    change(&mut rng, &bench.src(), 3);
    let mut args = vec![rng.pick(&["-ai", "-av", "-aiv", "-ri"]).to_owned(), rng.pick(WHEN).to_owned()];
    if rng.one_in(2) {
        args.push(format!("--max-delete={}", rng.below(12)));
    }
    for (option, odds) in [("--force", 4), ("--ignore-errors", 4), ("--exclude=a*", 4), ("--filter=P foo*", 4)] {
        if rng.one_in(odds) {
            args.push(option.to_owned());
        }
    }
    args.push(format!("{}/", bench.src().display()));
    args.push("dst".to_owned());
    eprintln!("seed {seed}: {args:?}");
    bench.same(&args);
}

#[test]
fn whatever_is_deleted_whenever_is_what_rsync_deletes() {
    rounds(60, round);
}

#[test]
fn what_is_not_there_is_looked_through_as_well() {
    for when in ["--delete-before", "--delete-after -n", "--delete-before -n", "--delete-before --existing"] {
        for sources in ["src", "src/", "-R src/", "-R src/b/", "src src/b"] {
            for blocked in [false, true] {
                let bench = Bench::new();
                bench.both(|place| {
                    fs::create_dir_all(place.join("src/b")).unwrap();
                    fs::write(place.join("src/b/f"), "text").unwrap();
                    fs::write(place.join("src/b/x"), "left out").unwrap();
                    fs::create_dir(place.join("dst")).unwrap();
                    if blocked {
                        fs::write(place.join("dst/src"), "file").unwrap();
                    }
                    for path in ["src/b/f", "src/b", "src", "dst"] {
                        touch(&place.join(path), "@1000000000");
                    }
                });
                let args = format!("-avv --exclude=x {when} {sources} dst");
                bench.same(&args.split(' ').collect::<Vec<_>>());
            }
        }
    }
}
