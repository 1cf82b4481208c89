//! Senders that lie: nothing outside of what was asked for may come of it, and the session ends with an error.

use std::io::Write;

use super::sender::{answer_all, arrival, list, receive, terms};
use crate::error::Error;
use crate::options::Options;
use crate::shared::{Root, Shared};
use crate::wire::error::WireError;
use crate::wire::list::Decoder;
use crate::wire::list::{Encoder, ListEntry, Shape};
use crate::wire::number::Put;
use crate::wire::receiver::Asked;
use crate::wire::receiver::answer::Stop;
use crate::wire::receiver::item::{basis, flag};
use crate::wire::receiver::lists::Lists;
use crate::wire::receiver::remote::Remote;

fn options() -> Options {
    Options { recursive: true, links: true, times: true, whole_file: false, itemize: true, ..Options::default() }
}

/// What becomes of a tree of two files, one of which is there in part, when answers are spoilt.
fn spoilt(spoil: impl FnMut(&mut super::sender::Answer) -> bool + Send) -> Result<(), Stop> {
    let temp = tempfile::tempdir().unwrap();
    let (src, dst) = (temp.path().join("src"), temp.path().join("dst"));
    std::fs::create_dir(&src).unwrap();
    std::fs::create_dir(&dst).unwrap();
    std::fs::write(temp.path().join("outside"), "secret").unwrap();
    std::fs::write(src.join("a"), [b'x'; 3000]).unwrap();
    std::fs::write(src.join("b"), "new").unwrap();
    std::fs::write(dst.join("a"), [b'x'; 2000]).unwrap();
    let terms = terms(None);
    let arrivals = list(&src);
    let paths: Vec<_> = arrivals.iter().map(|arrival| arrival.path.clone()).collect();
    let (end, _, _) =
        receive(&options(), &terms, arrivals, &dst, |stream| answer_all(stream, &src, &paths, &terms, false, spoil));
    assert_eq!(std::fs::read(temp.path().join("outside")).unwrap(), b"secret");
    let left: Vec<_> = std::fs::read_dir(&dst).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "a" || name == "b"), "{left:?}");
    end.map(|_| ())
}

fn refused(spoil: impl FnMut(&mut super::sender::Answer) -> bool + Send) {
    let result = spoilt(spoil);
    assert!(matches!(result, Err(Stop::Wire(WireError::Protocol { .. }))), "{result:?}");
}

#[test]
fn an_honest_sender_is_taken() {
    spoilt(|_| true).unwrap();
}

#[test]
fn what_was_not_asked_for_is_not_taken() {
    refused(|answer| {
        answer.index = 77;
        true
    });
    refused(|answer| {
        answer.index = 0;
        true
    });
}

/// CVE-2024-12086: a basis that the sender names.
#[test]
fn another_basis_than_the_one_that_was_named_is_not_opened() {
    for (kind, name) in [(basis::FUZZY, &b"../outside"[..]), (basis::PARTIAL, b""), (0, b"")] {
        refused(|answer| {
            if answer.index == 1 {
                let flags = flag::TRANSFER | flag::BASIS_FOLLOWS | if name.is_empty() { 0 } else { flag::NAME_FOLLOWS };
                answer.item = [&flags.to_le_bytes()[..], &[kind]].concat();
                if !name.is_empty() {
                    answer.item.put_vstring(name);
                }
            }
            true
        });
    }
}

/// CVE-2024-12084 and 12085: sums and blocks of other sizes than were told.
#[test]
fn other_blocks_than_those_that_were_told_are_not_taken() {
    refused(|answer| {
        if let Some((head, ..)) = &mut answer.content {
            head.strong_len = 16;
        }
        true
    });
    refused(|answer| {
        if let (1, Some((head, tokens, _))) = (answer.index, &mut answer.content) {
            tokens.clear();
            // One block more than there is.
            tokens.put_int(!(head.count as i32));
            tokens.put_int(0);
        }
        true
    });
    refused(|answer| {
        if let (2, Some((_, tokens, _))) = (answer.index, &mut answer.content) {
            tokens.clear();
            // The file is new: there is nothing to copy.
            tokens.put_int(-1);
            tokens.put_int(0);
        }
        true
    });
}

#[test]
fn a_sender_that_goes_away_leaves_nothing_half_written() {
    let result = spoilt(|answer| {
        if let Some((_, tokens, sum)) = &mut answer.content {
            tokens.truncate(3);
            sum.clear();
        }
        answer.last = answer.index > 0;
        true
    });
    assert!(result.is_err());
}

