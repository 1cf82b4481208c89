//! The front of the program: who answers, and with which exit code.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};

fn run(program: &str, args: &[&str]) -> (Output, String, String) {
    let output = Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    (output, out, err)
}

const FOREBAY: &str = env!("CARGO_BIN_EXE_forebay");

#[test]
fn help_and_version_are_answered_on_standard_output() {
    let (output, out, _) = run(FOREBAY, &["--help"]);
    assert!(output.status.success());
    for subcommand in ["aggregate", "record", "inspect", "signature", "delta", "patch", "sync", "completions", "man"] {
        assert!(out.contains(subcommand), "{subcommand} is missing in:\n{out}");
    }
    let (output, out, _) = run(FOREBAY, &["--version"]);
    assert!(output.status.success());
    assert_eq!(out, format!("forebay {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn an_unknown_subcommand_is_named_and_ends_with_2() {
    let (output, out, err) = run(FOREBAY, &["snyc"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(out.is_empty() && err.contains("'snyc'"), "{out}{err}");
    assert_eq!(run(FOREBAY, &[]).0.status.code(), Some(2));
}

#[test]
fn every_subcommand_gets_a_man_page() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let pages = dir.path().join("man/man1");
    let (output, _, err) = run(FOREBAY, &["man", "--out", &pages.to_string_lossy()]);
    assert!(output.status.success(), "{err}");
    for page in
        ["", "-aggregate", "-record", "-inspect", "-signature", "-delta", "-patch", "-sync", "-completions", "-man"]
            .map(|name| format!("forebay{name}.1"))
    {
        let text = fs::read_to_string(pages.join(&page)).expect(&page);
        assert!(text.contains(".TH"), "{page} is no man page");
    }
}

#[test]
fn man_pages_that_cannot_be_written_are_an_error_with_the_path() {
    let (output, _, err) = run(FOREBAY, &["man", "--out", "/dev/null/man"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err.contains("/dev/null/man"), "{err}");
}

#[test]
fn sync_is_not_parsed_by_clap() {
    // clap knows `sync` for its help only: it would print that, or say that it knows no `sync`.
    for args in [["sync", "--version", "/"], ["sync", "--", "--no-such-file"]] {
        let (_, out, err) = run(FOREBAY, &args);
        let answer = out + &err;
        assert!(!answer.contains("[ARG]") && !answer.contains("subcommand"), "{args:?}: {answer}");
    }
}

#[test]
fn under_the_name_rsync_everything_belongs_to_sync() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let rsync = dir.path().join("rsync");
    symlink(FOREBAY, &rsync).expect("a link");
    let rsync = rsync.to_string_lossy();
    // The subcommand would succeed; as names of files that do not exist, the words do not.
    let (output, out, _) = run(&rsync, &["completions", "bash"]);
    assert!(!output.status.success());
    assert!(!out.contains("COMPREPLY"), "{out}");
}
