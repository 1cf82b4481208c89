//! Where results go, and what happens to what is there.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{FOREBAY, Place, noise};

fn place() -> Place {
    let place = Place::new();
    place.write("basis", &noise(100_000, 1));
    place.write("new", &noise(90_000, 1));
    place
}

#[test]
fn what_is_there_is_replaced_only_by_force() {
    let place = place();
    place.write("out", b"precious");
    let said = place.refused(&["signature", "basis", "out"]);
    assert_eq!(said, "forebay: write out: it is there already; --force replaces it\n");
    assert_eq!(place.read("out"), b"precious");
    fs::set_permissions(place.path("out"), fs::Permissions::from_mode(0o640)).unwrap();
    place.done(FOREBAY, &["signature", "--force", "basis", "out"]);
    assert!(place.read("out").starts_with(b"rs\x01G"));
    assert_eq!(fs::metadata(place.path("out")).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(place.names(), ["basis", "new", "out"]);
}

#[test]
fn a_basis_may_be_its_own_successor() {
    let place = place();
    place.done(FOREBAY, &["signature", "basis", "signature"]);
    place.done(FOREBAY, &["delta", "signature", "new", "delta"]);
    symlink("basis", place.path("link")).unwrap();
    // Rebuilt from itself, and through a link that stays one.
    place.done(FOREBAY, &["patch", "-f", "basis", "delta", "link"]);
    assert!(place.read("basis") == place.read("new"));
    assert!(fs::symlink_metadata(place.path("link")).unwrap().is_symlink());
}

#[test]
fn a_failed_patch_leaves_the_old_output() {
    let place = place();
    place.write("delta", b"rs\x026\x02ab\x99");
    place.write("out", b"precious");
    place.refused(&["patch", "-f", "basis", "delta", "out"]);
    assert_eq!(place.read("out"), b"precious");
}

#[test]
fn what_cannot_be_opened_or_written_is_named() {
    let place = place();
    for (args, text) in [
        (&["signature", "nowhere", "out"][..], "open nowhere: No such file or directory"),
        (&["signature", ".", "out"], "open .: it is a directory"),
        (&["signature", "basis", "nowhere/out"], "write nowhere/.out.forebay-"),
        (&["delta", "-"], "signature and new file cannot both be standard input"),
    ] {
        let said = place.refused(args);
        assert!(said.starts_with(&format!("forebay: {text}")), "{said}");
    }
    let said = place.refused(&["signature", "-f", "basis", "/dev/full"]);
    assert_eq!(said, "forebay: write /dev/full: No space left on device (os error 28)\n");
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_2() {
    let place = place();
    for args in [
        &["signature", "-b", "-1", "basis"][..],
        &["signature", "-S", "40", "basis"],
        &["signature", "-H", "sha1", "basis"],
        &["signature", "-I", "7", "basis"],
        &["delta"],
        &["patch"],
    ] {
        let output = place.run(FOREBAY, args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
    // MD4 has 16 bytes.
    let said = place.refused(&["signature", "-H", "md4", "-S", "20", "basis"]);
    assert_eq!(said, "forebay: strong sums of 20 bytes: the digest has between 1 and 16\n");
}

#[test]
fn a_signal_leaves_nothing_behind() {
    let place = place();
    // Standard input stays open: the command waits for the rest of it.
    let mut command = Command::new(FOREBAY);
    command.args(["signature", "-", "out"]).current_dir(place.path("")).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let temporary = format!(".out.forebay-{}", child.id());
    let deadline = Instant::now() + Duration::from_secs(20);
    while !place.names().contains(&temporary) {
        assert!(Instant::now() < deadline, "the output is never begun");
        std::thread::sleep(Duration::from_millis(5));
    }
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let stdin = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    assert_eq!(output.status.code(), Some(143));
    assert_eq!(output.stderr, b"forebay: ended by SIGTERM\n");
    assert_eq!(place.names(), ["basis", "new"]);
}
