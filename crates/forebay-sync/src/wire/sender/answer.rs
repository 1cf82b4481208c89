//! Answers to requests: what a file holds, as blocks that the receiving side has and bytes that it has not.

use std::fs::File;
use std::io;

use forebay::Weigh;
use forebay_delta::{Input, Options, ReadAt, Role, Settings, Stats, search_reading};
use rustix::fs::FileType;
use rustix::io::Errno;

use super::arrivals;
use super::beneath::Folders;
use super::entries::PIECE;
use super::lines;
use super::live::{Found, Live};
use super::request::{Job, Request, Wanted};
use crate::error::Error;
use crate::extended::{Origin, Place};
use crate::fs::Stat;
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

/// What is sent for one job.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Everything that follows the number of the entry.
    Whole(Outcome, i32, Vec<u8>),
    /// The same, without the content of the file, which is read when it is its turn.
    Large(Outcome, i32, Vec<u8>, Box<Content>),
    /// There is none: the file cannot be read.
    NoSend(Outcome, i32),
    /// The entry has arrived, and may go from the source when all before it is sent.
    Arrived(i32),
    /// A phase has ended.
    Done,
}

impl Weigh for Answer {
    fn weight(&self) -> usize {
        size_of::<Self>()
            + match self {
                Answer::Whole(outcome, _, body) => outcome.weight() + body.capacity(),
                Answer::Large(outcome, _, body, _) => outcome.weight() + body.capacity() + size_of::<Content>(),
                Answer::NoSend(outcome, _) => outcome.weight(),
                Answer::Arrived(_) | Answer::Done => 0,
            }
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
    live: &'a Live,
    /// This side has been started by the other one, which says what there is to say.
    server: bool,
    settings: Settings,
    tokens: Option<TokenWriter>,
    buffer: Vec<u8>,
    folders: Folders,
}

impl<'a> Answerer<'a> {
    /// Long files are searched by `workers` threads.
    pub(crate) fn new(shared: &'a Shared<'a>, terms: &'a Terms, live: &'a Live, server: bool, workers: usize) -> Self {
        let options = shared.options;
        let settings = Settings { workers, budget: options.budget.clone(), cancel: options.cancel.clone() };
        Answerer { shared, terms, live, server, settings, tokens: None, buffer: Vec::new(), folders: <_>::default() }
    }

    pub(crate) fn answer(&mut self, job: Job) -> Result<Answer, Stop> {
        let mut request = match job {
            Job::Answer(request) => request,
            Job::Arrived(index) => return Ok(Answer::Arrived(index)),
            Job::Done => return Ok(Answer::Done),
        };
        let index = request.index;
        let mut out = Outcome::default();
        // What is not in the list has been refused when the request was read.
        let Some(found) = self.live.get(index) else { return Ok(Answer::NoSend(out, index)) };
        let wanted = request.content.take();
        let content = match wanted.map(|wanted| self.open(&request, &found, wanted)).transpose() {
            Ok(content) => content,
            Err(errno) => {
                if errno == Errno::NOENT {
                    self.shared.vanished(&mut out, "file", &found.path());
                } else {
                    self.shared.fail(&mut out, "[sender] send_files failed to open", &found.path(), errno);
                }
                return Ok(Answer::NoSend(out, index));
            }
        };
        if request.flags & flag::NEW != 0 {
            out.totals.count_created(found.stat.kinds());
        }
        if request.flags & flag::TRANSFER != 0 {
            out.totals.transferred += 1;
            out.totals.transferred_bytes += content.as_ref().map_or(found.stat.size, |content| content.len);
        }
        if !self.server {
            lines::say(self.shared, &mut self.folders, &request, &found, &mut out);
        }
        let mut body = Vec::new();
        let flags = request.flags & !(flag::BASIS_FOLLOWS | flag::NAME_FOLLOWS);
        Item { flags, basis: request.basis, name: request.name.as_deref() }.write(&mut body);
        if let Some(numbers) = &request.values {
            self.put_values(&found, numbers, &mut body);
        }
        match content {
            None => Ok(Answer::Whole(out, index, body)),
            Some(content) if content.len > LARGE => Ok(Answer::Large(out, index, body, Box::new(content))),
            Some(content) => {
                self.put(content, &mut body, &mut out, &mut |_| Ok(()))?;
                Ok(Answer::Whole(out, index, body))
            }
        }
    }

