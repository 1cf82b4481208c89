//! What may not be read or written is reported, and the rest goes on. As another user: root may everything.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use crate::harness::{Bench, Did};
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
