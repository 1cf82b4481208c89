//! Keyed records from many workers reach the worker that owns the key while everybody goes on working. The only wait
//! is at a commit; queues and state stay inside one memory budget and spill beyond it. Built on timely dataflow.

#![forbid(unsafe_code)]

/// The example of the crate's README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod cluster;
mod error;
mod exchange;
mod execute;
mod failure;
mod field;
pub mod hooks;
mod memory;
mod metrics;
mod operators;
mod rows;
mod runs;
mod sort;
#[cfg(feature = "table")]
pub mod table;

pub use cluster::{Cluster, ClusterOptions, ClusterSnapshot};
pub use error::ExchangeError;
pub use exchange::{
    Convert, Exchange, ExchangeOptions, Gate, Intake, IntakeClosed, IntakeSender, OPEN_COMMITS, ShardAccumulate,
    intake, source,
};
pub use execute::{Runtime, execute};
pub use failure::Failure;
pub use field::{Field, Serde};
pub use memory::Memory;
pub use metrics::{ExchangeMonitor, ExchangeSnapshot, Times};
pub use operators::{
    Addend, Aggregates, Average, Avg, Count, Distinct, Max, Min, Outlet, Reduce, ReduceSealed, Sum, Total, Totals,
};
pub use rows::{BLOCK, Changes, Rows, Weight};
pub use runs::{Change, Cursor, Group, Levels, Merger, Run, RunWriter, Sealed, seal};
pub use sort::Inside;
