//! How content gets to its name: in place, appended, kept, delayed, backed up, beside other trees.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::harness::{Bench, command};
use crate::tree::touch;

const OLD: &str = "@900000000";
const NEW: &str = "@1000000000";

/// Writes `text` to `path`, with a time.
fn put(path: &Path, text: &str, time: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    touch(path, time);
}

fn lines(to: usize) -> String {
    (0..to).map(|i| format!("line {i}\n")).collect()
}

/// Gives the directories beneath `root` one time.
fn settle(root: &Path) {
    let touch = ["-type", "d", "-exec", "touch", "-d", NEW, "{}", "+"];
    assert!(command(None, "find", &[]).arg(root).args(touch).status().unwrap().success());
}

/// Runs `options` on a bench that `prepare` made, as rsync does.
fn same(options: &str, prepare: impl Fn(&Bench)) {
    let bench = Bench::new();
    prepare(&bench);
    let mut args: Vec<String> = options.split(' ').map(str::to_owned).collect();
    args.extend([format!("{}/", bench.src().display()), "dst".to_owned()]);
    bench.same(&args);
    bench.same(&args);
}

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

/// Everything that may be replaced or deleted, of every kind.
fn kinds(bench: &Bench) {
    let src = bench.src();
    put(&src.join("file"), "new file", NEW);
    put(&src.join("sub/file"), "new file", NEW);
    put(&src.join("over dir"), "file", NEW);
    put(&src.join("over full"), "file", NEW);
    fs::create_dir(src.join("dir over")).unwrap();
    symlink("new", src.join("link")).unwrap();
    symlink("new", src.join("link over")).unwrap();
    settle(&src);
    bench.both(|place| {
        let dst = place.join("dst");
        for name in
            ["file", "sub/file", "dir over", "link over", "extra", "extra~", "over full/x", "gone/a", "gone/b/c"]
        {
            put(&dst.join(name), name, OLD);
        }
        fs::create_dir(dst.join("over dir")).unwrap();
        symlink("old", dst.join("link")).unwrap();
        settle(&dst);
    });
}

#[test]
fn what_is_replaced_or_deleted_is_backed_up() {
    for options in [
        "-ai -b",
        "-ai -b --delete",
        "-ai -b --delete --suffix=.old",
        "-ain -b --delete",
        "-ai --backup-dir=../kept --delete",
        "-ai --backup-dir=kept/deep --suffix=.o",
        "-ai --backup-dir=../kept",
        "-ai -b --inplace --delete",
        "-ai -b --delay-updates --delete",
        "-rli -b",
    ] {
        same(options, kinds);
    }
}

#[test]
fn a_link_that_would_not_be_copied_gets_no_backup() {
    for options in [
        "-a -b --safe-links --delete",
        "-a -b --safe-links --delete --info=backup",
        "-av -b --safe-links --delete --info=backup",
        "-an -b --safe-links --delete --info=backup,symsafe",
        "-a -b --safe-links --delete-after --backup-dir=../kept --info=backup,symsafe",
        "-a -b --safe-links --inplace --info=backup,symsafe",
        "-a -b --delete --info=backup,symsafe",
        "-rt -b --safe-links --delete --info=backup,symsafe",
    ] {
        same(options, |bench| {
            let src = bench.src();
            put(&src.join("sub/over out"), "file", NEW);
            put(&src.join("over in"), "file", NEW);
            put(&src.join("over abs"), "file", NEW);
            symlink("in", src.join("link abs")).unwrap();
            fs::create_dir(src.join("dir abs")).unwrap();
            settle(&src);
            bench.both(|place| {
                let dst = place.join("dst");
                fs::create_dir_all(dst.join("sub")).unwrap();
                for (name, to) in [
                    ("sub/over out", "../../out"),
                    ("over in", "in"),
                    ("over abs", "/abs"),
                    ("link abs", "/abs"),
                    ("dir abs", "/abs"),
                    ("extra abs", "/abs"),
                    ("sub/extra in", "../in"),
                    ("sub/extra out", "../../out"),
                ] {
                    symlink(to, dst.join(name)).unwrap();
                }
                settle(&dst);
            });
        });
    }
}

