//! Where content comes from and where it waits: what the two sides have to agree on beyond plain copies.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::harness::{Bench, End, PAIRS, WAYS, Way};
use crate::tree::{look, touch};

fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    touch(path, "@1000000000");
}

/// Files that other trees and older names have, whole, in part, or not at all.
fn bench() -> Bench {
    let bench = Bench::new();
    let alt = bench.path("alt");
    for (n, name) in ["same", "changed", "d/deep", "version-1.2.tar", "none"].iter().enumerate() {
        let content = noise(n as u32, 60_000);
        write(&bench.src().join(name), &content);
        let part = [&content[..20_000], b"else", &content[20_000..50_000]].concat();
        match *name {
            "same" => write(&alt.join(name), &content),
            "version-1.2.tar" => write(&bench.old().join("version-1.1.tar"), &part),
            "none" => {}
            name => write(&alt.join(name), &part),
        }
    }
    touch(&bench.src().join("d"), "@1000000000");
    touch(&bench.src(), "@1000000000");
    bench
}

#[test]
fn blocks_come_from_something_like_it() {
    let bench = bench();
    for way in WAYS {
        for args in [&["-aiy"][..], &["-aiyy", "--compare-dest=../alt"], &["-aiy", "--delete-after"], &["-aiyz"]] {
            bench.same(way, args);
        }
    }
}

#[test]
fn other_trees_are_searched() {
    let bench = bench();
    for way in WAYS {
        for kind in ["--link-dest", "--copy-dest", "--compare-dest"] {
            let alt = format!("{kind}=../alt");
            bench.same(way, &["-ai", &alt]);
            bench.same(way, &["-aii", &alt]);
            bench.same(way, &["-aic", &alt]);
            bench.same(way, &["-ain", &alt]);
            bench.same(way, &["-aiH", &alt, &format!("{kind}=../old")]);
            // The first of a series of snapshots: nothing is wrong with that.
            let did = bench.same(way, &["-ai", &format!("{kind}=../not-yet")]);
            assert_eq!(did.code, Some(0), "{kind}: {did:?}");
        }
    }
}

/// As with rsync, where another tree has links to directories, what is behind them counts.
#[test]
fn links_of_other_trees_lead_to_what_is_searched() {
    let bench = bench();
    symlink("d", bench.src().join("linked")).unwrap();
    symlink("d", bench.path("alt/linked")).unwrap();
    write(&bench.path("alt/d/like"), &noise(7, 40_000));
    write(&bench.src().join("d/like"), &noise(7, 40_000));
    touch(&bench.src().join("d"), "@1000000000");
    for way in WAYS {
        for kind in ["--link-dest", "--copy-dest", "--compare-dest"] {
            let alt = format!("{kind}=../alt");
            for options in ["-aLi", "-aLii", "-aLiyy", "-aLic", "-aLin"] {
                bench.same(way, &[options, &alt]);
            }
        }
    }
}

/// Names of a file that has to be sent once more, behind the end of the list, do not keep that from ending. Stock rsync's sender
/// takes what its own receiver tells of them for nonsense, or it leaves the file as it is.
#[test]
fn names_wait_for_a_file_that_is_sent_twice() {
    for old in ["a", "b", "c"] {
        let bench = Bench::new();
        write(&bench.src().join("b"), &noise(1, 60_000));
        for name in ["a", "c"] {
            fs::hard_link(bench.src().join("b"), bench.src().join(name)).unwrap();
        }
        write(&bench.src().join("z"), &noise(2, 600));
        write(&bench.old().join(old), &noise(3, 30_000));
        for way in WAYS {
            for pair in PAIRS
                .into_iter()
                .filter(|(client, server)| End::Ours == if way == Way::Pull { *client } else { *server })
            {
                for options in [&["-aHi", "--no-i-r"][..], &["-aH", "--delete-after"], &["-aH", "-m"], &["-aHi"]] {
                    let did = bench.run(pair, way, &[options, &["--append-verify"]].concat(), "ours");
                    assert_eq!(did.code, Some(0), "{pair:?} {way:?} {options:?} {old}: {did:?}");
                    let [same, left] = [bench.src(), bench.path("ours")].map(|tree| look(&tree, true));
                    assert_eq!(left, same, "{pair:?} {way:?} {options:?} {old}");
                    let inode = |name: &str| fs::metadata(bench.path("ours").join(name)).unwrap().ino();
                    assert!(inode("a") == inode("b") && inode("b") == inode("c"), "{pair:?} {way:?} {options:?} {old}");
                }
            }
        }
    }
}

