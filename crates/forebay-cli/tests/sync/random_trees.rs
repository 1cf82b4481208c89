//! Random trees and options, copied into nothing and over what was there before random changes.

use crate::harness::{Bench, copy};
use crate::tree::{Rng, change, fill};

const OPTIONS: &[&str] = &["-ai", "-aiv", "-av", "-avv", "-aivv", "-rlti", "-rlpgoi", "-rlptDi", "-ri", "-a", "-rpti"];
const MORE: &[&str] = &["--delete", "-c", "-u", "-n", "--no-p", "--no-o", "--no-t", "--no-D", "--no-l", "-q"];

fn round(seed: u64) {
    let mut rng = Rng::new(seed);
    let bench = Bench::new();
    fill(&mut rng, &bench.src(), 4);
    let mut args = vec![rng.pick(OPTIONS).to_owned()];
    for more in MORE {
        if rng.one_in(4) {
            args.push((*more).to_owned());
        }
    }
    let dst_there = !rng.one_in(8);
    bench.both(|place| {
        if dst_there {
            copy(&bench.src(), &place.join("dst"));
            change(&mut rng, &place.join("dst"), 3);
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
    let seeds = match std::env::var("FOREBAY_SEED") {
        Ok(seed) => seed.parse().unwrap()..seed.parse::<u64>().unwrap() + 1,
        Err(_) => 0..std::env::var("FOREBAY_ROUNDS").map_or(60, |rounds| rounds.parse().unwrap()),
    };
    seeds.for_each(round);
}
