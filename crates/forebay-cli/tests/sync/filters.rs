//! Random rules on random trees: what is left out, and what is protected from deletion.

use crate::harness::{Bench, copy};
use crate::tree::{Rng, change, fill};

const PARTS: &[&str] = &[
    "a",
    "b",
    "c",
    "d",
    "foo",
    "bar",
    "*",
    "?",
    "**",
    "***",
    "*.o",
    "a*",
    "[a-c]",
    "[!a]",
    "[[:alpha:]]",
    "foo.txt",
    "a[b]",
    "back\\slash",
    "\\*",
    "[",
    "*o*",
    "zz",
    "x*y",
    "a\\[b]",
    ".*",
    "[^.]*",
    "a b",
    "b*.c",
];

fn pattern(rng: &mut Rng) -> String {
    let mut text = String::new();
    if rng.one_in(4) {
        text.push('/');
    }
    for part in 0..=rng.below(3) {
        if part > 0 && !rng.one_in(5) {
            text.push('/');
        }
        text.push_str(rng.pick(PARTS));
    }
    text.push_str(rng.pick(&["", "", "", "/", "/***", "/**"]));
    text
}

fn round(seed: u64) {
    let mut rng = Rng::new(seed);
    let bench = Bench::new();
    fill(&mut rng, &bench.src(), 4);
    bench.both(|place| {
        copy(&bench.src(), &place.join("dst"));
        change(&mut rng, &place.join("dst"), 3);
    });
    let mut args = vec![rng.pick(&["-ai", "-ain", "-aivv"]).to_owned()];
    // In a dry run, stock rsync says of a directory with something protected in it both that it is and that it cannot
    // be deleted.
    if args[0] != "-ain" && rng.one_in(2) {
        args.push("--delete".to_owned());
    }
    for _ in 0..=rng.below(4) {
        let option = rng.pick(&["--exclude", "--exclude", "--include"]);
        args.push(format!("{option}={}{}", rng.pick(&["", "", "", "", "+ ", "- "]), pattern(&mut rng)));
    }
    args.push(format!("{}{}", bench.src().display(), rng.pick(&["/", ""])));
    args.push("dst".to_owned());
    eprintln!("seed {seed}: {args:?}");
    bench.same(&args);
}

#[test]
fn any_rules_on_any_tree_pick_what_rsync_picks() {
    match std::env::var("FOREBAY_SEED") {
        Ok(seed) => round(seed.parse().unwrap()),
        Err(_) => (0..std::env::var("FOREBAY_ROUNDS").map_or(60, |rounds| rounds.parse().unwrap())).for_each(round),
    }
}
