//! How content gets to its name: in place, appended, kept, delayed, sparse.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};

use crate::harness::{Bench, command};
use crate::prepared::{NEW, OLD, lines, put, same, settle};
use crate::tree::touch;

/// Files that are shorter, longer, different, the same, and new.
fn files(bench: &Bench) {
    let src = bench.src();
    for (name, len) in [("grow", 500), ("differ", 500), ("shrink", 50), ("same", 40), ("new", 9), ("sub/grow", 80)] {
        put(&src.join(name), &lines(len), NEW);
    }
    settle(&src);
    bench.both(|place| {
        let dst = place.join("dst");
        put(&dst.join("grow"), &lines(300), OLD);
        put(&dst.join("differ"), &format!("other\n{}", lines(200)), OLD);
        put(&dst.join("shrink"), &lines(400), OLD);
        put(&dst.join("same"), &lines(40), NEW);
        put(&dst.join("sub/grow"), &lines(10), OLD);
        put(&dst.join("extra"), "extra", OLD);
        settle(&dst);
    });
}

#[test]
fn files_are_written_in_every_way_as_rsync_writes_them() {
    for options in [
        "-ai --inplace",
        "-ai --inplace --no-whole-file",
        "-ai --inplace -S",
        "-ai --append",
        "-ai --append --no-W",
        "-aic --append",
        "-ain --append",
        "-ai --no-whole-file",
        "-ai --no-W -B 700",
        "-ai -S",
        "-ai -S --preallocate",
        "-ai --preallocate --fsync",
        "-ai --partial",
        "-ai --partial-dir=.part --delete",
        "-ai --delay-updates --delete",
        "-ai --delay-updates -b",
        "-aic --cc=md5",
        "-ai -T /tmp",
    ] {
        same(options, files);
    }
}

#[test]
fn a_directory_that_temporary_files_are_in_gets_its_time_in_the_end() {
    for options in ["-ai -T a", "-ai --no-i-r -T a", "-ai -T ./a --delay-updates", "-aiO -T a", "-rli -T a"] {
        for there in [OLD, NEW] {
            same(options, |bench| {
                for name in ["a/1", "b/2", "b/c/3"] {
                    put(&bench.src().join(name), name, NEW);
                }
                settle(&bench.src());
                bench.both(|place| {
                    fs::create_dir_all(place.join("dst/a")).unwrap();
                    touch(&place.join("dst/a"), there);
                });
            });
        }
    }
}

#[test]
fn an_append_that_does_not_fit_is_done_anew() {
    let bench = Bench::new();
    files(&bench);
    let args = ["-a", "--append-verify", &format!("{}/", bench.src().display()), "dst"];
    assert_eq!(bench.same(&args).errors, [""; 0]);
    assert_eq!(fs::read(bench.places()[1].join("dst/differ")).unwrap(), lines(500).as_bytes());
}

#[test]
fn an_append_that_is_done_anew_is_backed_up_once() {
    let bench = Bench::new();
    files(&bench);
    let args = ["-a", "--append-verify", "-b", &format!("{}/", bench.src().display()), "dst"];
    bench.same(&args);
    let old = format!("other\n{}", lines(200));
    assert_eq!(fs::read(bench.places()[1].join("dst/differ~")).unwrap(), old.as_bytes());
}

#[test]
fn in_place_the_file_is_written_that_was_there_whichever_name_of_it_comes_first() {
    let bench = Bench::new();
    put(&bench.src().join("b"), &lines(500), NEW);
    fs::hard_link(bench.src().join("b"), bench.src().join("a")).unwrap();
    bench.both(|place| {
        put(&place.join("dst/b"), &lines(300), OLD);
        fs::hard_link(place.join("dst/b"), place.join("dst/extra")).unwrap();
    });
    bench.same(&["-aiH", "--inplace", &format!("{}/", bench.src().display()), "dst"]);
    let number = |name| bench.places()[1].join("dst").join(name).metadata().unwrap().ino();
    assert_eq!([number("a"), number("b")], [number("extra"); 2]);
}

#[test]
fn in_place_keeps_the_inode_and_its_other_names() {
    let bench = Bench::new();
    put(&bench.src().join("file"), &lines(500), NEW);
    bench.both(|place| {
        put(&place.join("dst/file"), &lines(300), OLD);
        fs::hard_link(place.join("dst/file"), place.join("dst/other")).unwrap();
    });
    bench.same(&["-ai", "--inplace", &format!("{}/", bench.src().display()), "dst"]);
    let dst = bench.places()[1].join("dst");
    assert_eq!(dst.join("file").metadata().unwrap().ino(), dst.join("other").metadata().unwrap().ino());
}

