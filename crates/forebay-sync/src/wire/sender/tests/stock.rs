//! What stock rsync makes of what we send.

use std::process::Command;

use super::{Push, bytes, differences, tree};
use crate::options::{Append, Options};
use crate::wire::terms::Compressor;

#[test]
fn stock_rsync_receives_a_tree_and_then_its_changes() {
    for (protocol, letters) in
        [(32, "-logDtpre.LsfxCIvu"), (31, "-logDtpre.LsfxCIvu"), (30, "-logDtpre.LsfxCIvu"), (30, "-logDtpre.LsxC")]
    {
        let dir = tempfile::tempdir().unwrap();
        let (source, destination) = (dir.path().join("source"), dir.path().join("destination"));
        tree(&source);
        let push = Push { protocol, ..Push::new(letters) };
        let (end, ..) = push.run(&source, &destination);
        assert_eq!(differences("-a", &source, &destination), "", "{protocol} {letters}");
        assert_eq!((end.totals.transferred, end.totals.dirs, end.totals.created_files), (104, 5, 104));
        assert_eq!(end.totals.matched_bytes, 0);

        let (end, ..) = push.run(&source, &destination);
        assert_eq!(end.totals.transferred, 0);
        for (name, at) in [("large", 5 << 20), ("middle", 10_000)] {
            let mut content = std::fs::read(source.join(name)).unwrap();
            content.splice(at..at, *b"between");
            std::fs::write(source.join(name), content).unwrap();
        }
        let (end, ..) = push.run(&source, &destination);
        assert_eq!(differences("-a", &source, &destination), "", "{protocol} {letters}");
        assert_eq!((end.totals.transferred, end.totals.deltas), (2, 2));
        assert!(end.totals.literal_bytes < 10_000 && end.totals.matched_bytes > 9 << 20, "{:?}", end.totals);
    }
}

#[test]
fn every_compressor_and_way_of_writing_is_understood() {
    let compressors = [
        ("--compress-choice=zstd", Some(Compressor::Zstd)),
        ("--compress-choice=lz4", Some(Compressor::Lz4)),
        ("--compress-choice=zlibx", Some(Compressor::Zlibx)),
        ("--compress-choice=zlib", Some(Compressor::Zlib)),
        ("--inplace", None),
        ("--append", None),
    ];
    for (argument, compress) in compressors {
        let dir = tempfile::tempdir().unwrap();
        let (source, destination) = (dir.path().join("source"), dir.path().join("destination"));
        tree(&source);
        let mut push = Push { compress, more: vec![argument], ..Push::new("-logDtpre.LsfxCIvu") };
        push.options.inplace = argument == "--inplace";
        push.options.append = (argument == "--append").then_some(Append::Trust);
        push.run(&source, &destination);
        assert_eq!(differences("-a", &source, &destination), "", "{argument}");
        let mut content = std::fs::read(source.join("large")).unwrap();
        if argument != "--append" {
            // More than the receiving side reads ahead: in place, blocks behind it are lost.
            content.splice(100..100, bytes(9, 1 << 20));
        }
        content.extend_from_slice(b"behind");
        std::fs::write(source.join("large"), content).unwrap();
        let (end, ..) = push.run(&source, &destination);
        assert_eq!(differences("-a", &source, &destination), "", "{argument}");
        assert_eq!(end.totals.transferred, 1, "{argument}");
    }
}

