//! Answers to requests: what a file holds, as blocks that the receiving side has and bytes that it has not.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use forebay::{DecodeError, Parts, Spill, Weigh};
use forebay_delta::{Input, Options, ReadAt, Role, Settings, Stats, search_reading};
use rustix::fs::FileType;
use rustix::io::Errno;

use super::arrivals;
use super::beneath::Folders;
use super::bodies::Bodies;
use super::lines::{self, Said};
use super::live::Found;
use super::request::{Job, Request, Wanted};
use crate::error::Error;
use crate::extended::{self, Origin, Place};
use crate::fs::{self, Stat};
use crate::itemize::{self, Traffic};
use crate::options::Append;
use crate::outcome::Outcome;
use crate::shared::Shared;
use crate::wire::list::is_acl;
use crate::wire::number::Put;
use crate::wire::receiver::Stop;
use crate::wire::receiver::item::{Item, basis, flag};
use crate::wire::sums::FileSum;
use crate::wire::terms::Terms;
use crate::wire::token::TokenWriter;

/// A file of more bytes is read when it is its turn, by several threads.
const LARGE: u64 = 4 << 20;

/// Bytes that are read at a time of a file that is sent as it is: summed and put into frames, they are still in the processor's
/// cache. What is read in larger pieces has left it by then, and is fetched from memory once more for each.
const PIECE: usize = 32 << 10;

/// What is sent for one job.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Everything that follows the number of the entry.
    Whole(Outcome, i32, Vec<u8>),
    /// The same, without the content of the file, which is read when it is its turn: what is known of that is on the
    /// [`Shelf`] under this key.
    Large(Outcome, i32, Vec<u8>, u64),
    /// There is none: the file cannot be read.
    NoSend(Outcome, i32),
    /// The entry on the shelf under this key has arrived, and may go from the source when all before it is sent.
    Arrived(u64),
    /// A list or a phase has ended.
    Done,
}

impl Weigh for Answer {
    fn weight(&self) -> usize {
        size_of::<Self>()
            + match self {
                Answer::Whole(outcome, _, body) => outcome.weight() + body.capacity(),
                Answer::Large(outcome, _, body, _) => outcome.weight() + body.capacity() + size_of::<Shelved>(),
                Answer::NoSend(outcome, _) => outcome.weight(),
                Answer::Arrived(_) => size_of::<Shelved>(),
                Answer::Done => 0,
            }
    }
}

/// Encoded: a byte for which it is, the number of the entry (4 bytes), the key and the length of the body (8 bytes each,
/// all little-endian), the body, the outcome.
impl Spill for Answer {
    fn encode(self, out: &mut Parts) {
        let (kind, outcome, index, body, key) = match self {
            Answer::Whole(outcome, index, body) => (0, outcome, index, body, 0),
            Answer::Large(outcome, index, body, key) => (1, outcome, index, body, key),
            Answer::NoSend(outcome, index) => (2, outcome, index, Vec::new(), 0),
            Answer::Arrived(key) => (4, Outcome::default(), 0, Vec::new(), key),
            Answer::Done => return out.write(&[3]),
        };
        out.write(&[kind]);
        out.write(&index.to_le_bytes());
        out.write(&key.to_le_bytes());
        out.write(&(body.len() as u64).to_le_bytes());
        out.put(body.into());
        outcome.encode(out);
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        const SHORT: DecodeError = DecodeError("answer: too short");
        let (kind, rest) = bytes.split_first().ok_or(SHORT)?;
        if *kind == 3 {
            return Ok(Answer::Done);
        }
        let (index, rest) = rest.split_first_chunk().ok_or(SHORT)?;
        let (key, rest) = rest.split_first_chunk().ok_or(SHORT)?;
        let (len, rest) = rest.split_first_chunk().ok_or(SHORT)?;
        let len = usize::try_from(u64::from_le_bytes(*len)).unwrap_or(usize::MAX);
        let (body, rest) = rest.split_at_checked(len).ok_or(SHORT)?;
        let (index, body) = (i32::from_le_bytes(*index), body.to_vec());
        let outcome = Outcome::decode(bytes.slice_ref(rest))?;
        match kind {
            0 => Ok(Answer::Whole(outcome, index, body)),
            1 => Ok(Answer::Large(outcome, index, body, u64::from_le_bytes(*key))),
            2 => Ok(Answer::NoSend(outcome, index)),
            4 => Ok(Answer::Arrived(u64::from_le_bytes(*key))),
            _ => Err(DecodeError("answer: of no known kind")),
        }
    }
}

