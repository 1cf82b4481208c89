//! Requests that are none, and files that are not there any more.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use forebay::Budget;
use forebay_delta::Settings;
use proptest::prelude::*;
use rustix::fs::CWD;

use super::super::Arrivals;
use super::super::answer::{Answer, Answerer, Shelf};
use super::super::bodies::Bodies;
use super::super::lists::{Lists, Summary};
use super::super::live::{Folder, Live};
use super::super::pace::Pace;
use super::super::request::{Job, Request, Requests};
use crate::filter::Local;
use crate::fs::Stat;
use crate::options::Options;
use crate::shared::{Root, Shared};
use crate::wire::number::{Indexes, Put};
use crate::wire::receiver::Stop;
use crate::wire::terms::{Checksum, Compat, Terms};

fn terms() -> Terms {
    let transfer = Checksum::Md5;
    Terms { protocol: 32, compat: Compat(0x1fe), seed: 1, transfer, files: transfer, compress: None }
}

/// A directory, and a file in it.
fn lists(at: &Path) -> Lists {
    std::fs::write(at.join("file"), "content").unwrap();
    let mut live = Live::new(0);
    let folder = Folder {
        rel: Vec::new(),
        shown: [at.to_str().unwrap(), "/"].concat().into_bytes(),
        above: Arc::default(),
        local: Local::default(),
    };
    for name in [c".", c"file"] {
        let stat =
            Stat::from(rustix::fs::statat(CWD, at.join(name.to_str().unwrap()), rustix::fs::AtFlags::empty()).unwrap());
        assert!(live.push(&folder, name, &stat, false));
    }
    let lists = Lists::default();
    lists.add(live, 2);
    lists.complete(Summary::default());
    lists
}

fn read(bytes: &[u8], lists: &Lists, budget: usize) -> Result<Vec<Job>, Stop> {
    let (options, terms) = (Options { xattrs: true, ..Options::default() }, terms());
    let settings = Settings { budget: Budget::new(budget), ..Settings::default() };
    let (mut from, indexes) = (bytes, Indexes::default());
    let (options, terms) = (&options, &terms);
    Requests {
        from: &mut from,
        indexes,
        options,
        terms,
        lists,
        settings,
        arrivals: &Arrivals::default(),
        pace: &Pace::default(),
        asked: HashSet::new(),
        links: Vec::new(),
        done: false,
        phases: 0,
        deleted: None,
    }
    .collect()
}

/// The bytes of a request for `index`.
fn request(index: i32, flags: u16, sums: [i32; 4]) -> Vec<u8> {
    let mut out = Vec::new();
    Indexes::default().write(&mut out, index);
    out.put_short(flags);
    sums.into_iter().for_each(|value| out.put_int(value));
    out
}

#[test]
fn only_files_of_the_list_are_sent_and_only_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let lists = lists(dir.path());
    let whole = [0; 4];
    let ended = |mut bytes: Vec<u8>| {
        bytes.extend([0; 3]);
        bytes
    };
    let jobs = read(&ended(request(1, 0x8000, whole)), &lists, 1 << 20).unwrap();
    let [Job::Answer(first), Job::Done, Job::Done] = &jobs[..] else { panic!("{jobs:?}") };
    assert!(matches!(&**first, Request { index: 1, content: Some(_), .. }));
    for bytes in [
        request(2, 0x8000, whole),
        request(-101, 0x8000, whole),
        request(0, 0x8000, whole),
        [&[0, 0][..], &request(1, 0x8000, whole)].concat(),
        request(1, 0x8000, [1, 700, 17, 0]),
        request(1, 0x8000, [-1, 700, 2, 0]),
    ] {
        assert!(matches!(read(&ended(bytes.clone()), &lists, 1 << 20), Err(Stop::Wire(_))), "{bytes:?}");
    }
    assert!(read(&request(1, 0x8000, [100, 700, 16, 0]), &lists, 1 << 20).is_err(), "sums that do not come");
}

