//! Random rules on random trees: what is left out, and what is protected from deletion.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{Bench, copy, rounds};
use crate::tree::{Rng, change, fill, touch};

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
    let parts = if rng.one_in(2) { 1 } else { 3 };
    for part in 0..=rng.below(parts) {
        if part > 0 && !rng.one_in(5) {
            text.push('/');
        }
        text.push_str(rng.pick(PARTS));
    }
    text.push_str(rng.pick(&["", "", "", "/", "/***", "/**"]));
    text
}

/// A rule of any kind, with modifiers. `merges`: also ones that read files, of which there are some.
fn rule(rng: &mut Rng, merges: bool) -> String {
    const SIGNS: &[&str] =
        &["-", "-", "-", "+", "H", "S", "P", "R", "exclude", "include", "hide", "show", "protect", "risk"];
    if merges && rng.one_in(3) {
        let sign = rng.pick(&[":", ":", "dir-merge,", ":,"]);
        let modifiers: String =
            (0..rng.below(3)).map(|_| rng.pick(&["e", "n", "s", "r", "p", "", ""]).to_owned()).collect();
        let only = rng.pick(&["", "", "", "-", "+", "C", "w-"]);
        let only = if modifiers.contains('n') && only == "C" { "" } else { only };
        return format!("{sign}{modifiers}{only} {}", rng.pick(&[".m", ".m", ".n", "/.m", "../.n", "m"]));
    }
    if rng.one_in(40) {
        return rng.pick(&["!", "clear"]).to_owned();
    }
    let sign = rng.pick(SIGNS);
    let mut modifiers = String::new();
    for _ in 0..rng.below(3) {
        let sided = "-+exclude include".contains(sign);
        modifiers.push_str(rng.pick(if sided {
            &["s", "r", "p", "!", "x", "", "", "", ""]
        } else {
            &["p", "!", "", ""]
        }));
    }
    if sign.len() > 1 && !modifiers.is_empty() {
        modifiers.insert(0, ',');
    }
    format!("{sign}{modifiers}{}{}", rng.pick(&[" ", "_"]), pattern(rng))
}

/// Puts merge files into some of the directories beneath `dir`.
fn merge_files(rng: &mut Rng, dir: &Path) {
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let mut inner: Vec<PathBuf> = fs::read_dir(&dir)
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_type().unwrap().is_dir())
            .map(|entry| entry.path())
            .collect();
        inner.sort();
        dirs.extend(inner);
        for name in [".m", ".n", "m"] {
            if dir.join(name).is_dir() {
                continue;
            }
            // What random changes made of one may be no rules at all.
            let _ = fs::remove_file(dir.join(name));
            if rng.one_in(3) {
                let lines: Vec<String> = (0..rng.below(4))
                    .map(|_| match rng.below(8) {
                        0 => "# comment".to_owned(),
                        1 => "!".to_owned(),
                        2 => ": .n".to_owned(),
                        _ => format!("{}{}", rng.pick(&["- ", "- ", "+ "]), pattern(rng)),
                    })
                    .collect();
                let path = dir.join(name);
                fs::write(&path, lines.join(rng.pick(&["\n", "\r\n"]))).unwrap();
                std::os::unix::fs::lchown(&path, Some(0), Some(0)).unwrap();
                touch(&path, "@900000000");
            }
        }
    }
}

/// Whether a run ends in an error of usage depends, with stock rsync, on which of its processes comes to it first.
fn round(seed: u64) {
    let mut rng = Rng::new(seed);
    let bench = Bench::new();
    fill(&mut rng, &bench.src(), 4);
    merge_files(&mut rng, &bench.src());
    bench.both(|place| {
        copy(&bench.src(), &place.join("dst"));
        change(&mut rng, &place.join("dst"), 3);
        merge_files(&mut rng, &place.join("dst"));
    });
    let mut args = vec![rng.pick(&["-ai", "-ain", "-aivv"]).to_owned()];
    // In a dry run, stock rsync says of a directory with something protected in it both that it is and that it cannot
    // be deleted.
    if args[0] != "-ain" && rng.one_in(2) {
        args.push(rng.pick(&["--delete", "--delete", "--delete-excluded"]).to_owned());
    }
    for _ in 0..=rng.below(4) {
        if rng.one_in(2) {
            args.push(format!("--filter={}", rule(&mut rng, true)));
            continue;
        }
        let option = rng.pick(&["--exclude", "--exclude", "--include"]);
        args.push(format!("{option}={}{}", rng.pick(&["", "", "", "", "+ ", "- "]), pattern(&mut rng)));
    }
    if rng.one_in(8) {
        args.push("-C".to_owned());
    }
    args.push(format!("{}{}", bench.src().display(), rng.pick(&["/", ""])));
    args.push("dst".to_owned());
    eprintln!("seed {seed}: {args:?}");
    bench.same(&args);
}

#[test]
fn any_rules_on_any_tree_pick_what_rsync_picks() {
    rounds(60, round);
}