/// What is too long for a list is only asked for where another tree has something else.
#[test]
fn long_attributes_that_another_tree_has_are_not_asked_for() {
    for (value, time) in [("2", "@1000000000"), ("2", "@1100000000"), ("3", "@1000000000"), ("3", "@1100000000")] {
        let bench = Bench::new();
        let set = |file: &Path, value: &str| {
            let value = value.repeat(50);
            let set = Command::new("setfattr").args(["-n", "user.a", "-v", &value]).arg(file).status();
            assert!(set.unwrap().success());
        };
        for (tree, value, time) in [("src", "2", "@1000000000"), ("alt", value, time)] {
            write(&bench.path(tree).join("file"), b"text");
            set(&bench.path(tree).join("file"), value);
            touch(&bench.path(tree).join("file"), time);
        }
        for dir in ["src", "old"] {
            touch(&bench.path(dir), "@1000000000");
        }
        for way in WAYS {
            for kind in ["--link-dest", "--copy-dest", "--compare-dest"] {
                for options in ["-aXi", "-aXii", "-aXin"] {
                    bench.same(way, &[options, &format!("{kind}=../alt")]);
                }
            }
        }
    }
}

/// What an ACL leaves to the mode it leaves to that which `--chmod` makes of it.
#[test]
fn modes_that_are_changed_change_acls() {
    let bench = bench();
    for (name, acl) in [("same", "u:7:r"), ("none", "u:7:rw,m::rwx"), ("d", "g:7:x")] {
        assert!(Command::new("setfacl").args(["-m", acl]).arg(bench.src().join(name)).status().unwrap().success());
    }
    for way in WAYS {
        for chmod in ["g+w", "g=r", "D2770,F660", "ugo=rwX"] {
            for options in ["-aAi", "-aAin", "-aAXi"] {
                bench.same(way, &[options, &format!("--chmod={chmod}")]);
            }
        }
    }
}

/// Where files over there may bring back what the rules leave out, what comes is not held against these.
#[test]
fn what_other_rules_may_let_in_is_taken() {
    let bench = bench();
    write(&bench.src().join("CVS/file"), b"text");
    write(&bench.path("list"), b"CVS/file");
    let list = format!("--files-from={}", bench.path("list").display());
    for way in WAYS {
        for rules in [&["-C"][..], &["-F", "--exclude=CVS"], &["--exclude=CVS"], &["-f-_CVS", "-f:e_.none"]] {
            bench.same(way, &[&["-ai", &list][..], rules].concat());
        }
    }
}

/// Stock's processes say something of their end: who leaves before that makes them fail.
#[test]
fn the_last_words_of_the_other_side_are_awaited() {
    let bench = bench();
    for way in WAYS {
        for _ in 0..5 {
            let did = bench.run((End::Ours, End::Stock), way, &["-avvvv"], "ours");
            assert_eq!(did.code, Some(0), "{way:?}: {did:?}");
        }
    }
}

/// A sender that appends awaits no block sums: what is not there yet comes whole, whatever is like it.
#[test]
fn what_is_appended_to_may_have_other_trees_beside_it() {
    let bench = bench();
    let fresh: Vec<u8> = (0..5000_u32).flat_map(u32::to_le_bytes).collect();
    write(&bench.src().join("fresh"), &fresh);
    write(&bench.path("alt/fresh"), &fresh);
    touch(&bench.path("alt/fresh"), "@1100000000");
    write(&bench.old().join("fresh.1"), &fresh);
    for way in WAYS {
        for pair in
            PAIRS.into_iter().filter(|(client, server)| End::Ours == if way == Way::Pull { *client } else { *server })
        {
            for append in ["--append", "--append-verify"] {
                for tree in ["--link-dest=../alt", "--copy-dest=../alt", "--compare-dest=../alt", "-y"] {
                    let did = bench.run(pair, way, &["-a", append, tree], "ours");
                    assert_eq!(did.code, Some(0), "{pair:?} {way:?} {append} {tree}: {did:?}");
                    assert!(fs::read(bench.path("ours/fresh")).unwrap() == fresh, "{pair:?} {way:?} {append} {tree}");
                }
            }
        }
    }
}

