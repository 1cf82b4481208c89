//! What the tables share: runs that alternate, what a run costs, and a table of it.
//!
//! Every figure is judged against another one of the same run: the variants of a table take turns,
//! in an order that rotates from round to round, so that a machine that becomes slower meanwhile
//! is slower for all of them. A ratio is the median of the rounds' own ratios.

pub mod apart;
pub mod contest;
pub mod differential;
pub mod family;
pub mod files;
pub mod frames;
pub mod harness;
pub mod items;
pub mod keyed;
pub mod ring;
