//! The receiving role: the file list comes from the other side, and so does what files hold.

mod answer;
mod batch;
mod incoming;
mod item;
mod ledger;
mod notices;
mod reader;
mod remote;
mod request;
mod role;
mod run;
mod teller;
mod walk;
mod writing;

pub(crate) use ledger::Basis;
pub(crate) use notices::{Notice, Notices};
pub(crate) use remote::Remote;

#[cfg(test)]
mod tests;