/// What is known of large files, and of those that have arrived, until it is their turn: sums of blocks have paid for their
/// memory where they were read, and stay there. And what is said behind the content of files, under their numbers.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    keys: AtomicU64,
    shelved: Mutex<HashMap<u64, Shelved>>,
    said: Mutex<HashMap<i32, Behind>>,
}

/// What is said behind the content of a file, and the bytes of the block sums that it was asked for with.
#[derive(Debug)]
pub(crate) struct Behind {
    said: Said,
    sums: u64,
}

/// A file, and what is wanted of it. It is not kept open: there may be more of them than files that may be open.
#[derive(Debug)]
struct Shelved {
    found: Found,
    /// With whether what the receiving side has of it is overwritten; `None`: it is only to go.
    content: Option<(Wanted, bool)>,
}

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Shelved>> {
        self.shelved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, shelved: Shelved) -> u64 {
        let key = self.keys.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(key, shelved);
        key
    }

    fn take(&self, key: u64) -> Option<Shelved> {
        self.lock().remove(&key)
    }

    fn said(&self) -> MutexGuard<'_, HashMap<i32, Behind>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Content {
    file: File,
    len: u64,
    wanted: Wanted,
    /// What is overwritten is not referred to any more.
    in_place: bool,
    /// The absolute path.
    path: Vec<u8>,
}

/// Makes answers.
#[derive(Debug)]
pub(crate) struct Answerer<'a> {
    shared: &'a Shared<'a>,
    terms: &'a Terms,
    shelf: &'a Shelf,
    bodies: &'a Bodies,
    /// This side has been started by the other one, which says what there is to say.
    server: bool,
    settings: Settings,
    tokens: Option<TokenWriter>,
    /// What a file is read to.
    buffer: Vec<u8>,
    /// What an answer is written to whose length is not known before.
    draft: Vec<u8>,
    folders: Folders,
}

impl Content {
    /// Where the bytes begin that are sent.
    fn there(&self) -> u64 {
        if self.wanted.append { self.wanted.head.basis_len().min(self.len) } else { 0 }
    }
}

impl<'a> Answerer<'a> {
    /// Long files are searched by `workers` threads.
    pub(crate) fn new(
        shared: &'a Shared<'a>,
        terms: &'a Terms,
        (shelf, bodies): (&'a Shelf, &'a Bodies),
        server: bool,
        workers: usize,
    ) -> Self {
        let settings = shared.settings(workers);
        let (buffer, draft, folders) = (Vec::new(), Vec::new(), Folders::default());
        Answerer { shared, terms, shelf, bodies, server, settings, tokens: None, buffer, draft, folders }
    }

