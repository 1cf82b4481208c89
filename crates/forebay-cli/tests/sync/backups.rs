//! What is replaced or deleted, and kept under another name.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use crate::harness::{Bench, command};
use crate::prepared::{NEW, OLD, put, same, settle};

const NOBODY: u32 = 65_534;

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
        "-ai --backup-dir=. --suffix=.b --delete",
        "-ai --backup-dir= --suffix=.b",
        "-aii --backup-dir=./ --suffix=.b",
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
fn a_new_directory_for_backups_leaves_the_destination_its_time_as_rsync_does() {
    for options in ["-ai", "-ai --no-i-r", "-ai --inplace", "-ai --delay-updates", "-ai -m", "-aiO --no-i-r"] {
        for dir in [".kept", "deep/kept", "sub/kept"] {
            same(&format!("{options} --backup-dir={dir}"), |bench| {
                put(&bench.src().join("sub/file"), "new file", NEW);
                settle(&bench.src());
                bench.both(|place| {
                    put(&place.join("dst/sub/file"), "old", OLD);
                    settle(&place.join("dst"));
                });
            });
        }
    }
}

/// Links that lead out and such that do not, in the way and left over.
fn links(bench: &Bench) {
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
        same(options, links);
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
fn directories_of_backups_inherit_where_modes_are_not_preserved() {
    for options in ["-rt --backup-dir=../kept -b", "-rtp --backup-dir=../kept -b", "-rgt --backup-dir=../kept -b"] {
        same(options, |bench| {
            put(&bench.src().join("dir/sub/file"), "new content", NEW);
            settle(&bench.src());
            bench.both(|place| {
                put(&place.join("dst/dir/sub/file"), "old", OLD);
                for (name, mode) in [("dir", 0o2755), ("dir/sub", 0o750)] {
                    fs::set_permissions(place.join("dst").join(name), fs::Permissions::from_mode(mode)).unwrap();
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

/// Of what is not backed up nothing is lost: as with rsync, which ends there.
#[test]
fn an_append_whose_backup_fails_leaves_the_file() {
    for options in ["--append-verify", "--append", "--inplace"] {
        let bench = Bench::new();
        put(&bench.src().join("f"), "AAAAAAAAAA-new-new", NEW);
        // The backups' directory is root's.
        bench.both(|place| {
            put(&place.join("dst/f"), "old-content", OLD);
            fs::create_dir(place.join("bak")).unwrap();
            chown(place.join("dst"), Some(NOBODY), Some(NOBODY)).unwrap();
            chown(place.join("dst/f"), Some(NOBODY), Some(NOBODY)).unwrap();
        });
        let src = format!("{}/", bench.src().display());
        let did = bench.did_as(Some(NOBODY), &["-rt", options, "-b", "--backup-dir=../bak", &src, "dst"]);
        assert_ne!(did[0].code, Some(0));
        assert_eq!(did[1].code, Some(23), "{options}");
        assert_eq!(did[1].errors.len(), 2, "{:?}", did[1].errors);
        for place in bench.places() {
            assert_eq!(fs::read(place.join("dst/f")).unwrap(), b"old-content", "{options}");
        }
    }
}

/// A directory gives way to a backup, with all that is in it, but not where the backup would be a copy.
#[test]
fn a_directory_that_has_the_backups_name_gives_way_where_the_file_moves() {
    for options in
        ["-rib", "-rib --delete", "-rib --inplace", "-rib --append-verify", "-rib --delay-updates", "-rib --inplace -n"]
    {
        for dir in ["", "--backup-dir=../kept"] {
            for full in [false, true] {
                let bench = Bench::new();
                put(&bench.src().join("f"), "newer than what is there", NEW);
                bench.both(|place| {
                    put(&place.join("dst/f"), "old", OLD);
                    let taken = place.join(if dir.is_empty() { "dst/f~" } else { "kept/f" });
                    fs::create_dir_all(&taken).unwrap();
                    if full {
                        put(&taken.join("full/x"), "x", OLD);
                    }
                });
                let src = format!("{}/", bench.src().display());
                let args: Vec<&str> =
                    options.split(' ').chain([dir, &src, "dst"]).filter(|arg| !arg.is_empty()).collect();
                let did = bench.same(&args);
                let stays = options.contains("inplace") || options.contains("append");
                assert_eq!(did.code == Some(23), stays && !options.contains("-n"), "{args:?}");
            }
        }
    }
}
