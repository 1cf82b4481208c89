//! The receiving role against stock rsync as the sender.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use super::sender::Lines;
use crate::mirror::Report;
use crate::options::Options;
use crate::wire::handshake::{Compression, Offer};
use crate::wire::mux::{MuxReader, Tag};
use crate::wire::receiver::Asked;
use crate::wire::receiver::answer::Stop;
use crate::wire::receiver::run::{self, Link};
use crate::wire::receiver::teller::Mailbox;
use crate::wire::stock::{self, Sending};
use crate::wire::terms::{Checksum, Compressor};

/// Pulls `source` from stock rsync, which is started with the short options `letters` and the options `more`.
pub(super) fn pull(
    options: Options,
    offer: &Offer,
    (letters, more): (&str, &[&str]),
    source: &str,
    destination: &Path,
) -> (Result<Report, Stop>, Lines) {
    let letters = format!("{letters}e.{}LsfxCIvu", if offer.incremental { "i" } else { "" });
    let args = ["--sender", &letters].into_iter().chain(more.iter().copied()).chain([".", source]);
    let Sending { mut child, terms, incoming, outgoing, writing } = stock::sending(args, offer);
    let (mailbox, mail) = Mailbox::new();
    let mut lines = Lines::default();
    let from = MuxReader::new(incoming, {
        let mailbox = mailbox.clone();
        move |tag: Tag, payload: &[u8]| {
            if !mailbox.take(tag, payload)? {
                eprintln!("{tag:?}: {}", String::from_utf8_lossy(payload));
            }
            Ok(())
        }
    });
    let asked = Asked::Anything;
    let link =
        Link { terms, server: false, from, outgoing: &outgoing, mailbox: &mailbox, mail, asked, logs_there: false };
    let report = run::run(options, link, OsStr::new(destination), &mut lines);
    let _ = writing.finish();
    drop(outgoing);
    child.wait().unwrap();
    (report, lines)
}

fn options() -> Options {
    Options {
        recursive: true,
        links: true,
        perms: true,
        times: true,
        group: true,
        owner: true,
        devices: true,
        specials: true,
        itemize: true,
        whole_file: false,
        ..Options::default()
    }
}

