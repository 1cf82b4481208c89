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

/// Beside `-M--fake-super`: one of these. Stock rsync keeps arbitrary owners where such are not preserved, and of several
/// entries with like ACLs the mask of the last.
const OPTIONS: &[&str] = &[
    "-ai",
    "-aiX",
    "-aHi",
    "-ain",
    "-aiic",
    "-rlpogi",
    "-rlpogtDi --chown=7:8",
    "-ai --delete",
    "-ai --numeric-ids",
    "-aib",
    "-ai --inplace",
    "-ai --link-dest=../other",
    "-ai --copy-dest=../other",
    "-ai --chmod=Du+s,F640",
    "-ai --no-D",
    "-ai --no-W",
    "-aiu --delete-after",
    "-ai --delay-updates",
];

#[test]
fn what_is_kept_is_what_stock_rsync_keeps() {
    rounds(40, |seed| {
        let mut rng = Rng::new(seed);
        let bench = Bench::new();
        let options = rng.pick(OPTIONS);
        sources(&mut rng, &bench, options.starts_with("-aiX"), options.contains('H'));
        let user = rng.one_in(3).then_some(NOBODY);
        let before = bench.src().with_file_name("before");
        bench.both(|place| {
            for name in ["dst", "other"] {
                leave(&before, &place.join(name), !rng.one_in(3));
            }
            clear_the_way(&bench.src(), &place.join("dst"));
            if let Some(user) = user {
                give(place, user);
            }
        });
        if user.is_some() {
            // Stock rsync removes what is in the way even of what it then cannot read.
            assert!(Command::new("chmod").args(["-R", "a+rX"]).arg(bench.src()).status().unwrap().success());
        }
        let src = format!("{}/", bench.src().display());
        let args: Vec<String> = options.split(' ').chain(["-M--fake-super", &src, "dst"]).map(str::to_owned).collect();
        eprintln!("seed {seed}: {user:?} {args:?}");
        same_as(&bench, user, &args);
        same_as(&bench, user, &args);
    });
}

/// Copies a tree as stock rsync keeps it, or only what needs no keeping.
fn leave(from: &Path, to: &Path, kept: bool) {
    let from = format!("{}/", from.display());
    let options = if kept { ["-aX", "-M--fake-super"] } else { ["-aq", "--no-D"] };
    let mut copy = Command::new("rsync");
    copy.args(options).args(if kept { None } else { Some("--no-l") }).arg("--info=nonreg0").arg(from).arg(to);
    assert!(copy.status().unwrap().success());
}

/// Gives a tree to another user.
fn give(place: &Path, user: u32) {
    assert!(Command::new("chown").args(["-Rh", &format!("{user}:{user}")]).arg(place).status().unwrap().success());
    // So that what is kept can be read.
    assert!(Command::new("chmod").args(["-R", "u+rwX"]).arg(place).status().unwrap().success());
}

#[test]
fn what_is_kept_is_brought_back() {
    rounds(30, |seed| {
        let mut rng = Rng::new(seed);
        let bench = Bench::new();
        // Of attributes whose order changes with their names, stock rsync says that they differ.
        let options = rng.pick(&["-aqX", "-aHi", "-ai", "-aiL", "-ain", "-ai --safe-links", "-ai --delete", "-aqcX"]);
        sources(&mut rng, &bench, options.contains('X'), options.contains('H'));
        let kept = bench.src().with_file_name("kept");
        // To where it is what it was, or to be kept again.
        let to = rng.pick(&["-M--super", "-M--fake-super"]);
        // Either program's keeping is good.
        let mut keeper = match rng.below(2) {
            0 => command(None, "rsync", &[]),
            _ => command(None, FOREBAY, &["sync"]),
        };
        let keeper = keeper.args(["-aXH", "-M--fake-super"]).arg(format!("{}/", bench.src().display())).arg(&kept);
        assert!(keeper.status().unwrap().success());
        bench.both(|place| {
            let before = bench.src().with_file_name("before");
            match rng.below(3) {
                0 => return,
                1 if to == "-M--super" => copy(&before, &place.join("dst")),
                kept => leave(&before, &place.join("dst"), kept == 2),
            }
            clear_the_way(&bench.src(), &place.join("dst"));
        });
        let kept = format!("{}/", kept.display());
        let args: Vec<String> =
            options.split(' ').chain(["--fake-super", to, &kept, "dst"]).map(str::to_owned).collect();
        eprintln!("seed {seed}: {args:?}");
        same(&bench, &args);
        same(&bench, &args);
    });
}

