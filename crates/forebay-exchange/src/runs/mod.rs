//! Sorted runs: how rows wait, in memory or on disk, and how they come together again.
//!
//! ```text
//!   Run        sorted, consolidated rows in blocks: in memory, or pages of the spill store
//!   RunWriter  makes a run of blocks that come in order
//!   Cursor     reads runs as one: a merge
//!   seal       what one worker has of one commit, ready for its last merge: Sealed
//!   Levels     what a worker keeps from commit to commit, in levelled runs
//!   Merger     the thread on which all this happens
//! ```
//!
//! # Memory
//! Blocks in memory are paid for by a lease of their run, blocks on their way to disk by one of their page. Reading a
//! spilled run takes two blocks: the one that is read, and the next, which the spill thread reads ahead.
//!
//! # Failure
//! A block that cannot be written stays where it is and can be read: nothing is lost, and nobody is told, but memory
//! is not given back either. A block that cannot be read back is an error that names the file.

mod cursor;
mod group;
mod levels;
mod merger;
mod run;
mod sealed;
mod search;
mod spots;
mod writer;

pub use cursor::Cursor;
pub use group::{Change, Group};
pub use levels::Levels;
pub use merger::Merger;
pub use run::Run;
pub use sealed::{Sealed, seal};
pub use writer::RunWriter;
