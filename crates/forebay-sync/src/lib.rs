//! Mirrors trees of files as rsync does, in parallel and in order, on the [`forebay`] engine.
//!
//! ```text
//!            one thread                      workers                          caller's thread
//!  Walk ── Item: a directory, ────► Worker: stat, compare, copy, ────► Log: lines, errors and counts,
//!          some of its names,       owner, mode, times, deletions      in rsync's order
//!          its end
//! ```
//!
//! The walk lists the sources in rsync's order and stats nothing that the file system's directory entries already
//! tell. Everything expensive happens on the workers, in any order; what they report is delivered in the order of
//! the walk. When nobody reads the log, reports spill and copying goes on.
//!
//! What holds whatever happens:
//!
//! * Content appears under its name only when it is complete: it is written to a temporary file in the same
//!   directory, which is then renamed. Only a directory in the way of something else is removed beforehand, and only
//!   who asks for it (`--inplace`, `--append`, `--partial`) finds unfinished content under a name. A file of the user's
//!   is never removed because writing failed.
//! * Inside a tree every name is one component, looked up beneath a held directory descriptor, and symbolic links are
//!   followed only in the source, where that is asked for, and with `-K` beneath the destination.
//! * What cannot be read or written is reported and counted, and the rest goes on. Only a failed write (full disk) and
//!   a log that cannot be written end the run.
//! * A directory's time, and a mode that would have kept us from writing, are set when everything beneath is done.
//!
//! ```
//! use std::io;
//! use forebay_sync::{Ahead, Log, Options, Totals, mirror};
//!
//! struct Print;
//!
//! impl Log for Print {
//!     fn text(&mut self, lines: &[u8]) -> io::Result<()> {
//!         io::Write::write_all(&mut io::stdout(), lines)
//!     }
//!     fn errors(&mut self, lines: &[u8]) {
//!         eprint!("{}", String::from_utf8_lossy(lines));
//!     }
//!     fn progress(&mut self, _: &Totals, _: &Ahead) -> io::Result<()> {
//!         Ok(())
//!     }
//! }
//!
//! # let temp = tempfile::tempdir()?;
//! # let (source, destination) = (temp.path().join("source"), temp.path().join("copy"));
//! # std::fs::create_dir(&source)?;
//! # std::fs::write(source.join("file"), "text")?;
//! let options = Options { recursive: true, times: true, itemize: true, ..Options::default() };
//! // Prints `created directory ...`, `cd+++++++++ source/` and `>f+++++++++ source/file`.
//! let report = mirror(options, &[source], destination.as_os_str(), &mut Print)?;
//! assert_eq!((report.exit_code(), report.totals.transferred), (0, 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A new small file takes nine system calls, an unchanged one two, a directory with nothing to do eight. Two
//! descriptors stay open for each directory on the way, until there are a quarter as many as there may be; what is further down
//! is opened again for each use.
//!
//! With [`Options::copy_as`] the calling thread and those that it starts are another user to the file system until the call
//! returns; the process's other threads are not.
//!
//! Between two machines ([`pull`], [`push`], [`serve`]) the same workers do the same to a list of files that came over a
//! connection, and content is asked for instead of copied; `wire` speaks rsync's protocol. Not here: daemons.
#![forbid(unsafe_code)]

mod above;
mod alternates;
mod asked;
mod attrs;
mod backup;
mod census;
mod chmod;
mod clock;
mod content;
mod credentials;
mod deep;
mod delayed;
mod delete;
mod dir;
mod doomed;
mod ending;
mod entry;
mod error;
mod extended;
mod fake;
mod filter;
mod format;
mod fs;
mod fuzzy;
mod given;
mod hardlinks;
mod idmap;
mod in_order;
mod item;
mod itemize;
mod json;
mod levels;
mod links;
mod list;
mod listing;
mod live;
mod member;
mod mirror;
mod mkpath;
mod modes;
mod number;
mod options;
mod order;
mod outcome;
mod passes;
mod places;
mod regular;
mod removal;
mod roots;
mod select;
mod sent;
mod shared;
mod target;
mod text;
mod totals;
mod walk;
mod wildmatch;
mod wire;
mod worker;

pub use chmod::{BadMode, ModeRules};
pub use clock::{local_date, local_now, local_seconds, local_time};
pub use credentials::Credentials;
pub use ending::ending;
pub use error::Error;
pub use filter::{FilterError, Filters, Rule, Side};
pub use format::Format;
pub use given::{append_named, open_named};
pub use idmap::{IdMap, Ids};
pub use levels::Levels;
pub use live::Copying;
pub use mirror::{Log, Peer, Report, mirror};
pub use number::human;
pub use options::{AlternateKind, Alternates, Append, Options, Reflink};
pub use select::{DeleteWhen, Deletion, Select};
pub use text::{Escape, as_logged};
pub use totals::{Ahead, Carried, Totals};
#[doc(hidden)]
pub use wire::probe;
pub use wire::{
    Checksum, Compression, Compressor, Connection, Offer, RemotePath, RemoteShell, Served, pull, push, secluded_args,
    serve,
};