#[test]
fn what_was_left_unfinished_is_gone_on_with() {
    let bench = bench();
    let content = fs::read(bench.src().join("none")).unwrap();
    write(&bench.old().join(".part/none"), &content[..30_000]);
    for way in WAYS {
        for args in [
            &["-ai", "--partial-dir=.part"][..],
            &["-ai", "--delay-updates"],
            &["-ai", "--delay-updates", "--partial-dir=.part", "--delete"],
            &["-ai", "--partial"],
        ] {
            bench.same(way, args);
        }
    }
}

#[test]
fn what_is_appended_to_is_verified() {
    let bench = bench();
    let content = fs::read(bench.src().join("none")).unwrap();
    write(&bench.old().join("none"), &content[..30_000]);
    let same = fs::read(bench.src().join("same")).unwrap();
    write(&bench.old().join("same"), &[b"differs", &same[7..40_000]].concat());
    for name in ["none", "same"] {
        fs::set_permissions(bench.src().join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    // With more than one list, it is open which of them the second try comes behind.
    fs::remove_dir_all(bench.src().join("d")).unwrap();
    touch(&bench.src(), "@1000000000");
    for way in WAYS {
        bench.same(way, &["-ai", "--append-verify"]);
        bench.same(way, &["-av", "--append-verify"]);
        // Where no more is said than what changes, nothing is said of a second time.
        for quiet in ["-a", "-aq"] {
            bench.same(way, &[quiet, "--append-verify"]);
        }
        bench.same(way, &["-a", "--append-verify", "--out-format=%n"]);
    }
}

#[test]
fn names_of_one_file_are_told_in_stock_rsyncs_order() {
    let bench = bench();
    for name in ["a", "d/b", "z"] {
        fs::hard_link(bench.src().join("none"), bench.src().join(name)).unwrap();
    }
    write(&bench.old().join("q"), b"other");
    fs::hard_link(bench.src().join("same"), bench.src().join("q")).unwrap();
    touch(&bench.src().join("d"), "@1000000000");
    touch(&bench.src(), "@1000000000");
    for way in WAYS {
        for pair in [(End::Stock, End::Stock)].into_iter().chain(PAIRS) {
            let mut did = bench.run(pair, way, &["-aHi"], "ours");
            // Which of several files is finished first is open; lines of one file stay together behind that of its leader.
            let leader = did.lines.iter().position(|line| line.ends_with(" d/b")).unwrap();
            for name in ["a", "none", "z"] {
                let at = did.lines.iter().position(|line| line.contains(&format!(" {name} => d/b")));
                assert!(at.is_some_and(|at| at > leader), "{pair:?} {way:?} {name}: {:?}", did.lines);
            }
            did.lines.sort();
            assert_eq!(did.code, Some(0));
            let seen = look(&bench.path("ours"), true);
            for (path, entry) in look(&bench.src(), true) {
                assert_eq!(seen.get(&path), Some(&entry), "{pair:?} {way:?} {path:?}");
            }
        }
    }
}

#[test]
fn two_files_over_names_of_one_file_are_never_mixed() {
    let bench = Bench::new();
    // Before them, so many that several threads put files together.
    for n in 0..150 {
        fs::write(bench.src().join(format!("a{n}")), "a").unwrap();
    }
    let (long, short) = (noise(7, 700_000), noise(8, 100_000));
    let names = |n: u32| [format!("b{n}"), format!("b{n}x")];
    for n in 0..60 {
        let [one, other] = names(n);
        let (first, second) = if n % 2 == 0 { (&long, &short) } else { (&short, &long) };
        fs::write(bench.src().join(&one), first).unwrap();
        fs::write(bench.src().join(&other), second).unwrap();
        fs::write(bench.old().join(&one), "old").unwrap();
        fs::hard_link(bench.old().join(&one), bench.old().join(&other)).unwrap();
    }
    for way in WAYS {
        for _ in 0..4 {
            bench.prepare("ours");
            let did = bench.run((End::Ours, End::Ours), way, &["-a", "--inplace", "--workers=6"], "ours");
            assert_eq!(did.code, Some(0), "{did:?}");
            for n in 0..60 {
                let left = fs::read(bench.path("ours").join(&names(n)[0])).unwrap();
                assert!(left == long || left == short, "{way:?} {n}: a mixture");
            }
        }
    }
}