/// Reads `entries` as a list that `asked` was asked for.
fn listed(options: &Options, asked: &Asked, entries: &[(&str, bool)]) -> Result<usize, Stop> {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("file"), "").unwrap();
    let terms = terms(None);
    let shape = Shape::new(options, &terms);
    let (mut encoder, mut bytes) = (Encoder::new(shape.clone()), Vec::new());
    for &(path, is_dir) in entries {
        let at = if is_dir { temp.path().to_owned() } else { temp.path().join("file") };
        let arrival = arrival(&at, path.as_bytes());
        let (path, facts) = (arrival.path, arrival.facts);
        let entry = ListEntry { path, facts, content: is_dir, top: false };
        encoder.push(&entry, &mut bytes);
    }
    encoder.end(0, &mut bytes);
    let mut shared = Shared::new(options, Root { fd: None, created: false, rename: None, shown: Vec::new() });
    shared.remote = Some(Remote::new(terms, false, options));
    let decoder = Decoder::new(shape, options.select.relative);
    Lists::new(decoder, asked.clone(), false, false).first(&mut &bytes[..], &shared).map(|batch| batch.len())
}

/// CVE-2022-29154: names that nobody has asked for.
#[test]
fn only_names_that_were_asked_for_are_in_a_list() {
    let options = options();
    let asked = Asked::of(&["dir/wanted", "*.c", "deep/er/"].map(str::as_bytes)[..2], &options);
    assert_eq!(listed(&options, &asked, &[("wanted", true), ("wanted/x", false), ("y.c", false)]).unwrap(), 3);
    for other in ["other", ".ssh", "wanted2", "y.d"] {
        let result = listed(&options, &asked, &[("wanted", true), (other, false)]);
        assert!(matches!(result, Err(Stop::Here(Error::Remote { code: 4, .. }))), "{other}: {result:?}");
    }
    let anything = Asked::of(&["dir/"].map(str::as_bytes), &options);
    assert_eq!(listed(&options, &anything, &[(".", true), ("x", false)]).unwrap(), 2);
    let mut ruled = Options { recursive: true, ..Options::default() };
    ruled.filters.push_rule(b"- *.key").unwrap();
    let result = listed(&ruled, &anything, &[(".", true), ("a.key", false)]);
    assert!(matches!(result, Err(Stop::Here(Error::Remote { code: 4, .. }))), "{result:?}");
}

/// CVE-2024-12087 and 12088: names that lead out, and entries beneath what is no directory.
#[test]
fn names_stay_beneath_the_destination() {
    let options = options();
    let result = listed(&options, &Asked::Trusted, &[(".", true), ("/etc/x", false)]);
    assert!(matches!(result, Err(Stop::Here(Error::Remote { code: 4, .. }))), "{result:?}");
    for path in ["../x", "a/../../x", "a//../x"] {
        let result = listed(&options, &Asked::Anything, &[(".", true), (path, false)]);
        assert!(matches!(result, Err(Stop::Wire(WireError::Protocol { .. }))), "{path}: {result:?}");
    }
    // What is beneath a link or a file is not in any directory of the list.
    for above in ["", "link"] {
        let temp = tempfile::tempdir().unwrap();
        let (src, dst) = (temp.path().join("src"), temp.path().join("dst"));
        let outside = temp.path().join("outside");
        [&src, &dst, &outside].iter().for_each(|dir| std::fs::create_dir(dir).unwrap());
        std::os::unix::fs::symlink(&outside, src.join("link")).unwrap();
        std::fs::write(src.join("file"), "x").unwrap();
        let mut arrivals = list(&src);
        if above.is_empty() {
            // A link of the same name as a directory of the list, in the destination.
            std::os::unix::fs::symlink(&outside, dst.join("dir")).unwrap();
            arrivals.push(arrival(&src, b"dir"));
        }
        let path: &[u8] = if above.is_empty() { b"dir/file" } else { b"link/file" };
        arrivals.push(arrival(&src.join("file"), path));
        for (at, arrival) in arrivals.iter_mut().enumerate() {
            arrival.facts.stat.index = i32::try_from(at).ok();
            arrival.facts.stat.nlink = 1;
        }
        let paths: Vec<_> = arrivals.iter().map(|arrival| arrival.path.clone()).collect();
        let terms = terms(None);
        let _ = std::fs::create_dir_all(src.join("dir"));
        let _ = std::fs::write(src.join("dir/file"), "x");
        let _ = receive(&options, &terms, arrivals, &dst, |stream| {
            answer_all(stream, &src, &paths, &terms, false, |_| true)
        });
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "{above}");
    }
}

#[test]
fn a_list_that_ends_within_is_an_error() {
    let options = options();
    let terms = terms(None);
    let mut shared = Shared::new(&options, Root { fd: None, created: false, rename: None, shown: Vec::new() });
    shared.remote = Some(Remote::new(terms.clone(), false, &options));
    let mut bytes = Vec::new();
    bytes.write_all(&[0x19, 3, b'a']).unwrap();
    let decoder = Decoder::new(Shape::new(&options, &terms), false);
    let result = Lists::new(decoder, Asked::Anything, false, false).first(&mut &bytes[..], &shared);
    assert!(matches!(result, Err(Stop::Wire(WireError::Io(_)))), "{result:?}");
}
