//! What may not be read or written is reported, and the rest goes on. As another user: root may everything.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use crate::harness::{Bench, Did, FOREBAY, command, copy};
use crate::metadata::{same as attributes_same, same_as as attributes_same_as};
use crate::tree::{rustix_is_root, touch};

const NOBODY: u32 = 65_534;

fn mode(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Gives everything beneath `path` to nobody.
fn give_away(path: &Path) {
    let status = Command::new("chown").args(["-Rh", "65534:65534"]).arg(path).status().unwrap();
    assert!(status.success());
}

fn same(bench: &Bench, args: &[&str]) -> Did {
    assert!(rustix_is_root(), "these tests change users and need root");
    let mut args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    args.extend([format!("{}/", bench.src().display()), "dst".to_owned()]);
    bench.same_as(Some(NOBODY), &args)
}

#[test]
fn unreadable_files_and_directories() {
    let bench = Bench::new();
    let src = bench.src();
    fs::create_dir_all(src.join("closed/inner")).unwrap();
    fs::create_dir_all(src.join("no-search")).unwrap();
    fs::create_dir_all(src.join("zz")).unwrap();
    for file in ["a", "secret", "closed/x", "no-search/y", "zz/open"] {
        fs::write(src.join(file), file).unwrap();
    }
    mode(src.join("secret"), 0o600);
    mode(src.join("closed"), 0o700);
    bench.both(|place| {
        fs::create_dir_all(place.join("dst/closed/kept")).unwrap();
        fs::write(place.join("dst/secret"), "older").unwrap();
        give_away(place);
    });
    let did = same(&bench, &["-rti"]);
    assert_eq!(did.code, Some(23));
    let did = same(&bench, &["-rtin", "--delete"]);
    assert!(did.deletions.iter().all(|line| !line.contains("closed/kept")), "{did:?}");
}

#[test]
fn a_source_that_may_not_be_read_is_transferred_without_what_is_in_it() {
    for args in ["-ai", "-rti --no-i-r", "-ai --delete", "-aix --delete --ignore-errors", "-diX"] {
        let bench = Bench::new();
        fs::create_dir_all(bench.src().join("sub")).unwrap();
        for file in ["f", "sub/g"] {
            fs::write(bench.src().join(file), file).unwrap();
        }
        touch(&bench.src(), "@1000000000");
        mode(bench.src(), 0o711);
        bench.both(|place| {
            fs::create_dir_all(place.join("dst/old")).unwrap();
            fs::write(place.join("dst/f"), "older").unwrap();
            give_away(place);
        });
        eprintln!("{args}");
        assert_eq!(same(&bench, &args.split(' ').collect::<Vec<_>>()).code, Some(23));
    }
}

#[test]
fn nothing_is_deleted_for_a_directory_that_can_be_read_and_not_searched() {
    for args in [
        "-ai --delete-before",
        "-ai --delete",
        "-ai --delete-after",
        "-aivv",
        "-ai -x --no-i-r",
        "-aiHm",
        "-aim --delete",
    ] {
        let bench = Bench::new();
        let src = bench.src();
        for dir in ["rx/in", "rz"] {
            fs::create_dir_all(src.join(dir)).unwrap();
        }
        fs::write(src.join("rx/b"), "b").unwrap();
        give_away(&src);
        mode(src.join("rx"), 0o444);
        bench.both(|place| {
            fs::create_dir_all(place.join("dst/rz")).unwrap();
            fs::create_dir_all(place.join("dst/rx/k")).unwrap();
            fs::write(place.join("dst/rz/k"), "k").unwrap();
            give_away(place);
        });
        let args: Vec<&str> = args.split(' ').collect();
        let did = same(&bench, &args);
        assert_eq!(did.code, Some(23), "{args:?} {did:?}");
        let given = format!("{}/rx/", src.display());
        bench.same_as(Some(NOBODY), &[&args[..], &[&given, "dst"]].concat());
    }
}

#[test]
fn what_has_attributes_that_cannot_be_read_is_left_out() {
    let attributed = |path: &Path| {
        assert!(Command::new("setfattr").args(["-n", "user.a", "-v", "1"]).arg(path).status().unwrap().success());
    };
    for options in
        ["-rX", "-rtXi", "-rXivv", "-rXin", "-dX", "-rXHi", "-rXi --stats", "-rX --list-only", "-rtXi --delete"]
    {
        let bench = Bench::new();
        let src = bench.src();
        fs::create_dir_all(src.join("closed/inner")).unwrap();
        fs::create_dir_all(src.join("open/closed")).unwrap();
        for file in ["a", "secret", "open/secret", "open/f", "twice"] {
            fs::write(src.join(file), file).unwrap();
            touch(&src.join(file), "@1000000000");
        }
        fs::hard_link(src.join("twice"), src.join("open/twice")).unwrap();
        for (path, closed) in
            [("secret", 0o600), ("open/secret", 0o600), ("twice", 0o600), ("closed", 0o700), ("open/closed", 0o700)]
        {
            attributed(&src.join(path));
            mode(src.join(path), closed);
        }
        bench.both(|place| {
            fs::create_dir_all(place.join("dst/closed")).unwrap();
            fs::write(place.join("dst/closed/kept"), "kept").unwrap();
            give_away(place);
        });
        let options: Vec<&str> = options.split(' ').collect();
        let did = same(&bench, &options);
        let left_out = if options[0] == "-dX" { 3 } else { 6 };
        assert_eq!((did.code, did.errors.len()), (Some(23), left_out + 1), "{options:?}: {:?}", did.errors);
    }
}

/// Attributes can be set by who may write alone.
#[test]
fn what_its_owner_may_not_write_gets_its_attributes() {
    let set = |path: &Path, name: &str| {
        assert!(Command::new("setfattr").args(["-n", name, "-v", "1"]).arg(path).status().unwrap().success());
    };
    for option in ["-rX", "-aX", "-rXi", "-aXi --inplace"] {
        let bench = Bench::new();
        let src = bench.src();
        fs::create_dir(src.join("closed")).unwrap();
        let names = ["a", "gets", "loses", "new", "other", "closed/f"];
        for name in names {
            fs::write(src.join(name), name).unwrap();
            touch(&src.join(name), "@1000000000");
        }
        ["gets", "new", "other", "closed", "closed/f"].iter().for_each(|name| set(&src.join(name), "user.a"));
        bench.both(|place| {
            let dst = place.join("dst");
            copy(&src, &dst);
            fs::remove_file(dst.join("new")).unwrap();
            fs::write(dst.join("other"), "another one").unwrap();
            for name in ["gets", "closed", "closed/f"] {
                assert!(
                    Command::new("setfattr").args(["-x", "user.a"]).arg(dst.join(name)).status().unwrap().success()
                );
            }
            set(&dst.join("loses"), "user.b");
            names[1..].iter().filter(|name| **name != "new").for_each(|name| mode(dst.join(name), 0o444));
            mode(dst.join("closed"), 0o555);
            give_away(place);
        });
        names[1..].iter().for_each(|name| mode(src.join(name), 0o444));
        mode(src.join("closed"), 0o555);
        let mut args: Vec<String> = option.split(' ').map(str::to_owned).collect();
        args.extend([format!("{}/", src.display()), "dst".to_owned()]);
        attributes_same_as(&bench, Some(NOBODY), &args);
        let [_, ours] = bench.places();
        let found = Command::new("getfattr").arg(ours.join("dst/closed/f")).output().unwrap();
        assert!(String::from_utf8_lossy(&found.stdout).contains("user.a"), "{option}");
    }
}

#[test]
fn what_cannot_be_opened_counts_as_transferred() {
    for options in ["-a", "-ac", "-aH", "-aX", "-a --existing", "-a --no-W"] {
        let bench = Bench::new();
        let src = bench.src();
        fs::create_dir(src.join("closed")).unwrap();
        for file in ["a", "secret", "secret-too"] {
            fs::write(src.join(file), file).unwrap();
        }
        fs::hard_link(src.join("secret-too"), src.join("twice")).unwrap();
        bench.both(|place| {
            fs::create_dir_all(place.join("dst")).unwrap();
            fs::write(place.join("dst/secret"), "other!").unwrap();
            give_away(place);
        });
        mode(src.join("secret"), 0o600);
        mode(src.join("secret-too"), 0o600);
        mode(src.join("closed"), 0o700);
        let args = [&["--stats"][..], &options.split(' ').collect::<Vec<_>>()].concat();
        eprintln!("{args:?}");
        assert_eq!(same(&bench, &args).code, Some(23));
    }
}

#[test]
fn with_super_read_only_directories_stay_closed() {
    let bench = Bench::new();
    fs::create_dir(bench.src().join("ro")).unwrap();
    fs::write(bench.src().join("ro/a"), "text").unwrap();
    mode(bench.src().join("ro"), 0o555);
    give_away(&bench.src());
    bench.both(give_away);
    same(&bench, &["-ai", "--super"]);
    same(&bench, &["-ai", "--super"]);
}

#[test]
fn what_cannot_be_deleted_is_said_so() {
    for options in ["--delete", "--delete-before", "--delete-after", "--delete-delay", "--force", "-n --delete"] {
        let bench = Bench::new();
        let src = bench.src();
        fs::create_dir_all(src.join("d")).unwrap();
        for file in ["f", "d/1", "secret"] {
            fs::write(src.join(file), file).unwrap();
            touch(&src.join(file), "@1000000000");
        }
        mode(src.join("secret"), 0o600);
        bench.both(|place| {
            // `dst` may be entered, and nothing in it may be changed.
            for dir in ["dst/gone", "dst/more/inner", "dst/f"] {
                fs::create_dir_all(place.join(dir)).unwrap();
            }
            fs::create_dir(place.join("dst/d")).unwrap();
            for file in ["x", "more/y", "d/extra"] {
                fs::write(place.join("dst").join(file), "old").unwrap();
            }
        });
        let mut args = vec!["-rtiO"];
        args.extend(options.split(' '));
        let did = same(&bench, &args);
        assert_eq!(did.code, Some(if options.contains("-n") { 0 } else { 23 }), "{did:?}");
    }
}

#[test]
fn after_an_unreadable_directory_nothing_beneath_it_is_deleted() {
    let bench = Bench::new();
    fs::create_dir_all(bench.src().join("closed")).unwrap();
    mode(bench.src().join("closed"), 0o700);
    bench.both(|place| {
        fs::create_dir_all(place.join("dst/closed")).unwrap();
        fs::write(place.join("dst/closed/precious"), "text").unwrap();
        give_away(place);
    });
    assert_eq!(same(&bench, &["-ai", "--delete"]).code, Some(23));
    assert!(bench.places()[1].join("dst/closed/precious").exists());
}

#[test]
fn a_directory_of_the_destination_that_is_not_ours() {
    let bench = Bench::new();
    fs::create_dir_all(bench.src().join("theirs")).unwrap();
    fs::create_dir_all(bench.src().join("new/deep")).unwrap();
    for file in ["theirs/old", "theirs/new", "new/deep/file"] {
        fs::write(bench.src().join(file), file).unwrap();
    }
    // The directories' times are right already: what cannot be set is reported at another moment than with stock rsync.
    let settle = |dir: &Path| {
        touch(&dir.join("theirs"), "@1000000000");
        touch(dir, "@1000000000");
    };
    settle(&bench.src());
    bench.both(|place| {
        fs::create_dir_all(place.join("dst/theirs")).unwrap();
        fs::write(place.join("dst/theirs/old"), "precious").unwrap();
        settle(&place.join("dst"));
    });
    assert_eq!(same(&bench, &["-rtiv"]).code, Some(23));
    assert_eq!(fs::read(bench.places()[1].join("dst/theirs/old")).unwrap(), b"precious");
}

/// Where a link would have led is said.
#[test]
fn what_cannot_be_made_in_a_directory_that_is_not_ours() {
    for options in [["-rlDi", "-v"], ["-rlD", "-H"]] {
        let bench = Bench::new();
        std::os::unix::fs::symlink("to\u{1}where", bench.src().join("link")).unwrap();
        assert!(Command::new("mkfifo").arg(bench.src().join("pipe")).status().unwrap().success());
        fs::write(bench.src().join("file"), "file").unwrap();
        bench.both(|place| fs::create_dir(place.join("dst")).unwrap());
        assert_eq!(same(&bench, &options).code, Some(23));
    }
}

#[test]
fn our_own_read_only_directories_are_written_to_and_are_read_only_again() {
    let bench = Bench::new();
    fs::create_dir_all(bench.src().join("ro/deep")).unwrap();
    fs::create_dir_all(bench.src().join("opened")).unwrap();
    for file in ["ro/a", "ro/deep/b", "opened/c"] {
        fs::write(bench.src().join(file), file).unwrap();
    }
    mode(bench.src().join("ro/deep"), 0o555);
    mode(bench.src().join("ro"), 0o555);
    give_away(&bench.src());
    bench.both(|place| {
        fs::create_dir_all(place.join("dst/opened")).unwrap();
        fs::create_dir_all(place.join("dst/gone/sub")).unwrap();
        fs::write(place.join("dst/gone/sub/file"), "text").unwrap();
        for dir in ["dst/opened", "dst/gone/sub", "dst/gone"] {
            mode(place.join(dir), 0o555);
        }
        give_away(place);
    });
    same(&bench, &["-ai", "--delete"]);
    fs::write(bench.src().join("ro/deep/b"), "changed").unwrap();
    same(&bench, &["-ai", "--delete"]);
    same(&bench, &["-ri", "--delete"]);
}

#[test]
fn groups_that_are_not_ours_are_left_alone() {
    let bench = Bench::new();
    fs::write(bench.src().join("file"), "text").unwrap();
    fs::create_dir(bench.src().join("dir")).unwrap();
    for name in ["file", "dir"] {
        chown(bench.src().join(name), Some(1), Some(2)).unwrap();
    }
    bench.both(|place| {
        fs::create_dir(place.join("dst")).unwrap();
        give_away(place);
    });
    same(&bench, &["-ai"]);
    same(&bench, &["-ai"]);
}

#[test]
fn what_its_owner_may_not_write_is_written_in_place() {
    for options in [
        "-ai --inplace",
        "-ri --inplace",
        "-ai --inplace --no-W",
        "-ai --inplace -b",
        "-ai --append",
        "-ai --append-verify",
        "-ai --write-devices",
        "-aHi --inplace",
    ] {
        for closed in [0o444, 0o400] {
            let bench = Bench::new();
            let src = bench.src();
            fs::write(src.join("f"), "abcdef").unwrap();
            fs::hard_link(src.join("f"), src.join("g")).unwrap();
            touch(&src.join("f"), "@1000000000");
            give_away(&src);
            bench.both(|place| {
                fs::create_dir(place.join("dst")).unwrap();
                fs::write(place.join("dst/f"), "abc").unwrap();
                mode(place.join("dst/f"), closed);
                give_away(place);
            });
            let did = same(&bench, &options.split(' ').collect::<Vec<_>>());
            assert_eq!((did.code, &did.errors[..]), (Some(0), &[][..]), "{options}");
            assert_eq!(fs::read(bench.places()[1].join("dst/f")).unwrap(), b"abcdef", "{options}");
        }
    }
}

/// Directories that their owner may not write to, or not even search, on both sides, with something in them that is to go.
fn closed_directories(bench: &Bench, closed: u32) {
    let src = bench.src();
    fs::create_dir_all(src.join("a/b")).unwrap();
    fs::create_dir(src.join("c")).unwrap();
    for name in ["a/f", "a/b/f", "c/h"] {
        fs::write(src.join(name), "abcdef").unwrap();
        touch(&src.join(name), "@1000000000");
    }
    fs::hard_link(src.join("a/b/f"), src.join("c/g")).unwrap();
    give_away(&src);
    for dir in ["a/b", "a", "c"] {
        touch(&src.join(dir), "@1000000000");
        mode(src.join(dir), closed);
    }
    bench.both(|place| {
        fs::create_dir_all(place.join("dst/a/b")).unwrap();
        fs::create_dir(place.join("dst/a/z")).unwrap();
        for name in ["a/f", "a/b/f", "a/b/gone", "a/z/gone"] {
            fs::write(place.join("dst").join(name), "old").unwrap();
        }
        fs::create_dir(place.join("backups")).unwrap();
        give_away(place);
        for dir in ["a/b", "a/z", "a"] {
            mode(place.join("dst").join(dir), 0o555);
        }
    });
}

#[test]
fn what_is_done_late_is_done_before_modes_that_forbid_it() {
    for options in [
        "-ai --delete-after",
        "-ai --delete-delay",
        "-ri --delete-after",
        "-ri --delete-delay",
        "-ai --delete-delay --delay-updates",
        "-ai --delete-after --backup-dir=../backups",
        "-ai --delete-delay --backup-dir=../backups",
        "-ai --delay-updates",
        "-aHi",
        "-aHi --delete-after",
        "-ain --delete-after",
        "-ai --delete",
    ] {
        let bench = Bench::new();
        closed_directories(&bench, 0o555);
        let did = same(&bench, &options.split(' ').collect::<Vec<_>>());
        assert_eq!((did.code, &did.errors[..]), (Some(0), &[][..]), "{options}");
        assert_eq!(did.deletions.is_empty(), !options.contains("--delete"), "{options}");
    }
}

#[test]
fn another_ones_directory_is_complained_of_once() {
    for options in [
        "-ri",
        "-rpi",
        "-rti",
        "-ai",
        "-ai --no-o --no-g",
        "-ai --no-p --no-o --no-g",
        "-ai --delete-after",
        "-rpi --delete-delay",
    ] {
        for (theirs, ours) in [(0o755, 0o757), (0o755, 0o577), (0o555, 0o557), (0o500, 0o777), (0o500, 0o757)] {
            let bench = Bench::new();
            let src = bench.src();
            fs::create_dir_all(src.join("a/in")).unwrap();
            fs::write(src.join("a/f"), "f").unwrap();
            touch(&src.join("a"), "@1000000000");
            give_away(&src);
            mode(src.join("a"), theirs);
            bench.both(|place| {
                fs::create_dir_all(place.join("dst/a/gone")).unwrap();
                give_away(place);
                chown(place.join("dst/a"), Some(0), Some(0)).unwrap();
                mode(place.join("dst/a"), ours);
            });
            same(&bench, &options.split(' ').collect::<Vec<_>>());
        }
    }
}

#[test]
fn backups_find_room_whatever_keeps_us_from_working_in_the_original() {
    for options in ["-ai --delete", "-ai", "-ri"] {
        let bench = Bench::new();
        let src = bench.src();
        fs::create_dir_all(src.join("a/b")).unwrap();
        fs::write(src.join("a/b/f"), "new").unwrap();
        give_away(&src);
        let place = &bench.places()[1];
        fs::create_dir_all(place.join("dst/a/b")).unwrap();
        fs::create_dir(place.join("backups")).unwrap();
        fs::write(place.join("dst/a/b/f"), "older").unwrap();
        fs::write(place.join("dst/a/b/gone"), "gone").unwrap();
        give_away(place);
        chown(place.join("dst/a"), Some(0), Some(0)).unwrap();
        mode(place.join("dst/a"), 0o555);
        let mut forebay = command(Some(NOBODY), FOREBAY, &["sync"]);
        forebay.args(options.split(' ')).args(["--backup-dir=../backups".as_ref(), src.join("").as_os_str()]);
        let output = forebay.arg("dst").current_dir(place).output().unwrap();
        assert_eq!(output.status.code(), Some(23), "the directory is root's: {output:?}");
        assert_eq!(fs::read(place.join("dst/a/b/f")).unwrap(), b"new", "{output:?}");
        assert_eq!(fs::read(place.join("backups/a/b/f")).unwrap(), b"older", "{output:?}");
        assert_eq!(place.join("backups/a/b/gone").exists(), options.contains("--delete"), "{output:?}");
    }
}

#[test]
fn with_ignore_errors_what_is_beneath_an_unreadable_directory_goes() {
    let when = ["--delete", "--delete-before", "--delete-after", "--delete-delay"];
    for (when, more) in when.iter().flat_map(|when| [(when, &[][..]), (when, &["--ignore-errors"])]) {
        let bench = Bench::new();
        let src = bench.src();
        fs::create_dir(src.join("closed")).unwrap();
        give_away(&src);
        mode(src.join("closed"), 0);
        bench.both(|place| {
            fs::create_dir_all(place.join("dst/closed/in")).unwrap();
            fs::write(place.join("dst/closed/in/f"), "f").unwrap();
            give_away(place);
        });
        let did = same(&bench, &[&["-ai", when], more].concat());
        assert_eq!(did.deletions.len(), 2 * more.len(), "{when} {more:?}");
    }
}

/// A default ACL stands in for the mask, also where a directory is made on the way.
#[test]
fn without_p_a_default_acl_says_what_new_entries_permit() {
    let of_source =
        [("f", 0o666), ("x", 0o777), ("d/g", 0o664), ("d/sub/h", 0o755), ("old/f", 0o666), ("old/n", 0o777)];
    for acl in ["u::rwx,g::r,o::-", "u:7:rwx,g::r,m::rw,o::x", "u::rw,g::rwx,o::r"] {
        for args in [
            "-r SRC/ dst",
            "-rD SRC/ dst",
            "-rE SRC/ dst",
            "-rp SRC/ dst",
            "-rA SRC/ dst",
            "-rb --backup-dir=old/backups SRC/ dst",
            "-r --inplace SRC/ dst",
            "-r --delay-updates SRC/ dst",
            "-rDog --fake-super SRC/ dst",
            "-rD SRC/ dst/new",
            "-r SRC/d dst/new",
            "-r --mkpath SRC/ dst/new/below",
            "-r --mkpath SRC/f dst/new/below/f",
            "-rR SRC/./d/sub dst",
        ] {
            let bench = Bench::new();
            let src = bench.src();
            fs::create_dir_all(src.join("d/sub")).unwrap();
            fs::create_dir(src.join("old")).unwrap();
            for (name, bits) in of_source {
                fs::write(src.join(name), name).unwrap();
                mode(src.join(name), bits);
            }
            assert!(Command::new("mkfifo").args(["-m", "666"]).arg(src.join("d/pipe")).status().unwrap().success());
            mode(src.join("d"), 0o777);
            mode(src.join("d/sub"), 0o775);
            bench.both(|place| {
                fs::create_dir_all(place.join("dst/old")).unwrap();
                fs::write(place.join("dst/old/f"), "was").unwrap();
                for dir in ["dst", "dst/old"] {
                    let done = Command::new("setfacl").args(["-d", "-m", acl]).arg(place.join(dir)).status();
                    assert!(done.expect("is setfacl installed?").success());
                }
            });
            let src = src.display().to_string();
            let args: Vec<String> = args.split(' ').map(|arg| arg.replace("SRC", &src)).collect();
            eprintln!("{acl} {args:?}");
            attributes_same(&bench, &args);
        }
    }
}

/// In a directory that is sticky, what is another's is not replaced.
#[test]
fn what_cannot_be_renamed_is_told_with_both_names() {
    for options in ["-ri", "-ri --delay-updates", "-ri --delay-updates --partial-dir=.pp"] {
        let bench = Bench::new();
        fs::create_dir(bench.src().join("d")).unwrap();
        fs::write(bench.src().join("d/f"), "new").unwrap();
        bench.both(|place| {
            fs::create_dir_all(place.join("dst/d")).unwrap();
            fs::write(place.join("dst/d/f"), "older").unwrap();
            mode(place.join("dst/d"), 0o1777);
        });
        let did = same(&bench, &options.split(' ').collect::<Vec<_>>());
        assert_eq!(did.code, Some(23), "{options}");
        assert!(did.errors.iter().any(|line| line.contains("rename")), "{options}: {:?}", did.errors);
    }
}

/// Without `-p`, a file keeps its mode; but what may not be read is as good as none.
#[test]
fn a_file_that_may_not_be_read_gets_the_mode_of_a_new_one() {
    for options in ["-ri", "-ri --inplace", "-rpi", "-rEi", "-ri --inplace --no-p", "-rib"] {
        for bits in [0, 0o040, 0o100, 0o200, 0o400, 0o444] {
            let bench = Bench::new();
            fs::write(bench.src().join("f"), "new content").unwrap();
            mode(bench.src().join("f"), 0o644);
            give_away(&bench.src());
            bench.both(|place| {
                fs::create_dir(place.join("dst")).unwrap();
                fs::write(place.join("dst/f"), "older").unwrap();
                mode(place.join("dst/f"), bits);
                give_away(place);
            });
            let did = same(&bench, &options.split(' ').collect::<Vec<_>>());
            assert_eq!(did.code, Some(0), "{options} {bits:o}");
        }
    }
}

/// What is to be appended to, or to give blocks, and may not be read is like nothing, which is said.
#[test]
fn what_may_not_be_read_at_the_destination_is_replaced_by_something_new() {
    for options in [
        "-ai --no-W",
        "-ai --append",
        "-rti --append-verify",
        "-ain --append",
        "-aic --no-W",
        "-ai --no-W --backup",
        "-ai --append --backup",
        "-rti --inplace --no-W",
        "-rti --inplace",
        "-ai --inplace --backup",
        "-aiH --no-W",
        "-ai --no-W --stats",
        "-ai --no-W --partial-dir=.p",
        "-ai --no-W --delay-updates",
        "-ai --no-W --link-dest=../alt",
        "-aiy --no-W",
        "-rti",
    ] {
        for (closed, owner) in [(0, NOBODY), (0o200, NOBODY), (0, 0), (0o200, 0)] {
            let bench = Bench::new();
            let (src, whole) = (bench.src(), "a line\n".repeat(500));
            for name in ["f", "from partial", "longer", "same", "twin"] {
                fs::write(src.join(name), &whole).unwrap();
                touch(&src.join(name), "@1000000000");
            }
            fs::hard_link(src.join("twin"), src.join("twin too")).unwrap();
            give_away(&src);
            bench.both(|place| {
                let dst = place.join("dst");
                fs::create_dir_all(dst.join(".p")).unwrap();
                fs::create_dir(place.join("alt")).unwrap();
                for (name, len) in
                    [("f", 2000), ("from partial", 2000), ("longer", 5000), ("same", 3500), ("twin", 2000)]
                {
                    fs::write(dst.join(name), &whole.repeat(2)[..len]).unwrap();
                    touch(&dst.join(name), if name == "same" { "@1000000000" } else { "@900000000" });
                }
                fs::write(dst.join(".p/from partial"), &whole).unwrap();
                fs::write(place.join("alt/f"), whole.to_uppercase()).unwrap();
                give_away(place);
                for name in ["f", "from partial", "longer", "same", "twin"] {
                    mode(dst.join(name), closed);
                }
                chown(dst.join("f"), Some(owner), None).unwrap();
            });
            // Without `-W`, stock rsync makes no backup of what it then writes into.
            let args: Vec<&str> = options.split(' ').collect();
            if options == "-ai --append --backup" {
                let given = format!("{}/", src.display());
                let [_, ours] = bench.did_as(Some(NOBODY), &[&args[..], &[&given, "dst"]].concat());
                assert_eq!(ours.code, Some(23), "{closed:o} {owner} {ours:?}");
                assert_eq!(fs::metadata(bench.places()[1].join("dst/f")).unwrap().len(), 2000, "{closed:o} {owner}");
                continue;
            }
            same(&bench, &args);
        }
    }
}
