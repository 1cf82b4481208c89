//! `--copy-as`: what is read and written is read and written by somebody else. As root, who may become that.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use crate::harness::{Bench, Did, FOREBAY, command};
use crate::tree::{rustix_is_root, touch};

const NOBODY: u32 = 65_534;

fn mode(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A source of root's with a file and a directory that are for nobody else, and a destination that everybody may write to.
fn bench() -> Bench {
    assert!(rustix_is_root(), "these tests change users and need root");
    let bench = Bench::new();
    let src = bench.src();
    fs::create_dir_all(src.join("d/deep")).unwrap();
    for file in ["a", "secret", "d/1", "d/deep/2", "large"] {
        fs::write(src.join(file), file.repeat(if file == "large" { 300_000 } else { 3 })).unwrap();
        touch(&src.join(file), "@1000000000");
    }
    mode(src.join("secret"), 0o600);
    chown(src.join("d/1"), Some(1), Some(1)).unwrap();
    bench.both(|place| {
        fs::create_dir(place.join("dst")).unwrap();
        mode(place.join("dst"), 0o777);
        // Where only root may write.
        fs::create_dir(place.join("dst/d")).unwrap();
        fs::write(place.join("dst/d/extra"), "stays").unwrap();
    });
    bench
}

fn same(bench: &Bench, args: &[&str]) -> Did {
    let mut args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    args.extend([format!("{}/", bench.src().display()), "dst".to_owned()]);
    bench.same(&args)
}

#[test]
fn what_is_written_belongs_to_that_user_and_what_it_may_not_write_fails() {
    for (who, group) in [("nobody", NOBODY), ("nobody:daemon", 1), ("65534:7", 7)] {
        for options in [
            "",
            "-H",
            "-X",
            "-b",
            "-A",
            "--no-W -I",
            "--delay-updates",
            "--delete",
            "--delete-after",
            "--delete-before",
            "--delete-delay",
            "--partial-dir=.p",
        ] {
            let bench = bench();
            let who = format!("--copy-as={who}");
            let mut args = vec!["-ai", &who];
            args.extend(options.split(' ').filter(|option| !option.is_empty()));
            let did = same(&bench, &args);
            assert_eq!(did.code, Some(23), "{args:?}");
            assert!(
                did.errors.iter().any(|line| line.contains("secret") && line.contains("Permission denied")),
                "{did:?}"
            );
            let [_, ours] = bench.places();
            for file in ["a", "large"] {
                let made = fs::metadata(ours.join("dst").join(file)).unwrap();
                assert_eq!((made.uid(), made.gid()), (NOBODY, group), "{args:?}: {file}");
            }
            let names = |dir: &str| fs::read_dir(ours.join(dir)).unwrap().count();
            assert_eq!(names("dst/d"), 1, "{args:?}");
            assert!(!ours.join("dst/secret").exists());
        }
    }
}

#[test]
fn what_was_opened_before_is_of_who_runs_the_program() {
    let bench = bench();
    let src = format!("{}/", bench.src().display());
    let did = bench.did(&["-a", "--copy-as=nobody", "--log-file=log", &src, "dst"]);
    assert_eq!((did[0].code, did[1].code), (Some(23), Some(23)));
    for place in bench.places() {
        assert_eq!(fs::metadata(place.join("log")).unwrap().uid(), 0);
        assert!(fs::read_to_string(place.join("log")).unwrap().contains(">f+++++++++ a\n"));
    }
}

#[test]
fn root_itself_may_everything() {
    let bench = bench();
    assert_eq!(same(&bench, &["-ai", "--copy-as=root"]).code, Some(0));
    let [_, ours] = bench.places();
    assert_eq!(fs::metadata(ours.join("dst/d/1")).unwrap().uid(), 1);
}

#[test]
fn the_groups_are_those_of_that_user_alone() {
    for (who, may) in [("65534:7", true), ("nobody", false), ("65534:8", false)] {
        let bench = bench();
        for place in bench.places() {
            // For root and the group 7.
            chown(place.join("dst"), None, Some(7)).unwrap();
            mode(place.join("dst"), 0o770);
        }
        let src = format!("{}/", bench.src().display());
        let who = format!("--copy-as={who}");
        let [theirs, ours] = bench.places();
        // Who runs them is a member of that group, too.
        let did = [("rsync", &[][..], &theirs), (FOREBAY, &["sync"][..], &ours)].map(|(program, first, place)| {
            let mut run = command(None, "setpriv", &["--groups=7", program]);
            run.args(first).args(["-rtO", "--exclude=d", "--exclude=secret", &who, &src, "dst"]).current_dir(place);
            run.output().unwrap().status.code()
        });
        assert_eq!(did[1], did[0], "{who}");
        assert_eq!((did[1] == Some(0), ours.join("dst/a").exists()), (may, may), "{who}");
    }
}

/// The exit code and the first line on standard error of both. Either of stock rsync's processes may be the first to say it.
fn refusals(bench: &Bench, user: Option<u32>, args: &[&str]) -> [(Option<i32>, String); 2] {
    let [theirs, ours] = bench.places();
    [("rsync", &[][..], theirs), (FOREBAY, &["sync"][..], ours)].map(|(program, first, place)| {
        let output = command(user, program, first).args(args).current_dir(&place).output().unwrap();
        assert!(!place.join("new").exists());
        let text = String::from_utf8(output.stderr).unwrap().replace(place.to_str().unwrap(), "PLACE");
        (output.status.code(), text.lines().next().unwrap().replace("[Receiver]", "[sender]"))
    })
}

#[test]
fn a_destination_that_cannot_be_made_ends_the_run() {
    let bench = bench();
    let src = format!("{}/", bench.src().display());
    let [theirs, ours] = refusals(&bench, None, &["-ai", "--copy-as=nobody", &src, "new"]);
    assert_eq!(ours, theirs);
    assert_eq!(ours.0, Some(11));
    // Who may not become somebody else is told so.
    for user in [NOBODY, 1] {
        let [theirs, ours] = refusals(&bench, Some(user), &["-a", "--copy-as=nobody", &src, "new"]);
        assert_eq!(ours, theirs);
        assert_eq!(ours.0, Some(1));
    }
}

#[test]
fn who_does_not_exist_is_refused() {
    let bench = bench();
    let src = format!("{}/", bench.src().display());
    for who in ["no-such-user", "nobody:no-such-group", "", ":", "nobody:", "-1", "4000000000", "99999999999"] {
        let [theirs, ours] = refusals(&bench, None, &[&format!("--copy-as={who}"), "-a", &src, "new"]);
        assert_eq!(ours, theirs, "{who:?}");
        assert_eq!(ours.0, Some(1), "{who:?}");
    }
}
