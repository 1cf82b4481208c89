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

/// As with rsync, a merge file that another in a directory names is looked for there if there is a slash in it, and else where what
/// is copied begins: where it runs.
#[test]
fn merge_files_in_merge_files_are_looked_for_where_rsync_runs() {
    for source in ["src/", "src", "src/d", "src/d/", "-R src/./d", "-R src/d"] {
        for rule in [". .n", "merge,n .n", ". ../.n", ". ./.n", ".- .n"] {
            for options in ["-ai", "-ai --delete", "-ai --delete-before"] {
                let bench = Bench::new();
                bench.both(|place| {
                    for root in ["src", "dst", "dst/src"] {
                        fs::create_dir_all(place.join(root).join("d/e")).unwrap();
                        fs::write(place.join(root).join("d/.m"), format!("{rule}\n")).unwrap();
                        for (name, dir) in [("y", ""), ("z", "d"), ("w", "d/e")] {
                            fs::write(place.join(root).join(dir).join(".n"), format!("- {name}\n")).unwrap();
                        }
                        for name in ["x", "y", "z", "w"] {
                            let file = if root == "src" { name.to_owned() } else { format!("e/{name}") };
                            fs::write(place.join(root).join("d").join(file), name).unwrap();
                        }
                    }
                    fs::write(place.join(".n"), "- x\n").unwrap();
                    fs::write(place.join("dst/d/.n"), "- q\n").unwrap();
                });
                let args = format!("-O {options} --filter=:_.m {source} dst");
                bench.same(&args.split(' ').collect::<Vec<_>>());
            }
        }
    }
}

/// What a pattern has that is no text is escaped where it is told.
#[test]
fn patterns_are_told_in_one_line() {
    let bench = Bench::new();
    ["a\nb", "tab\t", "plain"].iter().for_each(|name| fs::write(bench.src().join(name), name).unwrap());
    let src = format!("{}/", bench.src().display());
    let did = bench.same(&["-avvn", "--exclude=a\n*", "--exclude=*\t", &src, "dst"]);
    assert_eq!(did.skipped.iter().filter(|line| line.contains("because of pattern")).count(), 2, "{did:?}");
}

/// Rules of a file that is named in that of a directory count for both sides, whatever they or their file say of that.
#[test]
fn rules_of_merge_files_in_merge_files_count_for_both_sides() {
    for options in ["-ai --delete-before", "-ai --delete-before --delete-excluded"] {
        for (merge, rule) in [
            (". .n", "- x*"),
            (". .n", "-s x*"),
            (". .n", "-r x*"),
            (".s .n", "- x*"),
            (".r .n", "- x*"),
            (".e .n", "H x*"),
            (".-r .n", "x*"),
            (". .deeper", "- z*"),
        ] {
            let bench = Bench::new();
            let write = |root: &Path| {
                for name in ["x", "xx", "y", "z"] {
                    fs::write(root.join(name), name).unwrap();
                }
                fs::write(root.join(".m"), format!("{merge}\n")).unwrap();
                fs::write(root.join(".n"), format!("{rule}\n")).unwrap();
                fs::write(root.join(".deeper"), ".s .n\n").unwrap();
            };
            write(&bench.src());
            fs::remove_file(bench.src().join("xx")).unwrap();
            bench.both(|place| {
                fs::create_dir(place.join("dst")).unwrap();
                write(&place.join("dst"));
                fs::remove_file(place.join("dst/x")).unwrap();
                fs::write(place.join("dst/zz"), "zz").unwrap();
            });
            let src = format!("{}/", bench.src().display());
            let args: Vec<_> = options.split(' ').chain(["-O", "--filter=:_.m", &src, "dst"]).collect();
            eprintln!("{merge:?} {rule:?}");
            bench.same(&args);
        }
    }
}
