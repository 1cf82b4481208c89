//! A symbolic link at the destination, in place of a directory of the source, must not lead out of the tree.

use std::fs;
use std::os::unix::fs::{lchown, symlink};
use std::process::Command;

use crate::harness::{Bench, Did, FOREBAY, command, copy, did};
use crate::tree::look;

const NOBODY: u32 = 65_534;

#[test]
fn nothing_is_written_through_a_link_in_the_destination() {
    for options in ["-ai", "-aiH", "-aiAX", "-aib", "-ai --inplace", "-ai --delay-updates", "-ai --link-dest=../alt"] {
        let bench = Bench::new();
        fs::create_dir_all(bench.src().join("dir/sub")).unwrap();
        fs::write(bench.src().join("dir/file"), "new").unwrap();
        fs::write(bench.src().join("dir/sub/file"), "new").unwrap();
        fs::hard_link(bench.src().join("dir/file"), bench.src().join("dir/sub/linked")).unwrap();
        let attribute = ["-n", "user.a", "-v", "1"];
        let set = command(None, "setfattr", &attribute).arg(bench.src().join("dir/file")).status();
        assert!(set.unwrap().success());
        bench.both(|place| {
            fs::create_dir_all(place.join("outside/sub")).unwrap();
            fs::write(place.join("outside/file"), "untouched").unwrap();
            fs::write(place.join("outside/only here"), "untouched").unwrap();
            fs::create_dir(place.join("dst")).unwrap();
            symlink("../outside", place.join("dst/dir")).unwrap();
            copy(&bench.src(), &place.join("alt"));
        });
        let src = format!("{}/", bench.src().display());
        let args: Vec<&str> = options.split(' ').chain(["--delete", &src, "dst"]).collect();
        bench.same(&args);
        for place in bench.places() {
            assert_eq!(fs::read(place.join("outside/file")).unwrap(), b"untouched");
            assert!(place.join("outside/only here").exists() && !place.join("outside/sub/file").exists());
            assert!(place.join("dst/dir").symlink_metadata().unwrap().is_dir());
        }
    }
}

#[test]
fn the_destination_itself_may_be_a_link() {
    let bench = Bench::new();
    fs::write(bench.src().join("file"), "new").unwrap();
    bench.both(|place| {
        fs::create_dir(place.join("real")).unwrap();
        symlink("real", place.join("dst")).unwrap();
    });
    let src = format!("{}/", bench.src().display());
    bench.same(&["-ai", &src, "dst"]);
    assert!(bench.places()[1].join("real/file").exists());
}

