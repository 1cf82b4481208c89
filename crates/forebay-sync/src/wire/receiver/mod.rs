//! The receiving role: the file list comes from the other side, and so does what files hold.

mod answer;
mod asked;
mod batch;
pub(crate) mod item;
mod ledger;
mod list_walk;
mod lists;
mod notices;
mod reader;
mod remote;
mod request;
mod role;
mod run;
mod teller;
mod values;
mod walk;
mod writing;

pub(crate) use answer::Stop;
pub(crate) use asked::Asked;
pub(crate) use ledger::Basis;
pub(crate) use notices::{Notice, Notices};
pub(crate) use remote::{Remote, Told, behind, is_of_the_receivers};
pub(crate) use run::{Link, may_be_incremental, run};
pub(crate) use teller::{Mail, Mailbox, Message, Way};

#[cfg(test)]
mod tests;
