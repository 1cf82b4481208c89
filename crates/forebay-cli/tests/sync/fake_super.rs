//! `--fake-super`: what only the super-user may give an entry is kept in attributes, as stock rsync keeps it, and read again.

use std::fs;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::Path;
use std::process::Command;

use crate::harness::{Bench, FOREBAY, clear_of_dates, command, copy, rounds};
use crate::metadata::{clear_the_way, dress_some, link_some, same, same_as};
use crate::tree::{Rng, change, fill, touch};

const NOBODY: u32 = 65534;

/// Puts into `dir` what only the super-user can make, and bits that are not for everybody.
fn privileged(rng: &mut Rng, dir: &Path) {
    for n in 0..rng.below(5) {
        let path = dir.join(format!("node{n}"));
        if path.symlink_metadata().is_ok() {
            continue;
        }
        let (kind, major) = *rng.pick(&[&("c", 250), &("b", 251), &("c", 4000)]);
        let (major, minor) = (major.to_string(), rng.below(70_000).to_string());
        assert!(Command::new("mknod").arg(&path).args([kind, &major, &minor]).status().unwrap().success());
        touch(&path, &format!("@{}.5", 1_000_000_000 + rng.below(4)));
    }
    for n in 0..rng.below(4) {
        let path = dir.join(format!("set{n}"));
        if path.symlink_metadata().is_ok() {
            continue;
        }
        if rng.one_in(2) {
            fs::create_dir(&path).unwrap();
        } else {
            fs::write(&path, "run me").unwrap();
        }
        lchown(&path, Some(rng.below(70_000) as u32), Some(rng.below(3) as u32)).unwrap();
        let modes = [0o4755, 0o2755, 0o6711, 0o1777, 0o2070, 0o555];
        fs::set_permissions(&path, fs::Permissions::from_mode(modes[rng.below(6) as usize])).unwrap();
        touch(&path, &format!("@{}.5", 1_000_000_000 + rng.below(4)));
    }
    let _ = std::os::unix::net::UnixListener::bind(dir.join("socket"));
    clear_of_dates(dir);
}

/// A source with what is privileged, and what it was like before.
fn sources(rng: &mut Rng, bench: &Bench, dressed: bool, linked: bool) {
    let (src, before) = (bench.src(), bench.src().with_file_name("before"));
    fill(rng, &src, 3);
    privileged(rng, &src);
    if linked {
        link_some(rng, &src);
    }
    if dressed {
        dress_some(rng, &src);
    }
    copy(&src, &before);
    change(rng, &src, 3);
    privileged(rng, &src);
    if dressed {
        dress_some(rng, &src);
    }
}

/// Beside `-M--fake-super` or the like: one of these.
const OPTIONS: &[&str] = &[
    "-ai",
    "-aiX",
    "-aiA",
    "-aiAX",
    "-aHi",
    "-ain",
    "-aiic",
    "-rltDi",
    "-rlptDi",
    "-rlpogi",
    "-rlpogtDi --chown=7:8",
    "-ai --delete",
    "-ai --numeric-ids",
    "-aib",
    "-ai --inplace",
    "-ai --backup-dir=../bak",
    "-ai --link-dest=../other",
    "-ai --copy-dest=../other",
    "-ai --chmod=Du+s,F640",
    "-ai --no-D",
    "-ai --no-W",
    "-aEi --no-p",
    "-aiu --delete-after",
    "-ai --delay-updates",
];

#[test]
fn what_is_kept_is_what_stock_rsync_keeps() {
    rounds(40, |seed| {
        let mut rng = Rng::new(seed);
        let bench = Bench::new();
        let options = rng.pick(OPTIONS);
        let dressed = options.starts_with("-aiA") || options.starts_with("-aiX");
        sources(&mut rng, &bench, dressed, options.contains('H'));
        let user = rng.one_in(3).then_some(NOBODY);
        let before = bench.src().with_file_name("before");
        bench.both(|place| {
            // As stock rsync has kept what was there before, or as it is.
            for name in ["dst", "other"] {
                if rng.one_in(3) {
                    copy(&before, &place.join(name));
                } else {
                    let (from, to) = (format!("{}/", before.display()), place.join(name));
                    let mut keep = Command::new("rsync");
                    assert!(keep.args(["-aX", "-M--fake-super", &from]).arg(to).status().unwrap().success());
                }
            }
            clear_the_way(&bench.src(), &place.join("dst"));
            if let Some(user) = user {
                give(place, user);
            }
        });
        let src = format!("{}/", bench.src().display());
        let args: Vec<String> =
            options.split(' ').chain(["-M--fake-super", &src, "dst"]).map(str::to_owned).collect();
        eprintln!("seed {seed}: {user:?} {args:?}");
        same_as(&bench, user, &args);
        same_as(&bench, user, &args);
    });
}

