//! Writes a file from what comes for it: tokens, and the sum of the whole.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::Arc;

use super::ledger::{Again, Expected};
use super::request;
use crate::content::building::Building;
use crate::content::copy::Failure;
use crate::error::Error;
use crate::fs::{self, Stat};
use crate::hardlinks::Link;
use crate::outcome::Outcome;
use crate::target::{Ready, Target};
use crate::wire::error::WireError;
use crate::wire::sums::{FileSum, SumHead};
use crate::wire::token::{Piece, TokenReader};
use crate::worker::{Entry, Worker};

/// Why no more answers are taken.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The other side, or the way to it.
    Wire(WireError),
    /// This side.
    Here(Error),
}

impl Stop {
    /// Whether it only says that something else has ended the session.
    pub(crate) fn is_cancellation(&self) -> bool {
        matches!(self, Stop::Here(Error::Cancelled))
    }
}

impl From<WireError> for Stop {
    fn from(error: WireError) -> Self {
        Stop::Wire(error)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Here(error)
    }
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    /// It is to be asked for once more.
    Again,
    Failed,
}

/// Takes answers, one after the other.
#[derive(Debug)]
pub(crate) struct Answers<'a> {
    pub(crate) worker: Worker<'a>,
    pub(crate) tokens: TokenReader,
    literal: Vec<u8>,
    buffer: Vec<u8>,
}

impl<'a> Answers<'a> {
    pub(crate) fn new(worker: Worker<'a>, tokens: TokenReader) -> Self {
        Answers { worker, tokens, literal: Vec::new(), buffer: Vec::new() }
    }

    /// Takes the content of the file `expected`, whose number is `index`.
    pub(crate) fn file<R: Read>(
        &mut self,
        from: &mut R,
        index: i32,
        expected: Expected,
        out: &mut Outcome,
    ) -> Result<(), Stop> {
        let shared = self.worker.shared;
        let Some(remote) = &shared.remote else { return Ok(()) };
        let head = SumHead::read(from, remote.terms.transfer.len())?;
        if head != expected.head {
            return Err(WireError::protocol("other blocks than those that were asked for", index).into());
        }
        self.tokens.begin(head);
        let entry = Entry::expected(shared, &expected.dir, expected.at, expected.old);
        let verdict = match (&entry, expected.dir.target.get()) {
            (Some(entry), Some(Target::Ready(ready))) => self.write(from, entry, ready, &expected, out)?,
            _ => {
                self.drain(from)?;
                Verdict::Failed
            }
        };
        if verdict != Verdict::Again && shared.options.hard_links {
            let made = entry.filter(|_| verdict == Verdict::Good).and_then(|entry| made(&entry));
            self.worker.settle(&expected.dir, expected.at, made, out)?;
        }
        self.worker.let_go(expected.dir, out);
        remote.ledger.close(index);
        Ok(())
    }