#[test]
fn what_has_vanished_is_not_sent() {
    let dir = tempfile::tempdir().unwrap();
    let lists = lists(dir.path());
    std::fs::remove_file(dir.path().join("file")).unwrap();
    let (options, terms) = (Options::default(), terms());
    let shared = Shared::new(&options, Root { fd: None, created: false, rename: None, shown: Vec::new() });
    let (shelf, bodies) = (Shelf::default(), Bodies::default());
    let mut answerer = Answerer::new(&shared, &terms, (&shelf, &bodies), true, 1);
    let jobs = read(&[request(1, 0x8000, [0; 4]), vec![0; 3]].concat(), &lists, 1 << 20).unwrap();
    let answer = answerer.answer(jobs.into_iter().next().unwrap()).unwrap();
    let Answer::NoSend(outcome, 1) = answer else { panic!("{answer:?}") };
    // As with rsync, it counts as transferred all the same.
    assert_eq!((outcome.totals.vanished, outcome.totals.failed, outcome.totals.transferred), (1, 0, 1));
}

proptest! {
    #[test]
    fn anything_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), start in 0_usize..3) {
        let dir = tempfile::tempdir().unwrap();
        let lists = lists(dir.path());
        let start = [&[][..], &[2, 0, 0x80], &[2, 0, 0x81]][start];
        let _ = read(&[start, &bytes].concat(), &lists, 1 << 16);
    }
}

#[test]
fn a_link_that_is_planted_on_the_way_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, outside) = (dir.path().join("tree"), dir.path().join("outside"));
    for at in [tree.join("d"), outside.clone()] {
        std::fs::create_dir_all(&at).unwrap();
        std::fs::write(at.join("file"), at.to_str().unwrap()).unwrap();
    }
    let mut live = Live::new(0);
    let shown = [tree.to_str().unwrap(), "/d/"].concat().into_bytes();
    let stat = rustix::fs::statat(CWD, tree.join("d/file"), rustix::fs::AtFlags::empty()).unwrap();
    assert!(live.push(
        &Folder { rel: b"d/".to_vec(), shown, above: Arc::default(), local: Local::default() },
        c"file",
        &Stat::from(stat),
        false
    ));
    let lists = Lists::default();
    lists.add(live, 1);
    lists.complete(Summary::default());
    let ask = |options: &Options| {
        let nowhere = Root { fd: None, created: false, rename: None, shown: Vec::new() };
        let (shared, terms) = (Shared::new(options, nowhere), terms());
        let (shelf, bodies) = (Shelf::default(), Bodies::default());
        let mut answerer = Answerer::new(&shared, &terms, (&shelf, &bodies), true, 1);
        let mut bytes = request(0, 0x8000, [0; 4]);
        bytes.extend([0; 3]);
        let job = read(&bytes, &lists, 1 << 20).unwrap().remove(0);
        let sent = matches!(answerer.answer(job).unwrap(), Answer::Whole(..));
        let arrived = answerer.answer(Job::Arrived(lists.get(0).unwrap().into())).unwrap();
        let Answer::Arrived(key) = arrived else { unreachable!("what has arrived is only put aside") };
        (sent, answerer.remove(key).errors)
    };
    let options = Options { remove_source_files: true, ..Options::default() };
    std::fs::rename(tree.join("d"), tree.join("away")).unwrap();
    std::os::unix::fs::symlink(&outside, tree.join("d")).unwrap();
    let (sent, errors) = ask(&options);
    assert!(!sent && String::from_utf8(errors).unwrap().contains("failed to secure-open-parent d/file"));
    assert!(outside.join("file").exists());
    // Who follows links by request follows this one.
    assert!(ask(&Options { copy_links: true, ..Options::default() }).0);
    // The directory itself is there again.
    std::fs::remove_file(tree.join("d")).unwrap();
    std::fs::rename(tree.join("away"), tree.join("d")).unwrap();
    let (sent, errors) = ask(&options);
    assert!(sent && errors.is_empty() && !tree.join("d/file").exists());
}