#[test]
fn directories_of_backups_keep_the_bits_that_are_handed_on() {
    for options in ["-rt --backup-dir=../kept --delete", "-rptg --backup-dir=../kept --delete"] {
        same(options, |bench| {
            for name in ["group", "owner"] {
                fs::create_dir(bench.src().join(name)).unwrap();
            }
            settle(&bench.src());
            bench.both(|place| {
                for (name, owner, mode) in [("group", (None, Some(5)), 0o2750), ("owner", (Some(3), None), 0o6711)] {
                    let dir = place.join("dst").join(name);
                    put(&dir.join("extra"), "extra", OLD);
                    std::os::unix::fs::chown(&dir, owner.0, owner.1).unwrap();
                    fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
                }
                settle(&place.join("dst"));
            });
        });
    }
}

#[test]
fn a_backup_that_is_there_already_does_not_keep_the_name() {
    let bench = Bench::new();
    bench.both(|place| {
        put(&place.join("dst/file"), "text", OLD);
        fs::hard_link(place.join("dst/file"), place.join("dst/file~")).unwrap();
    });
    let status = command(None, crate::harness::FOREBAY, &["sync", "-ab", "--delete"])
        .arg(format!("{}/", bench.src().display()))
        .arg(bench.places()[1].join("dst"))
        .status()
        .unwrap();
    assert!(status.success());
    assert!(!bench.places()[1].join("dst/file").exists());
    assert_eq!(fs::read(bench.places()[1].join("dst/file~")).unwrap(), b"text");
}

/// Another tree with the same, with other attributes, with other content.
fn alternates(bench: &Bench) {
    let src = bench.src();
    for name in ["same", "mode", "time", "content", "size", "both", "exists", "sub/deep/file", "new", "over dir"] {
        put(&src.join(name), name, NEW);
    }
    for name in ["link", "other link", "kept link"] {
        symlink("target", src.join(name)).unwrap();
    }
    for (name, time) in [("link", NEW), ("other link", NEW), ("kept link", NEW)] {
        touch_link(&src.join(name), time);
    }
    fs::create_dir(src.join("new dir")).unwrap();
    settle(&src);
    bench.both(|place| {
        let alt = place.join("alt");
        crate::harness::copy(&src, &alt);
        for name in ["new", "new dir", "other link"] {
            let _ = fs::remove_file(alt.join(name)).or_else(|_| fs::remove_dir(alt.join(name)));
        }
        symlink("elsewhere", alt.join("other link")).unwrap();
        touch_link(&alt.join("other link"), NEW);
        assert!(command(None, "chmod", &["600"]).arg(alt.join("mode")).status().unwrap().success());
        touch(&alt.join("time"), OLD);
        put(&alt.join("content"), "CONTENT", NEW);
        put(&alt.join("size"), "another size", NEW);
        settle(&alt);
        put(&place.join("alt2/time"), "time", NEW);
        put(&place.join("dst/both"), "both", NEW);
        put(&place.join("dst/exists"), "old", OLD);
        fs::create_dir(place.join("dst/over dir")).unwrap();
        symlink("target", place.join("dst/kept link")).unwrap();
        touch_link(&place.join("dst/kept link"), NEW);
        settle(&place.join("dst"));
    });
}

fn touch_link(path: &Path, time: &str) {
    assert!(command(None, "touch", &["-h", "-d", time]).arg(path).status().unwrap().success());
}