#[test]
fn zeros_become_holes() {
    let bench = Bench::new();
    let sparse = File::create(bench.src().join("sparse")).unwrap();
    sparse.set_len(200 << 20).unwrap();
    let mut dense = vec![0; 3 << 20];
    dense[1 << 20..][..5000].fill(7);
    fs::write(bench.src().join("zeros in it"), &dense).unwrap();
    for at in [0, 70 << 20, (150 << 20) + 12_345] {
        std::os::unix::fs::FileExt::write_all_at(&sparse, b"data", at).unwrap();
    }
    // What is written over them below is of another second, however quick this is.
    ["sparse", "zeros in it"].iter().for_each(|name| touch(&bench.src().join(name), "@1000000000"));
    for options in [
        &["-aS"][..],
        &["-aS", "--preallocate"],
        &["-aS", "--inplace"],
        &["-aS", "--inplace", "--preallocate"],
        &["-aS", "--no-W"],
    ] {
        let dst = bench.places()[1].join("dst");
        let output = command(None, crate::harness::FOREBAY, &["sync"])
            .args(options)
            .args(["--reflink=never", &format!("{}/", bench.src().display())])
            .arg(&dst)
            .status()
            .unwrap();
        assert!(output.success());
        for name in ["sparse", "zeros in it"] {
            assert!(
                fs::read(dst.join(name)).unwrap() == fs::read(bench.src().join(name)).unwrap(),
                "{options:?} {name}"
            );
        }
        let kib = |name: &str| dst.join(name).metadata().unwrap().blocks() / 2;
        assert!(kib("sparse") <= 64, "{options:?}: {} KiB", kib("sparse"));
        assert!(kib("zeros in it") <= 64, "{options:?}: {} KiB", kib("zeros in it"));
        // Once more over something else: without a trace of it.
        fs::write(dst.join("zeros in it"), vec![1; 3 << 20]).unwrap();
    }
}

/// Takes at least what the limit says, in whatever way bytes are written.
#[test]
fn a_limit_holds_what_is_written_back() {
    for options in ["-a", "-a --no-W", "-a --inplace", "-aS", "-a --append"] {
        let bench = Bench::new();
        fs::write(bench.src().join("file"), vec![1; 100_000]).unwrap();
        bench.both(|place| fs::create_dir(place.join("dst")).unwrap());
        let [_, ours] = bench.places();
        let mut command = command(None, crate::harness::FOREBAY, &["sync"]);
        command
            .args(options.split(' '))
            .args(["--reflink=never", "--bwlimit=200"])
            .arg(bench.src().join("file"))
            .arg("dst");
        let begun = std::time::Instant::now();
        assert!(command.current_dir(&ours).status().unwrap().success());
        assert!(begun.elapsed() >= std::time::Duration::from_millis(480), "{options}: {:?}", begun.elapsed());
        assert_eq!(fs::read(ours.join("dst/file")).unwrap(), vec![1; 100_000]);
    }
}

/// What follows links to directories does not care whether they are safe.
#[test]
fn of_links_to_directories_that_are_followed_none_is_told_to_be_unsafe() {
    let bench = Bench::new();
    for name in ["out/d/f", "out/f"] {
        fs::create_dir_all(bench.src().join("../beyond").join(name).parent().unwrap()).unwrap();
        fs::write(bench.src().join("../beyond").join(name), "file").unwrap();
    }
    symlink("../beyond/out", bench.src().join("dir")).unwrap();
    symlink("../beyond/out/f", bench.src().join("file")).unwrap();
    let src = bench.src().display().to_string();
    for args in [&["-aivk", "--copy-unsafe-links"][..], &["-aiv", "--copy-unsafe-links"]] {
        for source in [format!("{src}/"), format!("{src}/dir")] {
            bench.same(&[args, &[&source[..], "dst"]].concat());
        }
    }
}

#[test]
fn a_link_that_leads_through_a_file_is_told_as_such() {
    let bench = Bench::new();
    fs::write(bench.src().join("f"), "file").unwrap();
    symlink("f/x", bench.src().join("through")).unwrap();
    symlink("nowhere", bench.src().join("dangling")).unwrap();
    let src = bench.src().display().to_string();
    for args in [&["-aiL"][..], &["-ai", "-k"], &["-rti", "--copy-unsafe-links"]] {
        for source in [format!("{src}/"), format!("{src}/through"), format!("{src}/dangling")] {
            bench.same(&[args, &[&source[..], "dst"]].concat());
        }
    }
}

#[test]
fn a_file_that_fails_its_verification_is_told_with_its_time() {
    for args in ["-ai", "-rti", "-ri", "-aiO", "-aiX", "-riX"] {
        let bench = Bench::new();
        put(&bench.src().join("f"), "new content", NEW);
        let set = command(None, "setfattr", &["-n", "user.a", "-v", "1"]).arg(bench.src().join("f")).status();
        assert!(set.unwrap().success());
        bench.both(|place| put(&place.join("dst/f"), "old", NEW));
        touch(&bench.src(), NEW);
        bench.same(&[args, "--append-verify", &format!("{}/", bench.src().display()), "dst"]);
    }
}

/// Whichever is written last: each of them whole.
#[test]
fn files_over_names_of_one_file_are_written_in_place_one_after_the_other() {
    let bench = Bench::new();
    let names: Vec<String> = (0..8).map(|number| format!("f{number}")).collect();
    for (name, byte) in names.iter().zip(b'a'..) {
        fs::write(bench.src().join(name), vec![byte; 3 << 20]).unwrap();
    }
    let dst = bench.places()[1].join("dst");
    for options in ["-aW", "-aW -S", "-a --no-W"] {
        for _ in 0..5 {
            let _ = fs::remove_dir_all(&dst);
            put(&dst.join("f0"), "old", OLD);
            names[1..].iter().for_each(|name| fs::hard_link(dst.join("f0"), dst.join(name)).unwrap());
            let mut command =
                command(None, crate::harness::FOREBAY, &["sync", "--inplace", "--reflink=never", "--workers=8"]);
            command.args(options.split(' ')).arg(format!("{}/", bench.src().display())).arg(&dst);
            assert!(command.status().unwrap().success());
            let got = fs::read(dst.join("f0")).unwrap();
            assert!(got.len() == 3 << 20 && got.iter().all(|byte| *byte == got[0]), "{options}");
        }
    }
}
