//! Each program at each end, both ways.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::harness::{Bench, End, WAYS, Way, agreed, finish};
use crate::tree::{Rng, change, fill, rounds, set_time, touch};

/// A tree with something of everything, and what the destination has of it.
fn bench() -> Bench {
    let bench = Bench::new();
    let src = bench.src();
    fs::create_dir_all(src.join("a/b/c")).unwrap();
    fs::create_dir(src.join("empty")).unwrap();
    let large: Vec<u8> = (0..300_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
    fs::write(src.join("a/large"), &large).unwrap();
    fs::write(src.join("a/b/small"), "small").unwrap();
    fs::write(src.join("a/b/c/x"), "x").unwrap();
    fs::write(src.join("nothing"), "").unwrap();
    fs::write(src.join("a b'$"), "a name that shells take apart").unwrap();
    symlink("a/large", src.join("link")).unwrap();
    (0..200).for_each(|n| fs::write(src.join(format!("empty/{n}")), n.to_string()).unwrap());
    let old = bench.old();
    fs::create_dir_all(old.join("a/gone/deep")).unwrap();
    fs::write(old.join("a/gone/deep/file"), "gone").unwrap();
    fs::write(old.join("extra.o"), "extra").unwrap();
    // What was there is found again: at the same place, and moved.
    fs::write(old.join("a/large"), [&large[..400_000], b"something else", &large[400_000..900_000]].concat()).unwrap();
    fs::write(old.join("nothing"), "").unwrap();
    for root in [&src, &old] {
        for path in ["a/large", "nothing"] {
            set_time(&root.join(path), std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000));
        }
    }
    for path in ["a/b/c", "a/b", "a", "empty", "link", "."] {
        touch(&src.join(path), "@1100000000.25");
    }
    bench
}

fn same(args: &[&str]) {
    let bench = bench();
    for way in WAYS {
        bench.same(way, args);
    }
}

#[test]
fn a_tree_is_brought_up_to_date() {
    let bench = bench();
    for way in WAYS {
        let did = bench.same(way, &["-ai", "--no-inc-recursive"]);
        assert_eq!(did.code, Some(0));
        assert!(did.lines.iter().any(|line| line == ">f.s....... a/large" || line == "<f.s....... a/large"), "{did:?}");
    }
}

#[test]
fn what_stock_rsync_does_by_itself() {
    same(&["-ai"]);
}

#[test]
fn names_alone() {
    same(&["-av"]);
}

#[test]
fn what_stays_is_told_once() {
    let bench = bench();
    for (root, mode) in [(bench.src(), 0o600), (bench.old(), 0o644)] {
        fs::write(root.join("mode"), "mode").unwrap();
        fs::set_permissions(root.join("mode"), fs::Permissions::from_mode(mode)).unwrap();
        touch(&root.join("mode"), "@1000000000");
    }
    for way in WAYS {
        for args in
            [&["-av", "--info=name2"][..], &["-a", "--info=name2", "--out-format=%n"], &["-avn", "--info=name2"]]
        {
            // What each side says of itself comes between the lines of the other.
            let lines = |pair| {
                let mut lines = bench.run(pair, way, args, "ours").lines;
                lines.sort();
                lines
            };
            let expected = agreed(lines, &(way, args));
            for told in ["nothing is uptodate", "mode"] {
                assert!(expected.iter().any(|line| line == told), "{way:?} {args:?} {expected:?}");
            }
        }
    }
}

#[test]
fn what_the_source_has_not_is_deleted() {
    let bench = bench();
    for way in WAYS {
        for when in ["--delete", "--delete-before", "--delete-delay", "--delete-after"] {
            let did = bench.same(way, &["-ai", when]);
            assert_eq!(did.deletions.len(), 4, "{did:?}");
        }
    }
}

