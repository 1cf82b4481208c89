//! A list for each directory.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Condvar, Mutex};

use super::super::{Arrivals, Link, run};
use super::{Push, Said, differences, tree};
use crate::options::Options;
use crate::outcome::Outcome;
use crate::roots;
use crate::shared::{Root, Shared};
use crate::wire::error::WireError;
use crate::wire::list::{Decoder, Shape};
use crate::wire::number::{Indexes, special};
use crate::wire::receiver::{Message, Way};
use crate::wire::terms::{Checksum, Compat, Terms};

#[test]
fn stock_rsync_takes_lists_one_by_one() {
    for protocol in [30, 31, 32] {
        let dir = tempfile::tempdir().unwrap();
        let (source, destination) = (dir.path().join("source"), dir.path().join("destination"));
        tree(&source);
        (0..50).for_each(|n| {
            std::fs::create_dir_all(source.join(format!("many/{n}/{n}"))).unwrap();
            std::fs::write(source.join(format!("many/{n}/file")), "x").unwrap();
        });
        std::fs::hard_link(source.join("middle"), source.join("many/7/7/middle")).unwrap();
        let mut push = Push { protocol, ..Push::new("-HlogDtpre.iLsfxCIvu") };
        push.options.hard_links = true;
        let (end, ..) = push.run(&source, &destination);
        assert_eq!(differences("-aH", &source, &destination), "", "{protocol}");
        assert_eq!((end.totals.transferred, end.totals.dirs), (154, 106));
        // What is made is reported, and beside that, the end of each list but the last, and those of two phases.
        let reported = end.totals.created();
        assert!(end.answering.delivered > reported + end.totals.dirs, "{protocol}: {:?}", end.answering);
        let (end, ..) = push.run(&source, &destination);
        assert_eq!(end.totals.transferred, 0);
    }
}

/// Bytes from one side to the other.
struct Pipe {
    bytes: Receiver<Vec<u8>>,
    rest: VecDeque<u8>,
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.bytes.recv() {
                Ok(bytes) => self.rest.extend(bytes),
                Err(_) => return Ok(0),
            }
        }
        self.rest.read(into)
    }
}

struct To(Mutex<Option<Sender<Vec<u8>>>>);

impl Way for To {
    fn send(&self, bytes: &[u8]) -> Result<(), WireError> {
        let gone = || WireError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        let to = self.0.lock().unwrap();
        to.as_ref().ok_or_else(gone)?.send(bytes.to_vec()).map_err(|_| gone())
    }

    fn message(&self, message: Message<'_>) {
        panic!("{message:?}");
    }

    fn cut(&self) {
        *self.0.lock().unwrap() = None;
    }
}

const DIRS: usize = 300;
const FILES: usize = 40;

/// Lists that a receiving side has got and those that it has said it is done with.
#[derive(Default)]
struct Progress {
    lists: usize,
    done: usize,
}

#[test]
fn who_is_not_done_with_lists_gets_few_more() {
    let dir = tempfile::tempdir().unwrap();
    for d in 0..DIRS {
        let sub = dir.path().join(format!("{d:03}"));
        std::fs::create_dir(&sub).unwrap();
        (0..FILES).for_each(|f| std::fs::write(sub.join(f.to_string()), "").unwrap());
    }
    let options = Options { recursive: true, ..Options::default() };
    let shared = Shared::new(&options, Root { fd: None, created: false, rename: None, shown: Vec::new() });
    let sum = Checksum::Md5;
    let terms = Terms { protocol: 32, compat: Compat(0x1ff), seed: 1, transfer: sum, files: sum, compress: None };
    let ((to_us, ours), (to_them, theirs)) = (channel(), channel());
    let (way, mut from) = (To(Mutex::new(Some(to_them))), Pipe { bytes: ours, rest: VecDeque::new() });
    let link = Link { terms: &terms, server: false, way: &way, arrivals: &Arrivals::default(), traffic: &|| (0, 0) };
    let mut note = Outcome::default();
    let top = roots::sources(&shared, &[[dir.path().to_str().unwrap(), "/"].concat()], &mut note).unwrap();
    let state = (Mutex::new(Progress::default()), Condvar::new());
    std::thread::scope(|scope| {
        let (progress, changed) = (&state.0, &state.1);
        let receiving = scope.spawn({
            let (terms, options) = (&terms, &options);
            move || {
                let mut from = Pipe { bytes: theirs, rest: VecDeque::new() };
                let mut decoder = Decoder::new(Shape::new(options, terms), false);
                let (mut indexes, mut next, mut entries) = (Indexes::default(), 1, 0);
                let (mut most, mut ends, mut complete) = (0, 0, false);
                while !(complete && ends == DIRS + 4) {
                    if next > 1 {
                        match indexes.read(&mut from).unwrap() {
                            special::DONE => {
                                ends += 1;
                                continue;
                            }
                            special::FLIST_EOF => {
                                complete = true;
                                continue;
                            }
                            list => assert!(list <= special::FLIST_OFFSET, "{list}"),
                        }
                    }
                    decoder.begin(next);
                    let mut len = 0;
                    while decoder.next(&mut from).unwrap().is_ok() {
                        len += 1;
                    }
                    entries += if next == 1 { 0 } else { len };
                    next += len + 1;
                    let mut progress = progress.lock().unwrap();
                    progress.lists += 1;
                    most = most.max(progress.lists - progress.done);
                    changed.notify_all();
                }
                (entries as usize, most)
            }
        });
        let asking = scope.spawn(move || {
            for list in 0..DIRS {
                // The one behind it has come.
                let lock = progress.lock().unwrap();
                let mut now = changed.wait_while(lock, |now| now.lists < list + 2).unwrap();
                now.done += 1;
                drop(now);
                to_us.send(vec![0]).unwrap();
            }
            to_us.send(vec![0; 5]).unwrap();
        });
        let end = run(&shared, &link, (top, note), None, &mut from, &mut Said::default()).unwrap();
        asking.join().unwrap();
        let (entries, most) = receiving.join().unwrap();
        assert_eq!((entries, end.totals.files), (DIRS * FILES, (DIRS * FILES) as u64));
        // Lists with 1000 entries together, the one that is at hand, and one on its way in each direction.
        assert!((2..=1000 / FILES + 4).contains(&most), "{most} lists were open");
    });
}
