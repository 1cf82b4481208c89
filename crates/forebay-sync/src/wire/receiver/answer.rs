//! Reads what comes for a file: tokens, and the sum of the whole.
//!
//! The tokens are cut into chunks, which threads of the [assembly](forebay_delta::assemble) apply, each file in order. They hold
//! the sum against that of the other side, and give the file its attributes and its name.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

use forebay_delta::{Assembly, AssemblyError};

use super::ledger::{Again, Expected};
use super::request;
use super::writing::{Writers, Writing};
use crate::error::Error;
use crate::outcome::Outcome;
use crate::target::Target;
use crate::wire::error::WireError;
use crate::wire::mux::ReadAhead;
use crate::wire::say::Say;
use crate::wire::sums::{FileSum, SumHead};
use crate::wire::token::{Piece, TokenReader};
use crate::worker::Entry;

/// Bytes of literals in a chunk, from which on it goes.
const CHUNK: usize = 128 << 10;
/// Tokens in a chunk likewise.
const TOKENS: usize = 4096;

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
        matches!(self, Stop::Here(Error::Cancelled) | Stop::Wire(WireError::Ended))
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

impl From<AssemblyError<i32>> for Stop {
    fn from(error: AssemblyError<i32>) -> Self {
        Stop::Here(Error::Engine(error.to_string()))
    }
}

/// Takes answers, one after the other. What is said and told of a file goes to `deliver`, from any thread.
pub(crate) struct Answers<'a, 'd> {
    pub(crate) assembly: &'a Assembly<'a, 'd, i32, Writing<'d>>,
    pub(crate) writers: &'d Writers<'d>,
    pub(crate) tokens: TokenReader,
    /// What was said last of whether more is at hand.
    pub(crate) more: bool,
    pub(crate) deliver: &'d (dyn Fn(Outcome) -> Result<(), Error> + Sync),
    /// The way to the log itself.
    pub(crate) say: &'d Say,
    /// Who is told what is to be asked for again.
    pub(crate) again: &'d (dyn Fn(i32, Again) + Sync),
}

impl Answers<'_, '_> {
    /// Says whether there is more to do at once, or what has been brought is all for now.
    pub(crate) fn look_ahead<R: ReadAhead>(&mut self, from: &R) {
        let more = from.at_hand() > 0;
        if std::mem::replace(&mut self.more, more) != more {
            self.assembly.more_follows(more);
        }
    }

    /// Takes the content of the file `expected`, whose number is `index`, and gives the sum that the other side says it has. Its
    /// bytes are counted in `done`.
    pub(crate) fn file<R: ReadAhead>(
        &mut self,
        from: &mut R,
        index: i32,
        expected: Box<Expected>,
        done: Option<&AtomicU64>,
    ) -> Result<Vec<u8>, Stop> {
        let shared = self.writers.shared;
        let Some(remote) = &shared.remote else { return Ok(Vec::new()) };
        let head = SumHead::read(from, remote.terms.transfer.len())?;
        if head != expected.head {
            return Err(WireError::protocol("other blocks than those that were asked for", index).into());
        }
        let history = if self.tokens.needs_basis() { self.history(&expected) } else { None };
        self.tokens.begin(head);
        // Until it is clear that one chunk holds all of the file.
        let mut unopened = Some(Writing::new(self.writers, expected));
        let (mut chunk, mut tokens, mut chunks) = (self.assembly.chunk(), 0, 0);
        loop {
            self.look_ahead(from);
            let (before, mut copied) = (chunk.literal_len(), 0);
            match chunk.literal_with(|literal| self.tokens.next(from, literal))? {
                Piece::End => break,
                Piece::Literal => {}
                Piece::Copy { block, count } => {
                    // What cannot be read now makes the sum differ.
                    let _ = match &history {
                        Some(basis) => self.tokens.copied(block, count, basis),
                        None => self.tokens.copied(block, count, &Vec::new()),
                    };
                    if let Some(token) = head.copy(block, count) {
                        copied += token.len();
                        chunk.push(token);
                    }
                }
            }
            if let Some(done) = done {
                done.fetch_add(copied + (chunk.literal_len() - before) as u64, Ordering::Relaxed);
            }
            tokens += 1;
            if chunk.literal_len() >= CHUNK || tokens >= TOKENS {
                if let Some(writing) = unopened.take() {
                    self.assembly.open(index, head.basis_len(), writing)?;
                }
                let full = std::mem::replace(&mut chunk, self.assembly.chunk());
                self.assembly.submit(&index, chunks, full)?;
                (tokens, chunks) = (0, chunks + 1);
            }
            if shared.options.cancel.is_cancelled() {
                return Err(Error::Cancelled.into());
            }
        }
        let theirs = FileSum::read(from, remote.terms.transfer)?;
        let (deliver, again, sum) = (self.deliver, self.again, theirs.clone());
        let done = move |writing: Writing<'_>, result: Result<(), _>| {
            writing.finish(index, result.is_ok(), &theirs, deliver, again);
        };
        if let Some(writing) = unopened {
            self.assembly.whole(index, head.basis_len(), writing, chunk, done)?;
            return Ok(sum);
        }
        if !chunk.is_empty() {
            self.assembly.submit(&index, chunks, chunk)?;
            chunks += 1;
        }
        self.assembly.finish(&index, chunks, done)?;
        Ok(sum)
    }

    /// Opens the basis for a decompressor that has to remember what is copied from it.
    fn history(&self, expected: &Expected) -> Option<File> {
        let shared = self.writers.shared;
        let entry = Entry::expected(shared, &expected.dir, expected.at, expected.old)?;
        let Some(Target::Ready(ready)) = expected.dir.target.get() else { return None };
        self.writers
            .with(|worker| request::open(shared, worker, &entry, ready.fd.as_fd(), &expected.basis))
            .map(File::from)
    }
}
