//! Rolling and strong checksums, signatures, block search and patching: how a new file is told in terms of an old one, in
//! parallel and in order, on the [`forebay`] engine.
//!
//! ```text
//!  basis ── ranges ──► workers: weak and strong sums ──► in order ──► Signature
//!                                                                        │ Table: weak sum -> blocks
//!  new ── segments ──► workers: guess, roll, confirm ──► in order ──► Stitch ──► tokens: copy | literal
//! ```
//!
//! ```
//! use forebay_delta::{Error, Format, Input, Options, Patch, Settings, Signature, search};
//!
//! let basis: Vec<u8> = (0..100_000u32).flat_map(u32::to_be_bytes).collect();
//! let mut new = basis.clone();
//! new.splice(5000..5010, *b"somewhat longer");
//!
//! let settings = Settings::default();
//! let signature = Signature::of(Input::bytes(&basis), &Format::local(basis.len() as u64), &settings)?;
//! let mut rebuilt = Vec::new();
//! let mut patch = Patch::new(&basis, &mut rebuilt);
//! let stats = search(&signature, Input::bytes(&new), Options::default(), &settings, |token| patch.apply(token))?;
//! assert!(rebuilt == new && stats.literal <= 715);
//! # Ok::<(), Error>(())
//! ```
//!
//! # What holds
//! * The tokens rebuild the new file as it was read: every byte is read once, and literals are what was searched.
//! * Tokens copy whole blocks; they depend on the files, the format and the segments, and not on the workers.
//! * Memory is leased from the budget: block sums and their table as long as they live (about 40 bytes a block), and what
//!   is read and waits for its turn. Beyond it go one segment and its block for each worker.
//! * No file makes a search quadratic: lookups compare with 1,024 blocks at most, and what is hashed in vain is at most
//!   16 times the file.
//!
//! # What it does not do
//! No names, no attributes, no wire, no check of whole files. Sums that are shorter than a digest may match by chance:
//! whoever uses them checks the result.
#![forbid(unsafe_code)]

/// The example of the crate's README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;

mod assembly;
mod block;
mod error;
mod hasher;
mod input;
pub mod librsync;
mod patch;
mod scan;
mod search;
mod settings;
mod signature;
mod stats;
mod stitch;
mod strong;
mod table;
mod token;
mod weak;

pub use assembly::{Assembled, Assembly, AssemblyError, AssemblyStats, Chunk, Strategy, Target, assemble};
pub use block::{MAX_BLOCK_LEN, block_len, strong_len};
pub use error::{Error, Malformed, Role};
pub use hasher::Hasher;
pub use input::{Input, ReadAt, Spares};
pub use patch::Patch;
pub use search::{Options, search, search_reading};
pub use settings::Settings;
pub use signature::{Format, Signature, Sums, sign};
pub use stats::Stats;
pub use strong::{MAX_DIGEST_LEN, Seed, Strong, StrongSum};
pub use token::Token;
pub use weak::Weak;
