//! A sender that reads requests and answers them, one after the other.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Mutex;

use forebay_delta::{Input, Settings, search};

use crate::fs::Stat;
use crate::mirror::Log;
use crate::options::Options;
use crate::order;
use crate::outcome::Outcome;
use crate::places::Places;
use crate::roots::{self, Shape as Sources};
use crate::sent::Facts;
use crate::shared::{Root, Shared};
use crate::totals::{Ahead, Totals};
use crate::wire::error::WireError;
use crate::wire::list::{Decoder, Shape};
use crate::wire::mux::ReadAhead;
use crate::wire::number::{Get, Indexes, Put, special};
use crate::wire::receiver::Asked;
use crate::wire::receiver::answer::Stop;
use crate::wire::receiver::batch::{Arrival, Batch};
use crate::wire::receiver::item::{basis, flag};
use crate::wire::receiver::lists::{Lists, Queue};
use crate::wire::receiver::remote::Remote;
use crate::wire::receiver::role::{self, End, Incoming};
use crate::wire::receiver::teller::{Mailbox, Message, Way};
use crate::wire::sums::{FileSum, SumHead};
use crate::wire::terms::{Checksum, Compat, Compress, Terms};
use crate::wire::token::TokenWriter;

impl ReadAhead for BufReader<UnixStream> {
    fn at_hand(&self) -> usize {
        self.buffer().len()
    }
}

/// The lines that were said.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) text: Vec<u8>,
    pub(super) errors: Vec<u8>,
}

impl Log for Lines {
    fn text(&mut self, lines: &[u8]) -> std::io::Result<()> {
        self.text.extend_from_slice(lines);
        Ok(())
    }
    fn errors(&mut self, lines: &[u8]) {
        self.errors.extend_from_slice(lines);
    }
    fn progress(&mut self, _: &Totals, _: &Ahead) -> std::io::Result<()> {
        Ok(())
    }
}

/// A connection without a multiplexer: messages are kept.
pub(super) struct Pipe {
    stream: UnixStream,
    pub(super) messages: Mutex<Vec<Vec<u8>>>,
}

impl Way for Pipe {
    fn send(&self, bytes: &[u8]) -> Result<(), WireError> {
        Ok((&self.stream).write_all(bytes)?)
    }
    fn message(&self, message: Message<'_>) {
        let (Message::Info(text) | Message::Warning(text) | Message::Error(text) | Message::Deleted(text)) = message
        else {
            return;
        };
        self.messages.lock().unwrap().push(text.to_vec());
    }
    fn cut(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

pub(super) fn terms(compress: Option<Compress>) -> Terms {
    Terms {
        protocol: 32,
        compat: Compat(0x1fe),
        seed: 7,
        transfer: Checksum::Xxh128,
        files: Checksum::Xxh128,
        compress,
    }
}

/// The entries of a tree, in order.
pub(super) fn list(root: &Path) -> Vec<Arrival> {
    let mut arrivals = vec![arrival(root, b".")];
    beneath(root, b"", &mut arrivals);
    let mut numbers = BTreeMap::new();
    for (at, arrival) in arrivals.iter_mut().enumerate() {
        let stat = &mut arrival.facts.stat;
        stat.index = i32::try_from(at).ok();
        let leader = *numbers.entry((stat.dev, stat.ino)).or_insert(at as u64);
        (stat.dev, stat.ino) = (0, leader);
        if stat.kind == rustix::fs::FileType::Directory {
            stat.nlink = 1;
        }
    }
    arrivals
}

fn beneath(dir: &Path, rel: &[u8], arrivals: &mut Vec<Arrival>) {
    let mut names: Vec<(Vec<u8>, bool)> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().as_bytes().to_vec(), entry.file_type().unwrap().is_dir()))
        .collect();
    names.sort_by(|a, b| order::compare((&a.0, a.1), (&b.0, b.1)));
    for (name, is_dir) in names {
        let path = [rel, &name].concat();
        let full = dir.join(OsStr::from_bytes(&name));
        arrivals.push(arrival(&full, &path));
        if is_dir {
            beneath(&full, &[&path[..], b"/"].concat(), arrivals);
        }
    }
}

pub(super) fn arrival(full: &Path, path: &[u8]) -> Arrival {
    let stat: Stat = rustix::fs::lstat(full).unwrap().into();
    let link = rustix::fs::readlink(full, Vec::new()).ok();
    let facts = Facts { stat, link, sum: None, attributes: <_>::default(), long: <_>::default() };
    Arrival { path: path.to_vec(), facts, content: true, way: false }
}

/// What an answer is made of, so that scripts can spoil it.
pub(super) struct Answer {
    pub(super) index: i32,
    pub(super) item: Vec<u8>,
    /// The sender goes away behind it.
    pub(super) last: bool,
    /// The head, the tokens and the sum.
    pub(super) content: Option<(SumHead, Vec<u8>, Vec<u8>)>,
}

