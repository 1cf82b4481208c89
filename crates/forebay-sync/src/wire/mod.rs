//! rsync's wire protocol, versions 30 to 32.
//!
//! Bytes from the other side are read here and nowhere else; every count, length and index in them is held against a bound
//! in [`limits`] before anything is allocated or looked up by it.
#![allow(dead_code, unused_imports, reason = "the parts of the protocol come before what uses them")]

mod error;
mod handshake;
mod limits;
mod list;
mod mux;
mod number;
#[doc(hidden)]
pub mod probe;
mod receiver;
mod sender;
mod sums;
mod terms;
mod token;

pub(crate) use receiver::{Basis, Notice, Notices, Remote};
