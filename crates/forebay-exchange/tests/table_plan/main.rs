//! What `forebay aggregate` computes, against a model that goes row by row: batches through intakes, runs, blocks and
//! the finisher, without a dataflow between them.

#![cfg(feature = "table")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod aggregates;
mod changes;
mod errors;
mod keyed;
mod model;
mod pre_aggregation;
mod table;
