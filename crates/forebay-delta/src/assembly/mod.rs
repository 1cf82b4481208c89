//! `Assembly`: many new files that are put together side by side from chunks in any order.
//!
//! ```text
//!  any thread: submit(file, 1, chunk) ─┐                      ┌─ file a: 0 1 2 … in order ─► Target ─► done
//!  any thread: submit(file, 0, chunk) ─┼─► workers: check ────┼─ file b: 0 1 …
//!  any thread: finish(file, chunks)   ─┘   in any order       └─ …
//! ```
//!
//! # What holds
//! * The chunks of a file are applied in the order of their numbers, by one thread at a time; different files, and the checks
//!   of all chunks, by several.
//! * What is to be done at the end of a file runs once, when all its chunks are applied, and nothing of the file comes after
//!   it: commit belongs there.
//! * A chunk that is wrong, or cannot be applied, ends its file and no other: its later chunks are dropped, and the end is told
//!   why.
//! * Chunks hold at most a quarter of the budget, which is set aside for them, and those on their way at most 2 MiB, but for
//!   those that mostly copy: they would keep a worker busy for long, and the others without work. Who brings
//!   more waits, for other chunks to be applied and for nothing else. What cannot be applied because earlier chunks have not
//!   come is refused before it fills that memory, so nobody waits for himself. A single chunk that is larger than all of it is
//!   taken when nothing else is on its way.
//!
//! # Who does the work
//! Threads cost more than they bring for a few small files, so at first whoever brings a chunk applies it. When a hundred files
//! or 64 MiB have come, workers are started ([`Strategy`]); [`AssemblyStats`] says what happened.
//!
//! ```
//! use forebay_delta::{Assembled, Chunk, Patch, Settings, Strategy, Token, assemble};
//!
//! let basis = b"the old text".to_vec();
//! let (send, receive) = std::sync::mpsc::channel();
//! let assembled = assemble(&Settings::default(), Strategy::Parallel, |assembly| {
//!     assembly.open("file", 12, Patch::new(&basis, Vec::new()))?;
//!     let (mut first, mut second) = (Chunk::new(), Chunk::new());
//!     first.push(Token::Copy { offset: 0, len: 4 });
//!     second.push(Token::Literal { offset: 4, bytes: b"new" });
//!     second.push(Token::Copy { offset: 7, len: 5 });
//!     // From any thread, in any order.
//!     assembly.submit(&"file", 1, second)?;
//!     assembly.submit(&"file", 0, first)?;
//!     assembly.finish(&"file", 2, move |patch, result| send.send((patch.into_new(), result.is_ok())).unwrap())
//! })?;
//! assert_eq!(assembled.value, Ok(()));
//! assert_eq!(receive.recv()?, (b"the new text".to_vec(), true));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod chunk;
mod error;
mod file;
mod shared;
mod state;
mod stats;

use std::fmt;
use std::hash::Hash;
use std::io::Write;
use std::thread;

use crate::error::Error;
use crate::input::ReadAt;
use crate::patch::Patch;
use crate::settings::Settings;
use crate::token::Token;

use self::shared::{Closing, Shared};

pub use self::chunk::Chunk;
pub use self::error::AssemblyError;
pub use self::stats::{AssemblyStats, Strategy};

/// What is to be done with a file when all of it is applied, or when it has failed.
type Done<'d, T> = Box<dyn FnOnce(T, Result<(), <T as Target>::Error>) + Send + 'd>;

/// A new file that takes tokens in order, with the basis that they copy from. [`Patch`] is one.
pub trait Target: Send {
    /// Why a token could not be applied.
    type Error: From<Error> + Send;

    /// Appends the bytes that `token` stands for.
    ///
    /// # Errors
    /// What the basis or the new file says. The file is given up then.
    fn apply(&mut self, token: Token<'_>) -> Result<(), Self::Error>;

    /// Files of one group get in each other's way, as those in one directory do: they are written by one worker, as long as
    /// the others have something else to do. Asked of those that come [whole](Assembly::whole). By default, of none.
    fn group(&self) -> Option<usize> {
        None
    }
}

impl<B: ReadAt + Send, W: Write + Send> Target for Patch<B, W> {
    type Error = Error;

    fn apply(&mut self, token: Token<'_>) -> Result<(), Error> {
        Patch::apply(self, token)
    }
}

/// What [`assemble`] leaves.
#[derive(Debug)]
pub struct Assembled<K, T, R> {
    /// What the body has returned.
    pub value: R,
    /// Files that were begun and whose end was never told, with what came in order applied.
    pub left: Vec<(K, T)>,
    /// What was done.
    pub stats: AssemblyStats,
}

/// Files that are being put together; see the module. Any thread that `body` of [`assemble`] starts may use it.
pub struct Assembly<'a, 'd, K, T: Target> {
    shared: &'a Shared<'d, K, T>,
    /// Starts a worker, if that is possible.
    start: &'a (dyn Fn() -> bool + Sync),
}

impl<K, T: Target> fmt::Debug for Assembly<'_, '_, K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assembly").field("stats", &self.shared.stats()).finish_non_exhaustive()
    }
}

