use proptest::prelude::*;
use rustix::fs::{FileType, Timespec};

use super::*;
use crate::fs::Stat;
use crate::sent::Facts;
use std::ffi::CString;
use std::sync::Arc;

const KINDS: [FileType; 8] = [
    FileType::RegularFile,
    FileType::Directory,
    FileType::Symlink,
    FileType::CharacterDevice,
    FileType::BlockDevice,
    FileType::Fifo,
    FileType::Socket,
    // It was asked for and is not there.
    FileType::Unknown,
];

fn shape() -> impl Strategy<Value = Shape> {
    (30_u32..=32, any::<[bool; 13]>(), prop::sample::select(vec![0, 8, 16])).prop_map(|(protocol, on, sum)| Shape {
        protocol,
        varint: on[0],
        safe: on[1] || protocol >= 31,
        inline_names: on[2],
        id_lists: !on[2] && on[3],
        id0: on[4],
        owner: on[5],
        group: on[6],
        links: on[7],
        devices: on[8],
        specials: on[9],
        hard_links: on[10],
        atimes: on[11],
        acls: on[12],
        xattrs: on[12],
        missing: true,
        sum,
    })
}

/// Few values of each field, so that they repeat.
fn entry() -> impl Strategy<Value = ListEntry> {
    let path = prop::collection::vec(prop::sample::select(vec!["a", "bb", "a-much-longer-name", "x.y"]), 1..5);
    let long = prop::sample::select(vec![0_usize, 0, 0, 250, 300]);
    let numbers = (0..KINDS.len(), 0_u32..4, 0_u32..3, 0_u64..3, 0_i64..3, 0_u32..3, 0_u64..4);
    (path, long, numbers, any::<(bool, bool, bool)>(), 0_usize..4).prop_map(
        |(path, long, (kind, mode, id, size, time, nsec, ino), (top, content, many), attributes)| {
            let kind = KINDS[kind];
            let is_dir = kind == FileType::Directory;
            let many = many && !is_dir;
            let mut attributes: Vec<(CString, Vec<u8>)> =
                (0..attributes).map(|n| (CString::new(format!("user.{n}")).unwrap(), vec![n as u8; n * 20])).collect();
            attributes.sort();
            ListEntry {
                path: [path.join("/").as_bytes(), &vec![b'n'; long.min(240)]].concat(),
                facts: Facts {
                    stat: Stat {
                        kind,
                        mode: if kind == FileType::Unknown { 0 } else { 0o640 + mode },
                        uid: id,
                        gid: id + 1,
                        size: size << 31,
                        mtime: Timespec { tv_sec: time - 1, tv_nsec: i64::from(nsec) },
                        atime: Timespec { tv_sec: time, tv_nsec: 0 },
                        dev: 1,
                        ino,
                        nlink: 1 + u64::from(many),
                        rdev: rustix::fs::makedev(id, mode),
                        index: None,
                    },
                    link: (kind == FileType::Symlink).then(|| c"to/there".to_owned()),
                    sum: (kind == FileType::RegularFile).then(|| vec![7; 16].into()),
                    attributes: Arc::new(attributes),
                    long: Arc::default(),
                },
                top: top && is_dir,
                content: content && is_dir,
            }
        },
    )
}

/// What the other side knows of an entry.
fn told(shape: &Shape, entry: &ListEntry) -> String {
    let ListEntry { path, facts, top, content, .. } = entry;
    let stat = &facts.stat;
    let device = matches!(stat.kind, FileType::CharacterDevice | FileType::BlockDevice);
    let special = matches!(stat.kind, FileType::Fifo | FileType::Socket);
    let nsec = if shape.protocol >= 31 { stat.mtime.tv_nsec } else { 0 };
    let attributes = if shape.xattrs { &facts.attributes[..] } else { &[] };
    let short: Vec<_> = attributes.iter().filter(|(_, value)| value.len() <= 32).collect();
    format!(
        "{:?} {:?} {:o} {} {}.{nsec} {:?} {:?} {:?} {:?} {:?} {:?} {top} {content} {short:?}",
        String::from_utf8_lossy(path),
        stat.kind,
        stat.mode,
        if device || special { 0 } else { stat.size },
        stat.mtime.tv_sec,
        (shape.atimes && stat.kind != FileType::Directory).then_some(stat.atime.tv_sec),
        shape.owner.then_some(stat.uid),
        shape.group.then_some(stat.gid),
        (shape.devices && device).then_some(stat.rdev),
        facts.link.as_ref().filter(|_| shape.links),
        facts.sum.as_ref().filter(|_| shape.sum > 0).map(|sum| sum[..shape.sum].to_vec()),
    )
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        shape in shape(), lists in prop::collection::vec(prop::collection::vec(entry(), 0..12), 1..4), error in 0..8,
    ) {
        let (mut encoder, mut out, mut first) = (Encoder::new(shape.clone()), Vec::new(), 1);
        // Names of one file have everything in common.
        let mut leaders = std::collections::HashMap::new();
        let lists: Vec<Vec<ListEntry>> = lists.into_iter().map(|list| list.into_iter().map(|entry| {
            if entry.facts.stat.nlink < 2 || !shape.hard_links {
                return entry;
            }
            let leader: &ListEntry = leaders.entry(entry.facts.stat.ino).or_insert_with(|| entry.clone());
            ListEntry { path: entry.path, ..leader.clone() }
        }).collect()).collect();
        for list in &lists {
            encoder.begin(first);
            list.iter().for_each(|entry| encoder.push(entry, &mut out));
            encoder.end(error, &mut out);
            first += list.len() as i32 + 1;
        }
        let (mut decoder, mut from, mut first) = (Decoder::new(shape.clone(), false), &out[..], 1);
        let mut groups = std::collections::HashMap::new();
        for list in &lists {
            decoder.begin(first);
            for entry in list {
                let decoded = decoder.next(&mut from).unwrap().unwrap();
                prop_assert_eq!(told(&shape, &decoded), told(&shape, entry));
                if entry.facts.stat.nlink > 1 && shape.hard_links {
                    let group = groups.entry(entry.facts.stat.ino).or_insert(decoded.facts.stat.ino);
                    prop_assert_eq!(*group, decoded.facts.stat.ino);
                }
            }
            let end = decoder.next(&mut from).unwrap().unwrap_err();
            let told = if shape.varint || shape.safe { error } else { 0 };
            prop_assert_eq!(end, End { io_error: told });
            first += list.len() as i32 + 1;
        }
        prop_assert!(from.is_empty());
    }

    #[test]
    fn anything_is_decoded_or_refused(shape in shape(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (mut decoder, mut from) = (Decoder::new(shape, false), &bytes[..]);
        decoder.begin(1);
        while let Ok(Ok(entry)) = decoder.next(&mut from) {
            prop_assert!(!entry.path.starts_with(b"/"));
            prop_assert!(entry.path.split(|&b| b == b'/').all(|part| !part.is_empty() && part != b".."));
        }
    }
}