    pub(crate) fn answer(&mut self, job: Job) -> Result<Answer, Stop> {
        let mut request = match job {
            Job::Answer(request) => request,
            Job::Arrived(found) => {
                return Ok(Answer::Arrived(self.shelf.put(Shelved { found: *found, content: None })));
            }
            Job::Done => return Ok(Answer::Done),
        };
        let index = request.index;
        let mut out = Outcome::default();
        let in_place = self.is_overwritten(&request);
        let opened = match request.content.take() {
            None => None,
            Some(wanted) => match self.open(&request.found, wanted, in_place) {
                Ok(content) => Some(content),
                Err(errno) => {
                    let mut out = self.unreadable(&request.found, errno);
                    // As with rsync, it counts all the same.
                    count_request(&request, request.found.stat.size, &mut out);
                    return Ok(Answer::NoSend(out, index));
                }
            },
        };
        let found = &request.found;
        count_request(&request, opened.as_ref().map_or(found.stat.size, |content| content.len), &mut out);
        if !self.server || lines::are_logged(self.shared.options, &request) {
            let said = lines::say(self.shared, &mut self.folders, &request, opened.is_some(), &mut out);
            if let (Some(said), Some(Content { wanted, .. })) = (said, &opened) {
                self.shelf.said().insert(index, Behind { said, sums: wanted.head.wire_len(!wanted.append) });
            }
            // A server's client says it.
            out.text.truncate(if self.server { 0 } else { out.text.len() });
        }
        let mut item = Vec::new();
        let flags = request.flags & !(flag::BASIS_FOLLOWS | flag::NAME_FOLLOWS);
        Item { flags, basis: request.basis, name: request.name.as_deref() }.write(&mut item);
        if let Some(numbers) = &request.values {
            self.put_values(found, numbers, &mut item);
        }
        match opened {
            None => Ok(Answer::Whole(out, index, item)),
            Some(Content { len, wanted, in_place, .. }) if len > LARGE => Ok(Answer::Large(
                out,
                index,
                item,
                self.shelf.put(Shelved { found: request.found, content: Some((wanted, in_place)) }),
            )),
            Some(content) => {
                let mut body;
                if content.wanted.sums.is_none() && self.terms.compress.is_none() {
                    // Lengths of pieces, the head and the sum are little beside it.
                    let len = content.len as usize;
                    body = self.bodies.take(item.len() + len + len / 4096 + 64);
                    body.put(&item);
                    self.put(content, &mut body, &mut out, &mut |_, _| Ok(()))?;
                } else {
                    // An answer that grows is moved again and again, and leaves room behind it that nobody needs.
                    let mut draft = std::mem::take(&mut self.draft);
                    draft.clear();
                    draft.put(&item);
                    self.put(content, &mut draft, &mut out, &mut |_, _| Ok(()))?;
                    body = self.bodies.take(draft.len());
                    body.put(&draft);
                    self.draft = draft;
                }
                Ok(Answer::Whole(out, index, body))
            }
        }
    }

    /// Whether what the receiving side has of the file is overwritten while it comes.
    fn is_overwritten(&self, request: &Request) -> bool {
        request.basis.is_none_or(|from| from == basis::ITSELF) && self.shared.options.writes_in_place()
    }

    /// Opens the file that is asked for.
    fn open(&mut self, found: &Found, wanted: Wanted, in_place: bool) -> Result<Content, Errno> {
        let source = self.folders.open(self.shared, found.folder())?;
        let fd = source.open(found.name(), found.follow, self.shared.options.open_noatime)?;
        let stat = Stat::from(rustix::fs::fstat(&fd)?);
        let len = match stat.kind {
            FileType::RegularFile => stat.size,
            kind if self.shared.options.copy_devices && fs::is_device(kind) => fs::device_size(fd.as_fd())?,
            _ => return Err(Errno::INVAL),
        };
        Ok(Content { file: File::from(fd), len, wanted, in_place, path: found.path() })
    }

    /// Opens the large file that is on the shelf under `key` again, now that it is its turn.
    ///
    /// # Errors
    /// What there is to say of why it cannot be sent.
    pub(crate) fn reopen(&mut self, key: u64) -> Result<Content, Box<Outcome>> {
        let Some(Shelved { found, content: Some((wanted, in_place)) }) = self.shelf.take(key) else {
            return Err(Box::default());
        };
        self.open(&found, wanted, in_place).map_err(|errno| self.unreadable(&found, errno).into())
    }

    /// What is to be said behind the content of the file `index`. To be taken before that goes: it may be asked for again.
    pub(crate) fn behind(&self, index: i32) -> Option<Behind> {
        let tells = itemize::tells_behind(self.shared.options);
        tells.then(|| self.shelf.said().remove(&index)).flatten()
    }

    /// Says that in `out`: `passed` bytes have gone, up to those of `body`.
    pub(crate) fn say_behind(&self, behind: Option<Behind>, passed: u64, body: &[u8], out: &mut Outcome) {
        let Some(Behind { said, sums }) = behind else { return };
        let traffic = Traffic { content: passed, sums };
        let sum = body.len().checked_sub(self.terms.transfer.len()).and_then(|at| body.get(at..));
        said.say(self.shared, traffic, sum.unwrap_or_default(), out);
        out.text.truncate(if self.server { 0 } else { out.text.len() });
    }

