//! The sending role: what is listed and what is asked for goes to the other side.
//!
//! ```text
//!  Walk ──► workers: stat, links, sums, attributes ──► in order: entries ──► receiving side
//!  requests ──► workers: open, search, compress ──► in order: answers ──► receiving side
//! ```
//!
//! Requests are answered in the order in which they come. Nothing is read ahead of what the memory budget allows, or the spill
//! store where there is one, and who reads requests waits for nothing but that.
//!
//! In incremental recursion each directory has a list of its own. Lists go between answers, depth first, not far ahead of what
//! is asked for ([`lists`]).

mod answer;
mod arrivals;
mod beneath;
mod bodies;
mod entries;
mod lines;
mod lists;
mod live;
mod pace;
mod patience;
mod request;
mod role;
mod steps;
mod stream;
mod telling;
#[cfg(test)]
mod tests;

pub(crate) use arrivals::Arrivals;
#[cfg(test)]
pub(crate) use role::End;
pub(crate) use role::{Link, may_be_incremental, run};
