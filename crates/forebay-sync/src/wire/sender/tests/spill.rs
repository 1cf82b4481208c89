//! Answers behind one that takes its time.

use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex};

use forebay::{Budget, SegmentOptions};

use super::super::{Arrivals, Link, run};
use super::{Said, bytes};
use crate::options::Options;
use crate::outcome::Outcome;
use crate::roots;
use crate::shared::{Root, Shared};
use crate::wire::error::WireError;
use crate::wire::number::{Indexes, Put};
use crate::wire::receiver::{Message, Way};
use crate::wire::terms::{Checksum, Compat, Terms};

const SMALL: usize = 400;

/// Whether everything has been asked for.
#[derive(Default)]
struct Asked(Mutex<bool>, Condvar);

/// Requests, and behind them the ends of all phases.
struct Requests<'a> {
    requests: &'a [u8],
    ends: &'a [u8],
    asked: &'a Asked,
}

impl Read for Requests<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !self.requests.is_empty() {
            return self.requests.read(into);
        }
        *self.asked.0.lock().unwrap() = true;
        self.asked.1.notify_all();
        self.ends.read(into)
    }
}

/// Takes nothing of the large file before everything has been asked for.
struct Late<'a> {
    asked: &'a Asked,
    took: Mutex<Vec<u8>>,
}

impl Way for Late<'_> {
    fn send(&self, bytes: &[u8]) -> Result<(), WireError> {
        if bytes.len() > 20_000 {
            let asked = self.asked.0.lock().unwrap();
            drop(self.asked.1.wait_while(asked, |asked| !*asked).unwrap());
        }
        self.took.lock().unwrap().extend(bytes);
        Ok(())
    }

    fn message(&self, message: Message<'_>) {
        panic!("{message:?}");
    }

    fn cut(&self) {
        *self.asked.0.lock().unwrap() = true;
        self.asked.1.notify_all();
    }
}

#[test]
fn answers_behind_a_large_file_spill_and_come_back_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("a"), bytes(1, 5 << 20)).unwrap();
    (0..SMALL).for_each(|n| std::fs::write(source.join(format!("b{n:03}")), bytes(n as u32, 8000)).unwrap());
    let (mut requests, mut indexes) = (Vec::new(), Indexes::default());
    for index in 1..=SMALL as i32 + 1 {
        indexes.write(&mut requests, index);
        requests.put_short(0x8000);
        (0..4).for_each(|_| requests.put_int(0));
    }
    // What waits is far more than the budget, and no more than eight files are in work when the last is asked for.
    let options = Options {
        recursive: true,
        budget: Budget::new(256 << 10),
        window: NonZeroUsize::new(8),
        workers: NonZeroUsize::new(2),
        ..Options::default()
    };
    let shared = Shared::new(&options, Root { fd: None, created: false, rename: None, shown: Vec::new() });
    let transfer = Checksum::None;
    let terms = Terms { protocol: 32, compat: Compat(0x1fe), seed: 1, transfer, files: transfer, compress: None };
    let asked = Asked::default();
    let way = Late { asked: &asked, took: Mutex::default() };
    let link = Link { terms: &terms, server: false, way: &way, arrivals: &Arrivals::default(), traffic: &|| (0, 0) };
    let mut note = Outcome::default();
    let top = roots::sources(&shared, &[[source.to_str().unwrap(), "/"].concat()], &mut note).unwrap();
    let store = SegmentOptions::new().open(dir.path()).unwrap();
    let mut from = Requests { requests: &requests, ends: &[0; 5], asked: &asked };
    let end = run(&shared, &link, (top, note), Some(store), &mut from, &mut Said::default()).unwrap();
    assert_eq!(end.totals.transferred, SMALL as u64 + 1);
    assert!(end.answering.spilled_items > 0, "{:?}", end.answering);
    assert_eq!(end.answering.spilled_items, end.answering.reloaded_items);
    // Each file is there, whole and in order.
    let took = way.took.into_inner().unwrap();
    let mut rest = &took[..];
    for n in 0..SMALL as u32 {
        let small = bytes(n, 8000);
        let at = rest.windows(small.len()).position(|window| window == small);
        rest = &rest[at.unwrap_or_else(|| panic!("{n}")) + small.len()..];
    }
}