    /// Says that the file at `path` cannot be read as far as it reached.
    fn unmapped(&self, out: &mut Outcome, path: &[u8], errno: Errno) {
        out.totals.failed += 1;
        let rest = format!("\": {}", fs::describe(errno));
        self.shared.complain(out, "rsync: [sender] read errors mapping \"", path, &rest);
    }

    /// Says why a file cannot be sent.
    fn unreadable(&self, found: &Found, errno: Errno) -> Outcome {
        let mut out = Outcome::default();
        if errno == Errno::NOENT {
            self.shared.vanished(&mut out, "file", &found.path());
        } else {
            self.shared.fail(&mut out, "[sender] send_files failed to open", &found.path(), errno);
        }
        out
    }

    /// Appends the values of the attributes that are asked for: of each, its number less the one before, and its length.
    fn put_values(&mut self, found: &Found, numbers: &[u32], out: &mut Vec<u8>) {
        let shared = self.shared;
        let source = self.folders.open(shared, found.folder());
        let place = source.and_then(|source| Place::source(source, found.name(), found.follow));
        let attributes = place.and_then(|place| Origin::Here(place).read(shared)).unwrap_or_default();
        let apart = shared.options.acls && !extended::tells_acls_twice(shared.options);
        let own: Vec<_> = attributes.iter().filter(|(name, _)| !(apart && is_acl(name))).collect();
        let mut before = 0;
        for &number in numbers {
            let value = own.get(number as usize - 1).map_or(&[][..], |(_, value)| value);
            out.put_varint(i32::try_from(number - before).unwrap_or(i32::MAX));
            out.put_varint(i32::try_from(value.len()).unwrap_or(i32::MAX));
            out.put(value);
            before = number;
        }
        out.put_byte(0);
    }

    /// Removes from the source what is on the shelf under `key`: it has arrived.
    pub(crate) fn remove(&mut self, key: u64) -> Outcome {
        let mut out = Outcome::default();
        if let Some(Shelved { found, .. }) = self.shelf.take(key) {
            arrivals::remove(self.shared, &mut self.folders, &found, &mut out);
        }
        out
    }

    /// Appends what is behind the item: the head, the tokens, the sum. `flush` may take what is there.
    pub(crate) fn put(
        &mut self,
        content: Content,
        out: &mut Vec<u8>,
        outcome: &mut Outcome,
        flush: &mut Flush<'_>,
    ) -> Result<(), Stop> {
        let head = content.wanted.head;
        head.write(out);
        let mut sum = FileSum::new(self.terms.transfer);
        let mut tokens = match self.tokens.take() {
            Some(tokens) => tokens,
            None => TokenWriter::new(self.terms.compress).map_err(engine)?,
        };
        tokens.begin(head).map_err(engine)?;
        let mut to = To { tokens: &mut tokens, out, flush };
        let sent = match &content.wanted.sums {
            Some(_) => self.search(&content, &mut sum, &mut to),
            None => self.read(&content, &mut sum, &mut to),
        };
        let whole = match sent {
            Ok(stats) => {
                count(outcome, &stats);
                true
            }
            Err(Failure::Stop(stop)) => return Err(stop),
            Err(Failure::Delta(forebay_delta::Error::Cancelled)) => return Err(Error::Cancelled.into()),
            // The receiving side throws away what does not have its sum.
            Err(Failure::Delta(forebay_delta::Error::Read { file: Role::New, source, .. })) => {
                let errno = Errno::from_io_error(&source).unwrap_or(Errno::IO);
                self.unmapped(outcome, &content.path, errno);
                false
            }
            Err(Failure::Delta(forebay_delta::Error::Short { .. })) => {
                self.unmapped(outcome, &content.path, Errno::NODATA);
                false
            }
            Err(Failure::Delta(error)) => return Err(Error::Engine(error.to_string()).into()),
        };
        tokens.end(out).map_err(engine)?;
        self.tokens = Some(tokens);
        out.put(&if whole { sum.finish() } else { sum.spoilt() });
        Ok(())
    }