/// Runs stock rsync alone, and gives what it says.
fn alone(arguments: &[&str], source: &std::path::Path, destination: &std::path::Path) -> String {
    let source = [source.to_str().unwrap(), "/"].concat();
    let mut command = Command::new("timeout");
    let output = command.args(["30", "rsync"]).args(arguments).arg(&source).arg(destination).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn lines_are_those_of_stock_rsync() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    tree(&at("source"));
    std::fs::hard_link(at("source/middle"), at("source/d/middle")).unwrap();
    std::fs::hard_link(at("source/middle"), at("source/zz")).unwrap();
    std::fs::create_dir(at("ours")).unwrap();
    std::fs::create_dir(at("theirs")).unwrap();
    let mut push = Push { more: vec!["--log-format=%i"], ..Push::new("-HlogDtpre.LsfxCIvu") };
    push.options = Options { itemize: true, hard_links: true, ..push.options };
    for round in 0..3 {
        if round == 1 {
            std::fs::write(at("source/d/e/f7"), "changed").unwrap();
            std::fs::remove_file(at("source/link")).unwrap();
            std::os::unix::fs::symlink("elsewhere", at("source/link")).unwrap();
            std::fs::set_permissions(at("source/d/z"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
        let theirs = alone(&["-aHi"], &at("source"), &at("theirs")).replace(">f", "<f");
        let (_, said, _) = push.run(&at("source"), &at("ours"));
        assert_eq!(String::from_utf8(said.text).unwrap(), theirs, "round {round}");
        assert_eq!(differences("-aH", &at("source"), &at("ours")), "", "round {round}");
    }
}

#[test]
fn sums_and_attributes_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    tree(&at("source"));
    let name = c"user.forebay";
    let set = |path: &str, value: &[u8]| rustix::fs::setxattr(at(path), name, value, rustix::fs::XattrFlags::empty());
    set("source/middle", b"short").unwrap();
    set("source/large", &bytes(5, 500)).unwrap();
    set("source/d", &bytes(6, 33)).unwrap();
    set("source/d/z", b"").unwrap();
    let mut push = Push::new("-logDtpXrce.LsfxCIvu");
    push.options = Options { xattrs: true, checksum: true, ..push.options };
    push.run(&at("source"), &at("destination"));
    assert_eq!(differences("-aX", &at("source"), &at("destination")), "");
    // The same time and length: only the sum tells.
    let before = std::fs::metadata(at("source/d.x/name with spaces")).unwrap().modified().unwrap();
    std::fs::write(at("source/d.x/name with spaces"), b"y").unwrap();
    std::fs::File::options()
        .append(true)
        .open(at("source/d.x/name with spaces"))
        .unwrap()
        .set_modified(before)
        .unwrap();
    let (end, ..) = push.run(&at("source"), &at("destination"));
    assert_eq!(end.totals.transferred, 1);
    assert_eq!(differences("-aX", &at("source"), &at("destination")), "");
}

#[test]
fn names_with_their_paths_and_acls_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    tree(&at("source"));
    // What 0o640, with read and write for the user 7, is to Linux.
    let entries = [(0x01, 6, u32::MAX), (0x02, 6, 7), (0x04, 4, u32::MAX), (0x10, 6, u32::MAX), (0x20, 0, u32::MAX)];
    let mut acl = 2_u32.to_le_bytes().to_vec();
    for (tag, bits, id) in entries {
        acl.extend([&u16::to_le_bytes(tag)[..], &u16::to_le_bytes(bits), &u32::to_le_bytes(id)].concat());
    }
    for (path, name) in [("middle", c"system.posix_acl_access"), ("d", c"system.posix_acl_default")] {
        let path = at("source").join(path);
        rustix::fs::setxattr(path, name, &acl, rustix::fs::XattrFlags::empty()).unwrap();
    }
    let mut push = Push::new("-logDtpAre.LsfxCIvu");
    push.options.acls = true;
    push.run(&at("source"), &at("destination"));
    assert_eq!(differences("-aA", &at("source"), &at("destination")), "");

    std::fs::write(at("names"), "d/e/f1\nd.x\nmiddle\nd/e/f20\n").unwrap();
    std::fs::create_dir(at("theirs")).unwrap();
    let from = ["--files-from=", at("names").to_str().unwrap()].concat();
    alone(&["-a", "--no-r", &from], &at("source"), &at("theirs"));
    let mut push =
        Push { listed: Some(b"d/e/f1\0d.x\0middle\0d/e/f20\0".to_vec()), ..Push::new("-logDtpdRe.LsfxCIvu") };
    push.options.recursive = false;
    push.options.select.relative = true;
    push.options.select.dirs = true;
    std::fs::create_dir(at("ours")).unwrap();
    let (end, ..) = push.run(&at("source"), &at("ours"));
    assert_eq!((end.totals.transferred, end.totals.dirs), (3, 3));
    // Neither of the two is told of the directory itself, which may have been written to in another second.
    for name in ["theirs", "ours"] {
        std::fs::File::open(at(name)).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    }
    assert_eq!(differences("-a", &at("theirs"), &at("ours")), "");
}

#[test]
fn a_file_that_vanishes_is_left_out() {
    for protocol in [30, 32] {
        let dir = tempfile::tempdir().unwrap();
        let (source, destination) = (dir.path().join("source"), dir.path().join("destination"));
        tree(&source);
        let modified = std::fs::metadata(&source).unwrap().modified().unwrap();
        let vanishes = Some(source.join("middle"));
        let push = Push { vanishes, protocol, ..Push::new("-logDtpre.LsfxCIvu") };
        let (end, said, _) = push.run(&source, &destination);
        // The directory has lost the file when it had been listed.
        std::fs::File::open(&source).unwrap().set_modified(modified).unwrap();
        // As with rsync, it counts as transferred all the same.
        assert_eq!((end.totals.vanished, end.totals.failed, end.totals.transferred), (1, 0, 104));
        assert!(String::from_utf8(said.errors).unwrap().starts_with("file has vanished: \""));
        assert_eq!(differences("-a", &source, &destination), "");
    }
}