    /// Opens the file that is asked for.
    fn open(&mut self, request: &Request, found: &Found<'_>, wanted: Wanted) -> Result<Content, Errno> {
        let options = self.shared.options;
        let source = self.folders.open(self.shared, found.folder)?;
        let fd = source.open(found.name, found.follow, options.open_noatime)?;
        let stat = Stat::from(rustix::fs::fstat(&fd)?);
        if stat.kind != FileType::RegularFile {
            return Err(Errno::INVAL);
        }
        let own = request.basis.is_none_or(|from| from == basis::ITSELF);
        let in_place = own && options.writes_in_place();
        Ok(Content { file: File::from(fd), len: stat.size, wanted, in_place, path: found.path() })
    }

    /// Appends the values of the attributes that are asked for: of each, its number less the one before, and its length.
    fn put_values(&mut self, found: &Found<'_>, numbers: &[u32], out: &mut Vec<u8>) {
        let shared = self.shared;
        let source = self.folders.open(shared, found.folder);
        let place = source.and_then(|source| Place::source(source, found.name, found.follow));
        let attributes = place.and_then(|place| Origin::Here(place).read(shared)).unwrap_or_default();
        let own: Vec<_> = attributes.iter().filter(|(name, _)| !is_acl(name)).collect();
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

    /// Removes from the source what has arrived there.
    pub(crate) fn remove(&mut self, index: i32) -> Outcome {
        let mut out = Outcome::default();
        if let Some(found) = self.live.get(index) {
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
        flush: &mut dyn FnMut(&mut Vec<u8>) -> Result<(), Stop>,
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
                self.shared.fail(outcome, "[sender] read errors mapping", &content.path, errno);
                false
            }
            Err(Failure::Delta(forebay_delta::Error::Short { .. })) => {
                self.shared.fail(outcome, "[sender] read errors mapping", &content.path, Errno::NODATA);
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
                to.tokens.apply(token, to.out).map_err(|error| Failure::Stop(engine(error)))?;
                (to.flush)(to.out).map_err(Failure::Stop)
            },
        )
    }

    /// The file, or what is behind its beginning where that is there.
    fn read(&mut self, content: &Content, sum: &mut FileSum, to: &mut To<'_>) -> Result<Stats, Failure> {
        let there = if content.wanted.append { content.wanted.head.basis_len().min(content.len) } else { 0 };
        let verify = self.shared.options.append == Some(Append::Verify);
        let mut at = if verify { 0 } else { there };
        self.buffer.resize(PIECE, 0);
        while at < content.len {
            let end = if at < there { there } else { content.len };
            let most = usize::try_from(end - at).unwrap_or(usize::MAX).min(PIECE);
            let buffer = self.buffer.get_mut(..most).unwrap_or_default();
            let n = match ReadAt::read_at(&content.file, buffer, at) {
                Ok(0) => {
                    return Err(Failure::Delta(forebay_delta::Error::Short { file: Role::New, offset: at }));
                }
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(Failure::Delta(forebay_delta::Error::Read { file: Role::New, offset: at, source }));
                }
            };
            let bytes = buffer.get(..n).unwrap_or_default();
            sum.update(bytes);
            if at >= there {
                to.tokens.literal(bytes, to.out).map_err(|error| Failure::Stop(engine(error)))?;
                (to.flush)(to.out).map_err(Failure::Stop)?;
            }
            at += n as u64;
        }
        Ok(Stats { literal: content.len - there, matched: there, ..Stats::default() })
    }
}

/// Where tokens go.
struct To<'t> {
    tokens: &'t mut TokenWriter,
    out: &'t mut Vec<u8>,
    flush: &'t mut dyn FnMut(&mut Vec<u8>) -> Result<(), Stop>,
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

fn count(outcome: &mut Outcome, stats: &Stats) {
    let totals = &mut outcome.totals;
    totals.literal_bytes += stats.literal;
    totals.matched_bytes += stats.matched;
    totals.matches += stats.matches;
    totals.hash_hits += stats.hash_hits;
    totals.false_alarms += stats.false_alarms;
    if stats.workers > 0 {
        totals.deltas += 1;
        totals.delta_workers += stats.workers;
    }
}