    /// The file as blocks of the basis and what is between them.
    fn search(&self, content: &Content, sum: &mut FileSum, to: &mut To<'_>) -> Result<Stats, Failure> {
        let Some(sums) = &content.wanted.sums else { return Ok(Stats::default()) };
        let options = Options { in_place: content.in_place };
        let new = Input::File(&content.file, content.len);
        search_reading(
            sums,
            new,
            options,
            &self.settings,
            |bytes| sum.update(bytes),
            |token| {
                let len = token.len();
                to.tokens.apply(token, to.out).map_err(|error| Failure::Stop(engine(error)))?;
                (to.flush)(to.out, len).map_err(Failure::Stop)
            },
        )
    }

    /// The file, or what is behind its beginning where that is there.
    fn read(&mut self, content: &Content, sum: &mut FileSum, to: &mut To<'_>) -> Result<Stats, Failure> {
        let there = content.there();
        let verify = self.shared.options.append == Some(Append::Verify);
        let mut at = if verify { 0 } else { there };
        (to.flush)(to.out, at).map_err(Failure::Stop)?;
        self.buffer.resize(PIECE, 0);
        while at < content.len {
            let end = if at < there { there } else { content.len };
            let most = usize::try_from(end - at).unwrap_or(usize::MAX).min(PIECE);
            let in_place = at >= there && to.tokens.is_plain();
            let read = |buffer: &mut [u8]| ReadAt::read_at(&content.file, buffer, at);
            let read = if in_place {
                to.tokens.literal_in_place(most, to.out, read)
            } else {
                read(self.buffer.get_mut(..most).unwrap_or_default())
            };
            let n = match read {
                Ok(0) => {
                    return Err(Failure::Delta(forebay_delta::Error::Short { file: Role::New, offset: at }));
                }
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(Failure::Delta(forebay_delta::Error::Read { file: Role::New, offset: at, source }));
                }
            };
            if in_place {
                sum.update(to.out.get(to.out.len().saturating_sub(n)..).unwrap_or_default());
            } else {
                let bytes = self.buffer.get(..n).unwrap_or_default();
                sum.update(bytes);
                if at >= there {
                    to.tokens.literal(bytes, to.out).map_err(|error| Failure::Stop(engine(error)))?;
                }
            }
            (to.flush)(to.out, n as u64).map_err(Failure::Stop)?;
            at += n as u64;
        }
        // As with rsync, what is not sent because it is there is no match.
        Ok(Stats { literal: content.len - there, ..Stats::default() })
    }
}

/// May take what is there of an answer, and hears how many bytes of the file more that stands for.
pub(super) type Flush<'f> = dyn FnMut(&mut Vec<u8>, u64) -> Result<(), Stop> + 'f;

/// Where tokens go.
struct To<'t> {
    tokens: &'t mut TokenWriter,
    out: &'t mut Vec<u8>,
    flush: &'t mut Flush<'t>,
}

/// Why a file is not sent to its end.
enum Failure {
    Delta(forebay_delta::Error),
    Stop(Stop),
}

impl From<forebay_delta::Error> for Failure {
    fn from(error: forebay_delta::Error) -> Self {
        Failure::Delta(error)
    }
}

fn engine(error: io::Error) -> Stop {
    Error::Engine(error.to_string()).into()
}

/// Counts what is asked for, a file of `len` bytes if its content is.
fn count_request(request: &Request, len: u64, out: &mut Outcome) {
    if request.flags & flag::NEW != 0 {
        out.totals.count_created(request.found.stat.kinds());
    }
    if request.flags & flag::TRANSFER != 0 {
        out.totals.transferred += 1;
        out.totals.transferred_bytes += len;
    }
}

fn count(outcome: &mut Outcome, stats: &Stats) {
    let totals = &mut outcome.totals;
    totals.literal_bytes += stats.literal;
    totals.matched_bytes += stats.matched;
    totals.matches += stats.matches;
    // What a guess has found is no less a block, and its weak sum is that of one.
    totals.hash_hits += stats.matches + stats.false_alarms;
    totals.false_alarms += stats.false_alarms;
    if stats.workers > 0 {
        totals.deltas += 1;
        totals.delta_workers += stats.workers;
    }
}