/// What is in a tree: paths, kinds, modes, times, links and contents.
fn tree(root: &Path) -> String {
    let list = Command::new("find").arg(root).args(["-printf", "%P %y %m %T@ %l %n\n"]).output().unwrap();
    let mut lines: Vec<String> = String::from_utf8(list.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    let sums = Command::new("sh").args(["-c", "find . -type f | sort | xargs -r md5sum"]).current_dir(root).output();
    lines.join("\n") + "\n" + &String::from_utf8(sums.unwrap().stdout).unwrap()
}

fn shell(dir: &Path, script: &str) {
    assert!(Command::new("sh").args(["-ec", script]).current_dir(dir).status().unwrap().success(), "{script}");
}

const SOURCE: &str = "mkdir -p a/b/c empty; seq 1 200000 > a/large; seq 1 100 > a/b/small; : > nothing; ln -s a/large link; \
    mkfifo a/pipe; chmod 640 a/large; chmod 700 a/b; touch -d '2001-02-03 04:05:06.789' a/b/small; seq 5 > a/b/c/x; \
    for i in $(seq 40); do echo $i > empty/$i; done; ln a/b/small zlink; ln a/b/small a/blink; echo secret > a/skip.o; \
    touch -d 2002-01-01 a/b a empty .";

const THERE: &str = "mkdir -p a gone/deep; seq 1 150000 > a/large; echo x >> a/large; seq 150001 200000 >> a/large; \
    touch -d 2002-02-02 a/large; echo old > gone/deep/file; echo y > gone/z; echo other > nothing; \
    mkdir link; echo 1 > zlink; seq 1 90 > part; chmod 600 zlink";

/// What a pull says and leaves, beside that of stock rsync with the same options through a remote shell.
fn beside_stock(options: Options, letters: &str, more: &[&str], args: &[&str], script: &str) {
    let temp = tempfile::tempdir().unwrap();
    let [src, dst, other] = ["src", "dst", "other"].map(|name| temp.path().join(name));
    [&src, &dst, &other].iter().for_each(|dir| std::fs::create_dir(dir).unwrap());
    shell(&src, SOURCE);
    shell(&src, script);
    shell(&src, "find . -mmin -5 | xargs touch -h -d '2003-04-05 06:07:08.5'; touch -d 2001-01-01 a/large");
    shell(&dst, THERE);
    shell(temp.path(), "rmdir other; cp -a dst other");
    shell(temp.path(), "printf '#!/bin/sh\\nshift\\nexec \"$@\"\\n' > rsh; chmod +x rsh");
    let from = format!("{}/", src.display());
    let offer = Offer { incremental: run::may_be_incremental(&options), ..Offer::default() };
    let (report, lines) = pull(options, &offer, (letters, more), &from, &dst);
    let report = report.unwrap_or_else(|error| panic!("{error:?} {}", String::from_utf8_lossy(&lines.errors)));
    let rsh = temp.path().join("rsh");
    let stock = Command::new("timeout")
        .args(["120", "rsync", "-e", &rsh.display().to_string(), "--no-inc-recursive"])
        .args(args)
        .arg(format!("host:{from}"))
        .arg(&other)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| {
        let mut lines: Vec<String> = String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect();
        // Where deletions and other names of a file interleave varies from run to run.
        lines.sort_by_key(|line| (!line.starts_with("*deleting"), line.starts_with("hf")));
        lines.join("\n")
    };
    assert_eq!(text(&lines.text), text(&stock.stdout), "{args:?}\n{}", String::from_utf8_lossy(&lines.errors));
    let (ours, theirs) = (tree(&dst), tree(&other));
    let only = |a: &str, b: &str| a.lines().filter(|line| !b.contains(line)).collect::<Vec<_>>().join("\n");
    let differ = format!("{args:?}\nours:\n{}\ntheirs:\n{}", only(&ours, &theirs), only(&theirs, &ours));
    assert!(ours == theirs, "{differ}");
    assert_eq!(
        Some(i32::from(report.exit_code())),
        stock.status.code(),
        "{args:?} {}",
        String::from_utf8_lossy(&stock.stderr)
    );
}

#[test]
fn a_tree_comes_from_stock_rsync_as_with_stock_rsync() {
    let with = |change: fn(&mut Options)| {
        let mut options = options();
        change(&mut options);
        options
    };
    beside_stock(options(), "-logDtpr", &[], &["-ai"], "");
    beside_stock(with(|o| o.dry_run = true), "-nlogDtpr", &[], &["-ain"], "");
    beside_stock(with(|o| o.hard_links = true), "-lHogDtpr", &[], &["-aiH"], "");
    beside_stock(with(|o| o.checksum = true), "-logDtprc", &[], &["-aic"], "");
    beside_stock(with(|o| o.inplace = true), "-logDtpr", &["--inplace"], &["-ai", "--inplace"], "");
    beside_stock(
        with(|o| o.append = Some(crate::options::Append::Trust)),
        "-logDtpr",
        &["--append"],
        &["-ai", "--append"],
        "cp a/large part",
    );
    beside_stock(
        with(|o| o.append = Some(crate::options::Append::Verify)),
        "-logDtpr",
        &["--append", "--append"],
        &["-ai", "--append-verify"],
        "cp a/large part",
    );
    beside_stock(with(|o| o.update = true), "-ulogDtpr", &[], &["-aiu"], "");
    beside_stock(with(|o| o.whole_file = true), "-WlogDtpr", &[], &["-aiW"], "");
    beside_stock(with(|o| o.delay_updates = true), "-logDtpr", &["--delay-updates"], &["-ai", "--delay-updates"], "");
}

#[test]
fn what_is_not_there_is_deleted_in_time() {
    use crate::select::DeleteWhen::{After, Before, Delay, During};
    for (when, name) in
        [(During, "--delete-during"), (Before, "--delete-before"), (After, "--delete-after"), (Delay, "--delete-delay")]
    {
        let mut options = options();
        options.delete = true;
        options.deletion.when = when;
        beside_stock(options, "-logDtpr", &[name], &["-ai", name], "");
    }
}

#[test]
fn each_compressor_sum_and_version_will_do() {
    for (kind, name) in
        [(Compressor::Zstd, "zstd"), (Compressor::Lz4, "lz4"), (Compressor::Zlibx, "zlibx"), (Compressor::Zlib, "zlib")]
    {
        let offer = Offer { compress: Compression::By(kind), ..Offer::default() };
        whole(&offer, "-logDtprz", &[&format!("--compress-choice={name}")]);
    }
    for (checksum, name) in [
        (Checksum::Xxh128, "xxh128"),
        (Checksum::Xxh3, "xxh3"),
        (Checksum::Xxh64, "xxh64"),
        (Checksum::Md5, "md5"),
        (Checksum::Md4, "md4"),
        (Checksum::Sha1, "sha1"),
        (Checksum::None, "none"),
    ] {
        let offer = Offer { checksums: Some((checksum, checksum)), ..Offer::default() };
        whole(&offer, "-logDtpr", &[&format!("--checksum-choice={name}")]);
    }
    for protocol in [30, 31, 32] {
        whole(&Offer { protocol, ..Offer::default() }, "-logDtpr", &[]);
    }
}

fn whole(offer: &Offer, letters: &str, more: &[&str]) {
    let temp = tempfile::tempdir().unwrap();
    let [src, dst] = ["src", "dst"].map(|name| temp.path().join(name));
    [&src, &dst].iter().for_each(|dir| std::fs::create_dir(dir).unwrap());
    shell(&src, "mkdir a; seq 1 200000 > a/large; echo x > y; touch -d 2001-01-01 y a/large a .");
    shell(&dst, "mkdir a; seq 1 150000 > a/large; echo x >> a/large; seq 150001 200000 >> a/large");
    let (report, lines) = pull(options(), offer, (letters, more), &format!("{}/", src.display()), &dst);
    let report = report.unwrap_or_else(|error| panic!("{more:?} {error:?} {}", String::from_utf8_lossy(&lines.errors)));
    assert_eq!(tree(&src), tree(&dst), "{more:?}");
    assert_eq!((report.exit_code(), report.totals.transferred), (0, 2));
}

#[test]
fn many_directories_and_large_ones_come_one_by_one() {
    for script in [
        "for d in $(seq 60); do mkdir -p $d/a/b; for f in $(seq 30); do echo $d > $d/a/$f; done; echo x > $d/a/b/c; done",
        "mkdir d e; for f in $(seq 12000); do : > d/$f; done; for f in $(seq 2000); do : > e/$f; done",
        "mkdir -p $(seq -s / 100); mkdir empty",
    ] {
        // Creating files where many have been deleted takes ext4 minutes.
        let temp = tempfile::tempdir_in("/dev/shm").unwrap();
        let [src, dst] = ["src", "dst"].map(|name| temp.path().join(name));
        [&src, &dst].iter().for_each(|dir| std::fs::create_dir(dir).unwrap());
        shell(&src, script);
        shell(&src, "find . -exec touch -d '2003-04-05 06:07:08.5' {} +");
        let from = format!("{}/", src.display());
        let offer = Offer { incremental: true, ..Offer::default() };
        for transferred in [true, false] {
            let (report, _) = pull(options(), &offer, ("-logDtpr", &[]), &from, &dst);
            let report = report.unwrap();
            assert_eq!(
                (report.totals.transferred > 0, report.exit_code()),
                (transferred && !script.contains("empty"), 0)
            );
            let (expected, got) = (tree(&src), tree(&dst));
            let differ = expected.lines().zip(got.lines()).find(|(expected, got)| expected != got);
            assert!(expected == got, "{script} {transferred}: {differ:?}");
        }
    }
}