/// Runs `body` with an assembly, and waits until everything that was brought is applied and the ends of all finished files are
/// done. Files are told apart by keys of the type `K`.
///
/// # Errors
/// [`Error::Memory`] if a quarter of the budget cannot be set aside.
///
/// # Panics
/// If a target, or what was to be done at an end, has panicked.
pub fn assemble<'d, K, T, R>(
    settings: &Settings,
    strategy: Strategy,
    body: impl FnOnce(&Assembly<'_, 'd, K, T>) -> R,
) -> Result<Assembled<K, T, R>, Error>
where
    K: Clone + Eq + Hash + Send,
    T: Target,
{
    let shared = Shared::new(settings, strategy)?;
    let value = thread::scope(|scope| {
        let _closing = Closing(&shared);
        let start =
            || thread::Builder::new().name("assemble".to_owned()).spawn_scoped(scope, || shared.serve()).is_ok();
        let value = body(&Assembly { shared: &shared, start: &start });
        shared.settle();
        value
    });
    let (left, stats) = shared.into_rest();
    Ok(Assembled { value, left, stats })
}

impl<'d, K: Clone + Eq + Hash + Send, T: Target> Assembly<'_, 'd, K, T> {
    /// Begins a file whose tokens copy from a basis of `basis_len` bytes, 0 if it has none. A key can be used again when
    /// what was to be done at the end of its file has begun.
    ///
    /// # Errors
    /// [`AssemblyError::Known`]; [`AssemblyError::Panicked`].
    pub fn open(&self, file: K, basis_len: u64, target: T) -> Result<(), AssemblyError<K>> {
        self.shared.open(file, basis_len, target)
    }

    /// An empty chunk to be filled, with the memory of one that was applied if there is such.
    pub fn chunk(&self) -> Chunk {
        self.shared.chunk()
    }

    /// Says whether more chunks follow at once. While they do, workers are woken for several at a time, because waking a
    /// thread costs more than writing a small file; when they do not, for what has been brought. At first: they do not.
    pub fn more_follows(&self, more: bool) {
        self.shared.more_follows(more);
    }

    /// Brings the chunk of that number, counted from 0. Waits while the memory is full.
    ///
    /// # Errors
    /// All but [`AssemblyError::Known`], [`AssemblyError::Ended`] and [`AssemblyError::Missing`]. That the chunk is damaged,
    /// or cannot be applied, is told at the end of the file.
    pub fn submit(&self, file: &K, number: u64, chunk: Chunk) -> Result<(), AssemblyError<K>> {
        self.shared.submit(file, number, chunk, self.start)
    }

    /// Tells that the file has so many chunks, all of which were brought. `done` is called when they are applied, on
    /// whatever thread, and must not bring chunks itself; with an error, nothing was applied behind what failed.
    ///
    /// # Errors
    /// [`AssemblyError::Unknown`], [`AssemblyError::Ended`], [`AssemblyError::Missing`], [`AssemblyError::Beyond`] if more
    /// chunks came; [`AssemblyError::Panicked`].
    pub fn finish(
        &self,
        file: &K,
        chunks: u64,
        done: impl FnOnce(T, Result<(), T::Error>) + Send + 'd,
    ) -> Result<(), AssemblyError<K>> {
        self.shared.finish(file, chunks, Box::new(done))
    }

    /// Brings a file of a single chunk, in one call instead of those to [`open`](Assembly::open), [`submit`](Assembly::submit)
    /// and [`finish`](Assembly::finish): small files cost much less this way. Waits while the memory is full.
    ///
    /// # Errors
    /// [`AssemblyError::Known`]; [`AssemblyError::Panicked`].
    pub fn whole(
        &self,
        file: K,
        basis_len: u64,
        target: T,
        chunk: Chunk,
        done: impl FnOnce(T, Result<(), T::Error>) + Send + 'd,
    ) -> Result<(), AssemblyError<K>> {
        self.shared.whole((file, basis_len, target), chunk, Box::new(done), self.start)
    }

    /// Waits until all chunks that can be applied are, and all files that were finished are done. Not to be called by what is
    /// done at an end.
    pub fn settle(&self) {
        self.shared.settle();
    }

    /// What was done so far.
    pub fn stats(&self) -> AssemblyStats {
        self.shared.stats()
    }
}
