//! Random trees and options, copied into nothing and over what was there before random changes.
//!
//! An option takes part by a row of [`OPTIONS`].

use crate::harness::{Bench, copy, rounds};
use crate::tree::{Rng, change, fill};

/// What a round begins with: one of these.
const BASES: &[&str] = &["-ai", "-aiv", "-av", "-avv", "-aivv", "-rlti", "-rlpgoi", "-rlptDi", "-ri", "-a", "-rpti"];

/// What may be added: arguments, and in one of how many rounds they are. `{other}` stands for a tree that is like the
/// source in most things, beside the destination.
const OPTIONS: &[(&str, u64)] = &[
    ("--delete", 3),
    ("-c", 4),
    ("-u", 4),
    ("-n", 4),
    ("--no-p", 5),
    ("--no-o", 5),
    ("--no-t", 5),
    ("--no-D", 5),
    ("--no-l", 5),
    ("-q", 8),
    ("-ii", 8),
    ("--info=name0", 12),
    ("--info=name2", 12),
    ("--info=nonreg0", 12),
    ("--info=skip,del", 12),
    ("--debug=none", 12),
    ("--out-format=%o|%i|%n%L|%l|%B|%M|%U|%G|%f", 10),
    ("--out-format=%10n|%-10l|%'l|%''l|%%|%z", 10),
    ("-8", 20),
    ("-h", 20),
    ("--no-v", 20),
    ("--ignore-existing", 20),
];

fn round(seed: u64) {
    let mut rng = Rng::new(seed);
    let bench = Bench::new();
    fill(&mut rng, &bench.src(), 4);
    let mut args = vec![rng.pick(BASES).to_owned()];
    let chosen: Vec<&str> = OPTIONS.iter().filter(|(_, odds)| rng.one_in(*odds)).map(|(args, _)| *args).collect();
    args.extend(chosen.iter().flat_map(|row| row.split(' ')).map(|arg| arg.replace("{other}", "../other")));
    let dst_there = !rng.one_in(8);
    bench.both(|place| {
        if dst_there {
            copy(&bench.src(), &place.join("dst"));
            change(&mut rng, &place.join("dst"), 3);
        }
        if chosen.iter().any(|row| row.contains("{other}")) {
            copy(&bench.src(), &place.join("other"));
            change(&mut rng, &place.join("other"), 3);
        }
    });
    change(&mut rng, &bench.src(), 3);
    args.push(format!("{}/", bench.src().display()));
    args.push("dst".to_owned());
    eprintln!("seed {seed}: {args:?}");
    bench.same(&args);
    // Once more: mostly nothing is left to do.
    bench.same(&args);
}

#[test]
fn any_tree_with_any_options_ends_as_with_rsync() {
    rounds(60, round);
}

#[test]
#[ignore = "takes many minutes: cargo xtask soak"]
fn soak_any_tree_with_any_options_ends_as_with_rsync() {
    (1_000..4_000).for_each(round);
}
