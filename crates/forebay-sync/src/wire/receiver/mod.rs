//! The receiving role: the file list comes from the other side, and so does what files hold.

mod answer;
mod batch;
mod incoming;
pub(crate) mod item;
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

pub(crate) use answer::Stop;
pub(crate) use ledger::Basis;
pub(crate) use notices::{Notice, Notices};
pub(crate) use remote::Remote;
pub(crate) use teller::{Message, Way};

#[cfg(test)]
mod tests;