#[test]
fn rules_that_are_too_long_are_left_out() {
    let bench = Bench::new();
    for name in ["f", "g"] {
        fs::write(bench.src().join(name), name).unwrap();
    }
    let (long, longer) = ("x".repeat(4096), "y".repeat(70_000));
    fs::write(bench.src().join(".r"), format!("- {long}\n- g\n- {longer}\n")).unwrap();
    let rules = bench.places().map(|place| fs::write(place.join("rules"), format!("{longer}\n/{long}\ng\n")));
    assert!(rules.iter().all(Result::is_ok));
    let src = format!("{}/", bench.src().display());
    for (rules, said) in [
        (&[format!("--exclude={long}"), "--exclude=g".into()][..], 1),
        (&[format!("--exclude={longer}"), "--exclude=g".into()], 1),
        (&[format!("--exclude={}", &long[1..]), "--exclude=g".into()], 0),
        (&[format!("--filter=- /{}/", &long[2..]), "--exclude=g".into()], 1),
        (&["--exclude-from=rules".into()], 2),
        (&["--filter=._rules".into()], 1),
        (&["--filter=.-_rules".into()], 2),
        (&["--filter=:_.r".into()], 2),
    ] {
        let args: Vec<&str> = rules.iter().map(String::as_str).chain(["-rin", &src, "dst"]).collect();
        // Stock rsync cuts the longest lines.
        let [theirs, ours] = bench.did(&args).map(|did| {
            let starts: Vec<_> = did.errors.iter().map(|line| line.get(..100).unwrap_or(line).to_owned()).collect();
            (did.code, did.lines, starts)
        });
        assert_eq!(ours, theirs);
        assert_eq!(ours.2.iter().filter(|line| line.starts_with("discarding over-long filter: ")).count(), said);
    }
}

/// Names of further files begin where the transfer does, also in the file of a directory.
#[test]
fn what_a_file_of_a_directory_merges_is_looked_for_at_the_root() {
    let names = ["root", "own", "here", "z"];
    let rules = |dir: &Path, rule: &str| fs::write(dir.join(".more"), rule).unwrap();
    for (args, left_out) in [
        ("-ri SRC/ dst", Some("root")),
        ("-ri SRC/d dst", Some("root")),
        ("-ri SRC/d/ dst", Some("own")),
        ("-riR SRC/./d dst", Some("root")),
        ("-ri --delete-before SRC/ dst", Some("root")),
        ("-ri --filter=R_.rules SRC/d dst", Some("root")),
        ("-ri SRC/none/ SRC/d/sub dst", None),
    ] {
        let bench = Bench::new();
        let src = bench.src();
        fs::create_dir_all(src.join("d/sub")).unwrap();
        for name in names {
            fs::write(src.join("d").join(name), name).unwrap();
            fs::write(src.join("d/sub").join(name), name).unwrap();
        }
        bench.both(|place| {
            rules(place, "- here");
            if args.contains("--delete-before") {
                copy(&src, &place.join("dst"));
                fs::write(place.join("dst/d/.rules"), ". .more\n").unwrap();
                rules(&place.join("dst"), "P own\n- x");
                rules(&place.join("dst/d"), "P root");
            }
        });
        fs::write(src.join("d/.rules"), ". .more\n").unwrap();
        rules(&src, "- root");
        rules(&src.join("d"), "- own");
        if args.contains("--delete-before") {
            names.iter().for_each(|name| fs::remove_file(src.join("d").join(name)).unwrap());
        }
        let given = src.to_str().unwrap();
        let args: Vec<_> = args.split(' ').map(|arg| arg.replace("SRC", given)).collect();
        bench.same(&[&["--filter=:_.rules".to_owned()], &args[..]].concat());
        let [_, ours] = bench.places();
        let sub = ["dst/d/sub", "dst/sub"].map(|dir| ours.join(dir)).into_iter().find(|dir| dir.exists()).unwrap();
        let missing: Vec<_> = names.into_iter().filter(|name| !sub.join(name).exists()).collect();
        let kept = args.iter().any(|arg| arg == "--delete-before");
        assert!(kept || missing == Vec::from_iter(left_out), "{args:?}: {missing:?}");
    }
    // Where it is missing, that is the end.
    let bench = Bench::new();
    fs::create_dir(bench.src().join("d")).unwrap();
    fs::write(bench.src().join("d/.rules"), ". .more\n").unwrap();
    rules(&bench.src().join("d"), "- x");
    let dids = bench.did(&["--filter=:_.rules", "-ri", &format!("{}/", bench.src().display()), "dst"]);
    // How far each comes before that is chance.
    let [theirs, ours] = dids.map(|did| {
        let why: Vec<_> = did.errors.into_iter().filter(|line| line.contains("failed to open exclude file")).collect();
        (did.code, why)
    });
    assert_eq!((ours.0, ours.1.len()), (Some(11), 1));
    assert_eq!(ours, theirs);
}