    /// Reads the tokens, and writes what they say.
    fn write<R: Read>(
        &mut self,
        from: &mut R,
        entry: &Entry<'_>,
        ready: &Ready,
        expected: &Expected,
        out: &mut Outcome,
    ) -> Result<Verdict, Stop> {
        let Answers { worker, tokens, literal, buffer } = self;
        let shared = worker.shared;
        let Some(remote) = &shared.remote else { return Ok(Verdict::Failed) };
        let basis = request::open(shared, worker, entry, ready.fd.as_fd(), &expected.basis).map(File::from);
        let old = entry.old_of_kind();
        let in_place = shared.options.writes_in_place();
        let Some(open) = worker.open_draft(entry, ready, old.as_ref(), in_place, out) else {
            self.drain(from)?;
            return Ok(Verdict::Failed);
        };
        let mut sum = FileSum::new(remote.terms.transfer);
        let mut building = Building::new(&worker.copier, &open, basis.as_ref().map(AsFd::as_fd), expected.from);
        let mut failure = None;
        if expected.from > 0 && expected.verify {
            failure = add_old(ready, entry, expected.from, buffer, &mut sum).err();
        }
        let history = basis.as_ref().filter(|_| tokens.needs_basis());
        loop {
            literal.clear();
            match tokens.next(from, literal)? {
                Piece::End => break,
                _ if failure.is_some() => {}
                Piece::Literal => {
                    sum.update(literal);
                    failure = building.write(literal).err();
                    out.totals.literal_bytes += literal.len() as u64;
                }
                Piece::Copy { block, count } => {
                    let (offset, len) = expected.head.bytes(block, count).unwrap_or_default();
                    if let Some(history) = history {
                        // What cannot be read now cannot be read below either, which is then said.
                        let _ = tokens.copied(block, count, history);
                    }
                    failure = building.copy(offset, len, buffer, |bytes| sum.update(bytes)).err();
                    out.totals.matched_bytes += len;
                    out.totals.matches += u64::from(count);
                }
            }
            if shared.options.cancel.is_cancelled() {
                return Err(Error::Cancelled.into());
            }
        }
        let theirs = FileSum::read(from, remote.terms.transfer)?;
        let failure = failure.or_else(|| building.end().err());
        let done = building.len();
        match failure {
            Some(Failure::Write(errno)) => {
                let path = shared.target_path(&entry.dir.rel, entry.target.to_bytes());
                let mut line = b"rsync: [receiver] write failed on \"".to_vec();
                shared.options.escape.push(&mut line, &path);
                line.extend_from_slice(format!("\": {}", fs::describe(errno)).as_bytes());
                worker.keep_partial(entry, ready, open.draft, done, out);
                return Err(Error::Io(String::from_utf8_lossy(&line).into_owned()).into());
            }
            Some(Failure::Cancelled) => return Err(Error::Cancelled.into()),
            _ => {}
        }
        if failure.is_none() && sum.finish() == theirs {
            if let Err(Failure::Write(errno)) = worker.settle_draft(&open) {
                let path = shared.target_path(&entry.dir.rel, entry.target.to_bytes());
                shared.fail(out, "[receiver] fsync", &path, errno);
                return Ok(Verdict::Failed);
            }
            let failed = out.totals.failed;
            worker.close_draft(entry, ready, open, old.as_ref(), out);
            return Ok(if out.totals.failed == failed { Verdict::Good } else { Verdict::Failed });
        }
        worker.keep_partial(entry, ready, open.draft, done, out);
        Ok(self.wrong(entry, expected, out))
    }

    /// What came was not what the other side has.
    fn wrong(&self, entry: &Entry<'_>, expected: &Expected, out: &mut Outcome) -> Verdict {
        let shared = self.worker.shared;
        let Some(remote) = &shared.remote else { return Verdict::Failed };
        let kept = match shared.options.partial || shared.options.writes_in_place() {
            true => "update retained",
            false => "update discarded",
        };
        if expected.again {
            out.totals.failed += 1;
            let after = format!(" failed verification -- {kept}.");
            shared.complain(out, "ERROR: ", &entry.rel(), &after);
            return Verdict::Failed;
        }
        if shared.options.says_changes() || remote.server {
            let after = format!(" failed verification -- {kept} (will try again).");
            shared.complain(out, "WARNING: ", &entry.rel(), &after);
        }
        remote.ledger.again(Again { dir: Arc::clone(&expected.dir), at: expected.at });
        Verdict::Again
    }

    /// Reads the tokens and the sum of a file that cannot be written.
    fn drain<R: Read>(&mut self, from: &mut R) -> Result<(), Stop> {
        let Some(remote) = &self.worker.shared.remote else { return Ok(()) };
        loop {
            self.literal.clear();
            if self.tokens.next(from, &mut self.literal)? == Piece::End {
                break;
            }
        }
        FileSum::read(from, remote.terms.transfer)?;
        Ok(())
    }
}

/// Where the file is now, for other names of it.
fn made(entry: &Entry<'_>) -> Option<Link> {
    let now = entry.ready.and_then(|ready| Stat::at(ready.fd.as_fd(), entry.target).ok())?;
    (now.kind == entry.src.kind).then(|| Link { path: entry.target_rel(), inode: now.inode() })
}

/// Adds the first `len` bytes of what is there to `sum`.
fn add_old(ready: &Ready, entry: &Entry<'_>, len: u64, buffer: &mut Vec<u8>, sum: &mut FileSum) -> Result<(), Failure> {
    let mut file = File::from(fs::open_file(ready.fd.as_fd(), entry.target).map_err(Failure::Read)?).take(len);
    buffer.resize(256 << 10, 0);
    loop {
        match file.read(buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => sum.update(buffer.get(..n).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(Failure::Read(rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO)));
            }
        }
    }
}