#[test]
fn rules_hold_on_both_sides() {
    let bench = bench();
    fs::write(bench.src().join("made.o"), "made").unwrap();
    for way in WAYS {
        let did = bench.same(way, &["-ai", "--delete", "--exclude=*.o", "--include=/a/b/", "--exclude=/a/*"]);
        assert!(did.lines.iter().all(|line| line.contains("->") || !line.ends_with(" a/large")), "{did:?}");
        bench.same(way, &["-ai", "--delete-excluded", "--exclude=*.o", "--filter=P extra.o", "--filter=H empty/1*"]);
        bench.same(way, &["-aiC", "--delete"]);
        bench.same(way, &["-aiC", "--delete-excluded"]);
        // What CVS ignores stands behind all other rules, wherever it is on the command line.
        bench.same(way, &["-aiC", "--delete", "--include=*.o"]);
        bench.same(way, &["-ai", "--include=*.o", "-C", "--delete"]);
    }
}

#[test]
fn nothing_is_changed_where_nothing_is_to_be_changed() {
    same(&["-ain", "--delete"]);
}

#[test]
fn directories_that_would_be_empty_are_left_out() {
    let bench = bench();
    fs::create_dir_all(bench.src().join("none/at/all")).unwrap();
    fs::create_dir(bench.old().join("none")).unwrap();
    // Deletions that come first change the time of the destination's: it must not be this one.
    touch(&bench.src(), "@1100000000.25");
    for way in WAYS {
        let did = bench.same(way, &["-aim", "--delete"]);
        assert!(did.deletions.iter().any(|line| line.ends_with(" none/")), "{did:?}");
        bench.same(way, &["-aim", "--exclude=small", "--exclude=x", "--filter=P c/"]);
        bench.same(way, &["-aimH", "--delete-before", "--exclude=[0-9]*"]);
        bench.same_of(way, &["-aim"], &["none"]);
    }
}

#[test]
fn directories_without_their_contents_for_old_programs() {
    let bench = bench();
    for way in WAYS {
        let did = bench.same(way, &["-ai", "--old-dirs", "--delete"]);
        assert!(did.lines.iter().any(|line| line.ends_with(" empty/")), "{did:?}");
        bench.same_lines(way, &["-it", "--old-dirs", "-C", "--exclude=nothing", "--debug=filter"]);
        bench.same_lines(way, &["-it", "--old-dirs", "-d"]);
        bench.same(way, &["--old-dirs", "--list-only"]);
    }
}

#[test]
fn links_are_made_useless_where_they_arrive_and_useful_where_they_are_read() {
    let bench = bench();
    symlink("/rsyncd-munged/a", bench.src().join("munged")).unwrap();
    for way in WAYS {
        let did = bench.same(way, &["-ai", "--munge-links"]);
        let to = if way == Way::Pull { "/rsyncd-munged/a/large" } else { "a/large" };
        assert_eq!(fs::read_link(bench.path("ours/link")).unwrap().to_str(), Some(to), "{did:?}");
    }
}

#[test]
fn names_from_a_list_are_deleted_in() {
    let bench = bench();
    let list = bench.path("list");
    fs::write(&list, "a/b/small\nempty\n").unwrap();
    let option = format!("--files-from={}", list.display());
    for way in WAYS {
        bench.same(way, &["-ai", "--delete", &option]);
        bench.same(way, &["-air", "--delete", &option]);
    }
}

#[test]
fn contents_are_compared() {
    same(&["-aic"]);
}

#[test]
fn files_are_sent_whole() {
    same(&["-aiW"]);
}

#[test]
fn files_are_written_in_place() {
    same(&["-ai", "--inplace"]);
}

#[test]
fn files_are_appended_to() {
    let bench = bench();
    let large = fs::read(bench.src().join("a/large")).unwrap();
    fs::write(bench.old().join("a/large"), &large[..500_000]).unwrap();
    for way in WAYS {
        bench.same(way, &["-ai", "--append"]);
    }
}

