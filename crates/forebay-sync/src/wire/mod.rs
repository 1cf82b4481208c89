//! rsync's wire protocol, versions 30 to 32.
//!
//! Bytes from the other side are read here and nowhere else; every count, length and index in them is held against a bound
//! in [`limits`] before anything is allocated or looked up by it.

mod command;
mod error;
mod handshake;
mod limits;
mod list;
mod mux;
mod names;
mod number;
mod passage;
#[doc(hidden)]
pub mod probe;
mod receiver;
mod rules;
mod say;
mod secluded;
mod sender;
mod session;
mod shell;
#[cfg(test)]
mod stock;
mod sums;
mod terms;
mod token;
mod topics;

pub use handshake::{Compression, Offer};
pub(crate) use list::{NO_ACL, keep_acl, kept_acl};
pub(crate) use receiver::{Basis, Notice, Notices, Remote, Told};
pub use secluded::secluded_args;
pub use session::{Connection, Served, pull, push, serve};
pub use shell::{RemotePath, RemoteShell};
pub(crate) use sums::FileSum;
pub use terms::{Checksum, Compressor};
