//! The sending role: what is listed and what is asked for goes to the other side.
//!
//! ```text
//!  Walk ──► workers: stat, links, sums, attributes ──► in order: entries ──► receiving side
//!  requests ──► workers: open, search, compress ──► in order: answers ──► receiving side
//! ```
//!
//! Requests are answered in the order in which they come. Nothing is read ahead of what the memory budget allows, and who
//! reads requests waits for nothing but that.

mod answer;
mod arrivals;
mod beneath;
mod entries;
mod lines;
mod live;
mod request;
mod role;
#[cfg(test)]
mod tests;

pub(crate) use arrivals::Arrivals;
#[cfg(test)]
pub(crate) use role::End;
pub(crate) use role::{Link, run};
