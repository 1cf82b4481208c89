//! A symbolic link at the destination, in place of a directory of the source, must not lead out of the tree.

use std::fs;
use std::os::unix::fs::symlink;

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