/// What is where files wait for everything else to be done is replaced, unless it is a directory; and no link on the way to it is
/// followed.
#[test]
fn what_waits_does_not_wait_elsewhere() {
    for (dir, on_the_way) in [(".~tmp~", false), (".part", false), ("lead/.part", true)] {
        for kind in ["link", "pipe", "file"] {
            let bench = Bench::new();
            fs::create_dir(bench.src().join("d")).unwrap();
            for name in ["f", "d/f"] {
                fs::write(bench.src().join(name), name).unwrap();
            }
            bench.both(|place| {
                fs::create_dir_all(place.join("dst/d")).unwrap();
                fs::create_dir(place.join("outside")).unwrap();
                fs::write(place.join("outside/kept"), "kept").unwrap();
                symlink("../outside", place.join("dst/lead")).unwrap();
                let planted = place.join("dst").join(dir);
                match kind {
                    _ if on_the_way => {}
                    "link" => symlink(place.join("outside"), planted).unwrap(),
                    "pipe" => assert!(Command::new("mkfifo").arg(planted).status().unwrap().success()),
                    _ => fs::write(planted, "a file").unwrap(),
                }
            });
            let partial = format!("--partial-dir={dir}");
            let src = format!("{}/", bench.src().display());
            let args = ["-rO", "--delay-updates", &partial, &src, "dst"];
            let [theirs, ours] = bench.did(&args);
            // How stock rsync calls its temporary files varies.
            assert_eq!(ours.code, theirs.code, "{dir} {kind}: {ours:?} {theirs:?}");
            assert_eq!(ours.code == Some(23), on_the_way, "{dir} {kind} {ours:?}");
            // Stock rsync makes the directory there, but puts nothing into it.
            let outside = bench.places()[1].join("outside");
            let left: Vec<_> = fs::read_dir(outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(left, ["kept"], "{dir} {kind}");
            for place in bench.places() {
                assert_eq!(place.join("dst/f").exists(), !on_the_way, "{dir} {kind}");
            }
        }
    }
}

/// Where links of somebody else's are, what an argument names is not looked for: `{}` is the link, or the path over it.
const NAMED: [(&str, &str); 15] = [
    ("-ri SRC/ {}", "real/in"),
    ("-ri SRC/ {}/new", "real/in"),
    ("-ri --mkpath SRC/ {}/new/er", "real/in"),
    ("-ri SRC/f {}/g", "real/in"),
    ("-rib --backup-dir=../{} SRC/ dst", "real/in"),
    ("-ri -T PLACE/{} SRC/ dst", "real/in"),
    ("-ri --files-from={} SRC dst", "real/names"),
    ("-ri --exclude-from={} SRC/ dst", "real/names"),
    ("-ri --include-from={} SRC/ dst", "real/names"),
    ("-ri --filter=._{} SRC/ dst", "real/rules"),
    ("-ri --log-file={} SRC/ dst", "real/log"),
    ("-rti --link-dest=../{} SRC/ dst", "real/in"),
    ("-rti --compare-dest=PLACE/{} SRC/ dst", "real/in"),
    ("-ri --insecure-links SRC/ {}", "real/in"),
    ("-ri --insecure-links --exclude-from={} SRC/ dst", "real/names"),
];

#[test]
fn links_on_the_way_to_what_is_named_are_followed_by_whose_they_are() {
    for (user, owner) in [(None, 0), (None, NOBODY), (Some(NOBODY), 0), (Some(NOBODY), NOBODY), (Some(NOBODY), 1234)] {
        for ((args, to), whole) in NAMED.into_iter().flat_map(|each| [(each, false), (each, true)]) {
            // The link is what is named, or leads there by another one that is to be trusted.
            let (dir, name) = to.rsplit_once('/').unwrap();
            let (planted, named) = if whole { (to, "planted".to_owned()) } else { (dir, format!("planted/{name}")) };
            let trusted = owner == 0 || user == Some(owner) || args.contains("--insecure-links");
            let bench = Bench::new();
            fs::write(bench.src().join("f"), "new").unwrap();
            bench.both(|place| {
                fs::create_dir_all(place.join("dst")).unwrap();
                fs::create_dir_all(place.join("real/in")).unwrap();
                fs::write(place.join("dst/f"), "older").unwrap();
                fs::write(place.join("real/names"), "f\n").unwrap();
                fs::write(place.join("real/rules"), "- f\n").unwrap();
                fs::write(place.join("real/log"), "").unwrap();
                symlink(planted, place.join("planted")).unwrap();
                assert!(Command::new("chown").args(["-Rh", "65534"]).arg(place).status().unwrap().success());
                lchown(place.join("planted"), Some(owner), None).unwrap();
            });
            let [theirs, ours] = bench.places().map(|place| {
                let program = if place.ends_with("rsync") { ("rsync", &[][..]) } else { (FOREBAY, &["sync"][..]) };
                let args = args.replace("SRC", bench.src().to_str().unwrap()).replace("{}", &named);
                let args = args.replace("PLACE", place.to_str().unwrap());
                let mut command = command(user, program.0, program.1);
                let output = command.args(args.split(' ')).current_dir(&place).output().unwrap();
                let refused = String::from_utf8_lossy(&output.stderr).contains("refusing to follow a symlink");
                let log = fs::read(place.join("real/log")).unwrap();
                fs::write(place.join("real/log"), "").unwrap();
                (did(Ok(output), &place), refused, log.is_empty())
            });
            let about = format!("{args} {named} {user:?} {owner}: {ours:?}, rsync: {theirs:?}");
            assert_eq!((ours.0.code, ours.1, ours.2), (theirs.0.code, theirs.1, theirs.2), "{about}");
            assert_eq!(ours.1, !trusted, "{about}");
            // Ours is at an end before anything is told of.
            if !args.contains("-dir") && !args.contains("-T") {
                // Stock rsync says what it has made, and did not make there.
                let lines = |did: &Did| did.lines.iter().filter(|line| trusted || !line.starts_with("created")).count();
                assert_eq!((lines(&ours.0), &ours.0.errors), (lines(&theirs.0), &theirs.0.errors), "{about}");
            }
            let [theirs, ours] = bench.places().map(|place| {
                let made = look(&place, false).into_keys();
                made.filter(|path| trusted || !path.to_string_lossy().contains("new")).collect::<Vec<_>>()
            });
            assert_eq!(ours, theirs, "{about}");
            if !trusted {
                assert!(!bench.places()[1].join("real/in/f").exists(), "{about}");
            }
        }
    }
}

/// A file of rules that somebody else's link stands for counts for nothing, and files wait in no directory beyond one.
#[test]
fn links_of_others_lead_to_neither_rules_nor_partial_files() {
    let bench = Bench::new();
    fs::write(bench.src().join("f"), "new").unwrap();
    symlink("../rsync/rules", bench.src().join(".r")).unwrap();
    lchown(bench.src().join(".r"), Some(1234), None).unwrap();
    bench.both(|place| {
        fs::create_dir_all(place.join("real")).unwrap();
        fs::write(place.join("rules"), "- f\n").unwrap();
        symlink("real", place.join("planted")).unwrap();
        lchown(place.join("planted"), Some(1234), None).unwrap();
    });
    let src = format!("{}/", bench.src().display());
    let did = bench.same(&["-ri", "--filter=:_.r", &src, "dst"]);
    assert!(did.lines.contains(&">f+++++++++ f".to_owned()), "{did:?}");
    let partial = format!("--partial-dir={}/planted/p", bench.places()[1].display());
    let [_, ours] = bench.did(&["-rI", "--delay-updates", &partial, &src, "dst"]);
    assert_eq!(ours.code, Some(23), "{ours:?}");
    assert!(fs::read_dir(bench.places()[1].join("real")).unwrap().next().is_none());
}

/// A link in the source that is somebody else's leads to nothing that a list names.
#[test]
fn links_of_others_lead_to_nothing_in_a_list() {
    for owner in [0, 1234] {
        for (options, follows) in [
            ("-ai", false),
            ("-ai --no-implied-dirs", false),
            ("-ai --no-R", true),
            ("-aiL", true),
            ("-aik", true),
            ("-ai --copy-unsafe-links", true),
            ("-ai --insecure-links", true),
        ] {
            let bench = Bench::new();
            let src = bench.src();
            fs::create_dir_all(src.join("real/deep")).unwrap();
            ["real/f", "real/deep/g", "last"].iter().for_each(|name| fs::write(src.join(name), name).unwrap());
            symlink("real", src.join("planted")).unwrap();
            lchown(src.join("planted"), Some(owner), None).unwrap();
            bench.both(|place| {
                fs::write(place.join("list"), "planted/f\nreal/f\nplanted/deep/g\nplanted\nlast\n").unwrap();
            });
            let args = format!("{options} --files-from=list {} dst", src.display());
            eprintln!("{owner}: {args}");
            let did = bench.same(&args.split(' ').collect::<Vec<_>>());
            assert_eq!(did.code == Some(23), owner != 0 && !follows, "{did:?}");
        }
    }
}