/// Answers everything; `spoil` may change an answer, or leave it out.
pub(super) fn answer_all(
    stream: UnixStream,
    root: &Path,
    paths: &[Vec<u8>],
    terms: &Terms,
    dry_run: bool,
    mut spoil: impl FnMut(&mut Answer) -> bool,
) -> Result<(), WireError> {
    let (mut from, mut to) = (BufReader::new(stream.try_clone()?), stream);
    let (mut ours, mut theirs) = (Indexes::default(), Indexes::default());
    let mut writer = TokenWriter::new(terms.compress)?;
    let mut phase = 0;
    loop {
        let mut out = Vec::new();
        match theirs.read(&mut from)? {
            special::DONE => {
                phase += 1;
                if phase == 5 {
                    return Ok(());
                }
                ours.write(&mut out, special::DONE);
                if phase == 3 {
                    (0..5).for_each(|value| out.put_varlong(value, 3));
                }
            }
            special::DEL_STATS => {
                for _ in 0..5 {
                    from.varint()?;
                }
            }
            index => {
                let flags = from.short()?;
                let mut item = flags.to_le_bytes().to_vec();
                if flags & flag::BASIS_FOLLOWS != 0 {
                    item.push(from.byte()?);
                }
                if flags & flag::NAME_FOLLOWS != 0 {
                    let name = from.vstring(4096, "name")?;
                    item.put_vstring(&name);
                }
                let mut answer = Answer { index, item, last: false, content: None };
                if flags & flag::TRANSFER != 0 && !dry_run {
                    let path = root.join(OsStr::from_bytes(&paths[index as usize]));
                    answer.content = Some(content(&mut from, &path, terms, &mut writer)?);
                }
                if spoil(&mut answer) {
                    ours.write(&mut out, answer.index);
                    out.put(&answer.item);
                    if let Some((head, tokens, sum)) = &answer.content {
                        head.write(&mut out);
                        out.put(tokens);
                        out.put(sum);
                    }
                }
                if answer.last {
                    to.write_all(&out)?;
                    return Ok(());
                }
            }
        }
        to.write_all(&out)?;
    }
}

fn content<R: Read>(
    from: &mut R,
    path: &Path,
    terms: &Terms,
    writer: &mut TokenWriter,
) -> Result<(SumHead, Vec<u8>, Vec<u8>), WireError> {
    let head = SumHead::read(from, 16)?;
    let settings = Settings::default();
    let signature = head.read_sums(from, terms.of_block().unwrap(), &settings)?;
    let bytes = std::fs::read(path)?;
    let mut tokens = Vec::new();
    writer.begin(head)?;
    match signature {
        Some(signature) => {
            search(&signature, Input::bytes(&bytes), <_>::default(), &settings, |token| {
                writer.apply(token, &mut tokens).map_err(forebay_delta::Error::Write)
            })
            .unwrap();
        }
        None => writer.literal(&bytes, &mut tokens)?,
    }
    writer.end(&mut tokens)?;
    let mut sum = FileSum::new(terms.transfer);
    sum.update(&bytes);
    let _ = basis::ITSELF;
    Ok((head, tokens, sum.finish()))
}

/// Brings `destination` up to date with `list`, which `sender` answers for.
pub(super) fn receive(
    options: &Options,
    terms: &Terms,
    list: Vec<Arrival>,
    destination: &Path,
    sender: impl FnOnce(UnixStream) -> Result<(), WireError> + Send,
) -> (Result<End, Stop>, Lines, Result<(), WireError>) {
    let (here, there) = UnixStream::pair().unwrap();
    let mut lines = Lines::default();
    let nowhere = Root { fd: None, created: false, rename: None, shown: Vec::new() };
    let mut shared = Shared::new(options, nowhere);
    shared.remote = Some(Remote::new(terms.clone(), false, options));
    let batch = Batch::new(0, list);
    let mut note = Outcome::default();
    let shape = Sources { single: batch.len() == 1, single_file: false, contents: batch.has_root() };
    shared.root = roots::destination(&shared, shape, destination.as_os_str(), &mut note).unwrap();
    shared.places = Places::open(&shared, &mut note).unwrap();
    std::thread::scope(|scope| {
        let sending = scope.spawn(move || sender(there));
        let mut from = BufReader::new(here.try_clone().unwrap());
        let (mailbox, mail) = Mailbox::new();
        let pipe = Pipe { stream: here, messages: Mutex::default() };
        let asked = Asked::Anything;
        let lists = Lists::new(Decoder::new(Shape::new(options, terms), false), asked, false, false);
        let queue = Queue::default();
        let incoming = Incoming { from: &mut from, indexes: Indexes::default(), lists, queue: &queue };
        if let Some(remote) = &shared.remote {
            remote.ledger.add_list(0, batch.len());
            remote.ledger.complete();
        }
        let end = role::run(&mut shared, &batch, note, incoming, &pipe, (&mailbox, mail), (None, &mut lines));
        pipe.cut();
        (end, lines, sending.join().unwrap())
    })
}