#[test]
fn many_files_are_received_and_answered_by_several_threads() {
    let bench = Bench::new();
    (0..400).for_each(|n| fs::write(bench.src().join(n.to_string()), n.to_string()).unwrap());
    let lines = |way| {
        bench.prepare("ours");
        let output = finish(bench.client((End::Ours, End::Stock), way, &["-a", "--stats", "--workers=2"], "ours"));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().filter(|line| line.starts_with("forebay: ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let received = lines(Way::Pull);
    assert!(
        received.iter().any(|line| line.starts_with("forebay: 400 files received (parallel: 2 workers, ")),
        "{received:?}"
    );
    // Each answer is an item, and so are the ends of phases.
    // Where the machine is busy, one worker may be through before the other has begun.
    let both = |_| lines(Way::Push).iter().any(|line| line.starts_with("forebay: 2 workers, 2 used, 40"));
    assert!((0..20).any(both), "{:?}", lines(Way::Push));
}

#[test]
fn a_destination_that_is_not_there_is_made() {
    let bench = bench();
    for way in WAYS {
        bench.same(way, &["-ai", "--no-p", "--chmod=ug=rwX"]);
        bench.same(way, &["-r"]);
        bench.same(way, &["-rl", "--times"]);
    }
}

#[test]
fn paths_are_kept() {
    bench().same(Way::Pull, &["-aiR"]);
}

#[test]
fn names_of_one_file_stay_names_of_one_file() {
    let bench = bench();
    for (from, to) in [("a/large", "a/b/again"), ("a/large", "zz"), ("nothing", "nothing2")] {
        fs::hard_link(bench.src().join(from), bench.src().join(to)).unwrap();
    }
    for way in WAYS {
        bench.run((End::Ours, End::Ours), way, &["-aH"], "ours");
        use std::os::unix::fs::MetadataExt;
        let [a, b] = ["ours/a/large", "ours/zz"].map(|path| fs::metadata(bench.path(path)).unwrap());
        assert_eq!((a.ino(), a.nlink()), (b.ino(), 3));
    }
}

#[test]
fn not_more_is_deleted_than_is_allowed() {
    let bench = bench();
    for way in WAYS {
        let did = bench.same(way, &["-ai", "--max-delete=0", "--delete"]);
        assert_eq!(did.code, Some(25));
    }
}

#[test]
fn a_source_that_is_not_there() {
    let bench = bench();
    fs::remove_dir_all(bench.src()).unwrap();
    for way in WAYS {
        let did = bench.same(way, &["-ai"]);
        assert_eq!(did.code, Some(23), "{did:?}");
    }
}

/// What may be added to `-ai`, each in one of a few rounds.
const OPTIONS: &[&str] = &[
    "--delete",
    "--delete-after",
    "--delete-before",
    "--delete-delay",
    "-z",
    "-c",
    "-u",
    "-I",
    "-H",
    "-W",
    "-m",
    "-S",
    "-b",
    "-O",
    "-J",
    "-ii",
    "-n",
    "--no-p",
    "--no-t",
    "--no-l",
    "--existing",
    "--size-only",
    "--inplace",
    "--partial-dir=.part",
    "--delay-updates",
    "--no-inc-recursive",
    "--protocol=30",
    "--max-size=2K",
    "--exclude=*.o",
    "--exclude=/a",
    "--chmod=go-w",
];

fn round(seed: u64) {
    let (mut rng, bench) = (Rng::new(seed), Bench::new());
    fill(&mut rng, &bench.src(), 3);
    fs::remove_dir(bench.old()).unwrap();
    assert!(std::process::Command::new("cp").arg("-a").args([bench.src(), bench.old()]).status().unwrap().success());
    change(&mut rng, &bench.src(), 3);
    let mut args = vec!["-ai"];
    args.extend(OPTIONS.iter().filter(|_| rng.one_in(8)));
    // Deletions have one time.
    let deletes: Vec<_> = args.iter().copied().filter(|arg| arg.starts_with("--delete")).skip(1).collect();
    args.retain(|arg| !deletes.contains(arg));
    if args.contains(&"--inplace") {
        args.retain(|arg| !["--delay-updates", "--partial-dir=.part"].contains(arg));
    }
    eprintln!("seed {seed}: {args:?}");
    // What is said of what is left out may come anywhere.
    let skips = ["--no-l", "--max-size=2K"].iter().any(|skips| args.contains(skips));
    for way in WAYS {
        match skips {
            true => drop(bench.same_lines(way, &args)),
            false => drop(bench.same(way, &args)),
        }
    }
}

#[test]
fn random_trees() {
    rounds(4, round);
}