#[test]
fn other_trees_are_compared_copied_from_and_linked_to() {
    for kind in ["compare", "copy", "link"] {
        for options in ["-ai", "-aivv", "-av", "-ain", "-aic", "-ai --delete", "-ai --inplace", "-ai --no-W"] {
            same(&format!("{options} --{kind}-dest=../alt --{kind}-dest=../alt2 --{kind}-dest=../missing"), alternates);
        }
    }
    let bench = Bench::new();
    alternates(&bench);
    bench.same(&["-ai", "--link-dest=../alt", &format!("{}/", bench.src().display()), "dst"]);
    let ours = &bench.places()[1];
    for (name, linked) in [("same", true), ("exists", true), ("mode", false), ("size", false), ("link", true)] {
        let inode = |tree: &str| ours.join(tree).join(name).symlink_metadata().unwrap().ino();
        assert_eq!(inode("dst") == inode("alt"), linked, "{name}");
    }
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
    for options in [&["-aS"][..], &["-aS", "--preallocate"], &["-aS", "--inplace"], &["-aS", "--no-W"]] {
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

#[test]
fn a_directory_of_backups_is_like_the_original_whatever_had_its_name() {
    for before in ["nothing", "file", "link"] {
        let bench = Bench::new();
        fs::create_dir_all(bench.src().join("d/e")).unwrap();
        bench.both(|place| {
            for dir in ["dst/d/e", "bak"] {
                fs::create_dir_all(place.join(dir)).unwrap();
            }
            match before {
                "file" => fs::write(place.join("bak/d"), "older").unwrap(),
                "link" => std::os::unix::fs::symlink("nowhere", place.join("bak/d")).unwrap(),
                _ => {}
            }
            for file in ["d/1", "d/e/2"] {
                fs::write(place.join("dst").join(file), "old").unwrap();
            }
        });
        for file in ["d/1", "d/e/2"] {
            fs::write(bench.src().join(file), "newer").unwrap();
        }
        fs::set_permissions(bench.src().join("d"), fs::Permissions::from_mode(0o751)).unwrap();
        std::os::unix::fs::chown(bench.src().join("d"), Some(3), Some(4)).unwrap();
        bench.same(&["-rlpgo", "--backup-dir=../bak", &format!("{}/", bench.src().display()), "dst"]);
    }
}

#[test]
fn what_is_no_file_is_looked_for_elsewhere_only_where_nothing_is() {
    for kind in ["--link-dest", "--compare-dest", "--copy-dest"] {
        for there in ["nothing", "file", "link", "same", "empty", "full"] {
            let bench = Bench::new();
            bench.both(|place| {
                for dir in ["src", "dst", "other"] {
                    fs::create_dir(place.join(dir)).unwrap();
                }
                for dir in ["src", "other"] {
                    symlink("to", place.join(dir).join("l")).unwrap();
                    assert!(Command::new("mkfifo").arg(place.join(dir).join("p")).status().unwrap().success());
                    for name in ["l", "p"] {
                        assert!(
                            Command::new("touch")
                                .args(["-h", "-d", NEW])
                                .arg(place.join(dir).join(name))
                                .status()
                                .unwrap()
                                .success()
                        );
                    }
                }
                for name in ["l", "p"] {
                    let path = place.join("dst").join(name);
                    match there {
                        "file" => fs::write(path, "x").unwrap(),
                        "link" => symlink("else", path).unwrap(),
                        "same" => symlink("to", path).unwrap(),
                        "empty" => fs::create_dir(path).unwrap(),
                        "full" => fs::create_dir_all(path.join("full")).unwrap(),
                        _ => {}
                    }
                }
                for dir in ["src", "dst", "other"] {
                    touch(&place.join(dir), NEW);
                }
            });
            bench.same(&["-ai", &format!("{kind}=../other"), "src/", "dst"]);
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
    for args in ["-ai", "-rti", "-ri", "-aiO"] {
        let bench = Bench::new();
        put(&bench.src().join("f"), "new content", NEW);
        bench.both(|place| put(&place.join("dst/f"), "old", NEW));
        touch(&bench.src(), NEW);
        bench.same(&[args, "--append-verify", &format!("{}/", bench.src().display()), "dst"]);
    }
}

#[test]
fn a_directory_like_one_elsewhere_is_told_as_rsync_tells_it() {
    for kind in ["--link-dest", "--compare-dest", "--copy-dest"] {
        for args in ["-aiX -b", "-aiX -O", "-aiX", "-rlpiX", "-rlpiX -b", "-ai -b", "-ai -O"] {
            for (time, differs) in [(NEW, true), (NEW, false), (OLD, true), (OLD, false)] {
                let bench = Bench::new();
                bench.both(|place| {
                    put(&place.join("src/d/f"), "text", NEW);
                    put(&place.join("other/d/f"), "text", NEW);
                    fs::create_dir(place.join("dst")).unwrap();
                    if differs {
                        let dir = place.join("src/d");
                        let set = Command::new("setfattr").args(["-n", "user.a", "-v", "1"]).arg(dir).status();
                        assert!(set.unwrap().success());
                        fs::set_permissions(place.join("other/d"), fs::Permissions::from_mode(0o700)).unwrap();
                    }
                    for (dir, time) in [("src/d", NEW), ("other/d", time), ("src", NEW), ("dst", NEW)] {
                        touch(&place.join(dir), time);
                    }
                });
                let mut all: Vec<&str> = args.split(' ').collect();
                let other = format!("{kind}=../other");
                all.extend([&other[..], "src/", "dst"]);
                bench.same(&all);
            }
        }
    }
}

#[test]
fn a_file_of_another_tree_too_gets_its_exact_time_by_its_sum() {
    for args in ["-aic", "-avvc", "-aicn", "-ai", "-rlic"] {
        let bench = Bench::new();
        bench.both(|place| {
            put(&place.join("src/f"), "text", NEW);
            put(&place.join("other/f"), "text", &format!("{NEW}.6"));
            fs::create_dir(place.join("dst")).unwrap();
            fs::hard_link(place.join("other/f"), place.join("dst/f")).unwrap();
            ["src", "other", "dst"].iter().for_each(|dir| touch(&place.join(dir), NEW));
        });
        bench.same(&[args, "--link-dest=../other", "src/", "dst"]);
    }
}

#[test]
fn names_of_one_file_are_told_as_rsync_tells_them_dry_or_not() {
    for options in [
        "-avvnH",
        "-avvnHI",
        "-avnH",
        "-anHi",
        "-aivvnH",
        "-avvnH --link-dest=../other",
        "-aivvnH --link-dest=../other",
        "-anH --out-format=%n",
        "-avvH --link-dest=../other",
        "-aivvH --link-dest=../other",
        "-aiH --link-dest=../other",
    ] {
        same(options, |bench| {
            let src = bench.src();
            let link = |dir: &Path, from: &str, to: &str| fs::hard_link(dir.join(from), dir.join(to)).unwrap();
            for name in ["content1", "mode1", "same1", "gone1", "elsewhere1", "apart1"] {
                put(&src.join(name), name, NEW);
            }
            for (name, to) in [("link1", "to"), ("target1", "to"), ("owner1", "to")] {
                symlink(to, src.join(name)).unwrap();
                touch_link(&src.join(name), NEW);
            }
            let names = ["content", "mode", "same", "gone", "elsewhere", "apart", "link", "target", "owner"];
            for name in names {
                link(&src, &format!("{name}1"), &format!("{name}2"));
                link(&src, &format!("{name}1"), &format!("{name}3"));
            }
            settle(&src);
            bench.both(|place| {
                let (dst, other) = (place.join("dst"), place.join("other"));
                crate::harness::copy(&src, &other);
                crate::harness::copy(&src, &dst);
                for name in ["content1", "elsewhere1"] {
                    put(&dst.join(name), "another", OLD);
                }
                for name in ["content1", "mode1", "gone1", "link1", "target1", "owner1"] {
                    fs::remove_file(other.join(name)).unwrap();
                }
                fs::set_permissions(dst.join("mode1"), fs::Permissions::from_mode(0o600)).unwrap();
                fs::remove_file(dst.join("gone2")).unwrap();
                for name in ["apart1", "apart2", "apart3"] {
                    fs::remove_file(dst.join(name)).unwrap();
                    fs::remove_file(other.join(name)).unwrap();
                    put(&other.join(name), "apart1", NEW);
                }
                touch_link(&dst.join("link1"), OLD);
                std::os::unix::fs::lchown(dst.join("owner1"), Some(3), None).unwrap();
                for name in ["target1", "target2", "target3"] {
                    fs::remove_file(dst.join(name)).unwrap();
                }
                symlink("from", dst.join("target1")).unwrap();
                link(&dst, "target1", "target2");
                link(&dst, "target1", "target3");
                settle(&dst);
            });
        });
    }
}
