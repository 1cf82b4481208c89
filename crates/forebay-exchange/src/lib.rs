//! Keyed records from many workers reach the worker that owns the key while everybody goes on working. The only wait
//! is at a commit; queues and state stay inside one memory budget and spill beyond it. Built on timely dataflow.

#![forbid(unsafe_code)]

pub mod cluster;
mod error;
mod execute;
mod failure;
mod field;
mod memory;
mod rows;
mod sort;

pub use cluster::{Cluster, ClusterOptions, ClusterSnapshot};
pub use error::ExchangeError;
pub use execute::{Runtime, execute};
pub use failure::Failure;
pub use field::{Field, Serde};
pub use memory::Memory;
pub use rows::{BLOCK, Changes, Rows};