#[test]
fn acls_are_kept_and_brought_back() {
    let bench = Bench::new();
    let make = |name: &str, mode: u32, acl: &[&str]| {
        let path = bench.src().join(name);
        match name.starts_with('d') {
            true => fs::create_dir(&path).unwrap(),
            false => fs::write(&path, name).unwrap(),
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(Command::new("setfacl").args(acl).arg(&path).status().unwrap().success());
        touch(&path, "@1000000000");
    };
    make("a", 0o640, &["-m", "u:33:rw,g::rwx,m::rwx"]);
    make("b", 0o640, &["-m", "g::rw,m::r"]);
    make("c", 0o4640, &["-m", "u:2:r,u:1:w,g:9:x,g:5:rw,o::r,g::-,m::rx"]);
    make("d1", 0o755, &["-d", "-m", "g::r"]);
    make("d2", 0o1777, &["-d", "-m", "u:5:r,g:5:x,m::r"]);
    make("d3", 0o755, &["-m", "u:5:x"]);
    make("e", 0o600, &["-b"]);
    let src = format!("{}/", bench.src().display());
    let attributes = |dir: &Path| {
        let script = "getfattr -R -h -P -d -m - -e hex . | sort; getfacl -R -n -P . | grep -v '^# owner\\|^# group'";
        let output = Command::new("sh").args(["-c", script]).current_dir(dir).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for _ in 0..2 {
        bench.same(&["-aAi", "-M--fake-super", &src, "kept"]);
        let [theirs, ours] = bench.places();
        assert_eq!(attributes(&ours.join("kept")), attributes(&theirs.join("kept")));
        // What the other has kept.
        let swapped = ours.join("kept").display().to_string() + "/";
        bench.same(&["-aAi", "--fake-super", "-M--super", &swapped, "back"]);
        for place in [theirs, ours] {
            assert_eq!(attributes(&place.join("back")), attributes(&bench.src()));
        }
    }
    // What is kept goes when it is no longer so.
    for name in ["a", "d1", "d3"] {
        assert!(Command::new("setfacl").arg("-bk").arg(bench.src().join(name)).status().unwrap().success());
    }
    bench.same(&["-aAi", "-M--fake-super", &src, "kept"]);
    let [theirs, ours] = bench.places();
    assert_eq!(attributes(&ours.join("kept")), attributes(&theirs.join("kept")));
}

#[test]
fn owners_that_are_not_preserved_stay() {
    let bench = Bench::new();
    let (src, [_, ours]) = (format!("{}/", bench.src().display()), bench.places());
    fs::write(bench.src().join("f"), "content").unwrap();
    lchown(bench.src().join("f"), Some(7), Some(8)).unwrap();
    let kept = |options: &str| {
        let args = [options, "-M--fake-super", &src, "dst"];
        assert!(command(None, FOREBAY, &["sync"]).args(args).current_dir(&ours).status().unwrap().success());
        let args = ["--only-values", "-n", "user.rsync.%stat", "dst/f"];
        let output = Command::new("getfattr").args(args).current_dir(&ours).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(kept("-rlpt"), "");
    assert_eq!(kept("-a"), "100644 0,0 7:8");
    fs::set_permissions(bench.src().join("f"), fs::Permissions::from_mode(0o4644)).unwrap();
    assert_eq!(kept("-rlpt"), "104644 0,0 7:8");
    lchown(bench.src().join("f"), Some(0), Some(0)).unwrap();
    fs::set_permissions(bench.src().join("f"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(kept("-a"), "");
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

/// It is what it is itself, but that must be known.
#[test]
fn what_may_not_be_known_of_a_source_is_said() {
    for options in ["-ai", "-aiX", "-rin", "-aic", "-aiA --no-i-r"] {
        let bench = Bench::new();
        let src = bench.src();
        fs::create_dir_all(src.join("d")).unwrap();
        fs::create_dir(src.join("closed")).unwrap();
        for name in ["a", "b", "d/c"] {
            fs::write(src.join(name), name).unwrap();
        }
        for name in ["a", "d/c", "closed"] {
            fs::set_permissions(src.join(name), fs::Permissions::from_mode(0o0)).unwrap();
        }
        bench.both(|place| lchown(place, Some(NOBODY), Some(NOBODY)).unwrap());
        let mut args: Vec<String> = options.split(' ').map(str::to_owned).collect();
        args.extend(["--fake-super".to_owned(), format!("{}/", src.display()), "dst".to_owned()]);
        let did = bench.same_as(Some(NOBODY), &args);
        assert_eq!(did.code, Some(23), "{args:?}");
        let said = did.errors.iter().filter(|line| line.contains("failed to read xattr user.rsync.%stat")).count();
        assert_eq!(said, 3, "{args:?}: {:?}", did.errors);
    }
}
