//! A symbolic link at the destination, in place of a directory of the source, must not lead out of the tree.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::harness::{Bench, command, copy};

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