/// Gives a tree to another user.
fn give(place: &Path, user: u32) {
    assert!(Command::new("chown").args(["-Rh", &format!("{user}:{user}")]).arg(place).status().unwrap().success());
}

#[test]
fn what_is_kept_is_brought_back() {
    rounds(30, |seed| {
        let mut rng = Rng::new(seed);
        let bench = Bench::new();
        let options = rng.pick(&["-aiAX", "-aHi", "-ai", "-aiL", "-ain", "-ai --safe-links", "-ai --delete", "-aicX"]);
        sources(&mut rng, &bench, options.contains('X'), options.contains('H'));
        let kept = bench.src().with_file_name("kept");
        // Either program's keeping is good.
        let mut keeper = match rng.below(2) {
            0 => command(None, "rsync", &[]),
            _ => command(None, FOREBAY, &["sync"]),
        };
        let keeper = keeper.args(["-aAXH", "-M--fake-super"]).arg(format!("{}/", bench.src().display())).arg(&kept);
        assert!(keeper.status().unwrap().success());
        bench.both(|place| {
            if rng.one_in(2) {
                copy(&bench.src().with_file_name("before"), &place.join("dst"));
                clear_the_way(&bench.src(), &place.join("dst"));
            }
        });
        // To where it is what it was, or to be kept again.
        let to = rng.pick(&["-M--super", "-M--fake-super"]);
        let kept = format!("{}/", kept.display());
        let args: Vec<String> =
            options.split(' ').chain(["--fake-super", to, &kept, "dst"]).map(str::to_owned).collect();
        eprintln!("seed {seed}: {args:?}");
        same(&bench, &args);
        same(&bench, &args);
    });
}

#[test]
fn what_is_listed_and_counted_is_what_entries_stand_for() {
    let bench = Bench::new();
    let mut rng = Rng::new(7);
    fill(&mut rng, &bench.src(), 3);
    privileged(&mut rng, &bench.src());
    let src = format!("{}/", bench.src().display());
    bench.same(&["-a", "--stats", "-M--fake-super", &src, "dst"]);
    fs::remove_dir_all(bench.src()).unwrap();
    fs::create_dir(bench.src()).unwrap();
    bench.same(&["--list-only", "-r", "--fake-super", "dst/"]);
    bench.same(&["-ai", "--stats", "--delete", "-M--fake-super", &src, "dst"]);
}

#[test]
fn attributes_that_are_kept_go_along_if_that_is_said_twice() {
    let bench = Bench::new();
    fs::write(bench.src().join("f"), "content").unwrap();
    lchown(bench.src().join("f"), Some(7), Some(8)).unwrap();
    let src = format!("{}/", bench.src().display());
    bench.same(&["-a", "-M--fake-super", &src, "kept"]);
    for options in ["-aXi", "-aXXi", "-aXi"] {
        same(&bench, &[options, "kept/", "dst"].map(str::to_owned));
    }
    bench.same(&["-aXX", "--fake-super", "kept/", "dst"]);
}

#[test]
fn what_makes_no_sense_is_reported_and_the_rest_goes_on() {
    let bench = Bench::new();
    for name in ["bad", "good"] {
        fs::write(bench.src().join(name), name).unwrap();
    }
    let set = |value: &str, name: &str| {
        let path = bench.src().join(name);
        let status = Command::new("setfattr").args(["-n", "user.rsync.%stat", "-v", value]).arg(path).status();
        assert!(status.unwrap().success());
    };
    set("100644 0,0 7:8", "good");
    for nonsense in ["", "nonsense", "40755 0,0 1:2", "100644 0,0 1:4294967295"] {
        set(nonsense, "bad");
        let [_, ours] = bench.places();
        let src = format!("{}/", bench.src().display());
        let args = ["-ai", "--fake-super", "-M--super", &src, "dst"];
        let output = command(None, FOREBAY, &["sync"]).args(args).current_dir(&ours).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(23), "{errors}");
        assert!(errors.contains("/bad\" failed: the attribute user.rsync.%stat makes no sense"), "{errors}");
        assert!(ours.join("dst/good").exists() && !ours.join("dst/bad").exists());
    }
}
