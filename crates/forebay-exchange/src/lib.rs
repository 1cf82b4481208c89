//! Keyed records from many workers reach the worker that owns the key while everybody goes on working. The only wait
//! is at a commit; queues and state stay inside one memory budget and spill beyond it. Built on timely dataflow.

#![forbid(unsafe_code)]

mod error;
mod failure;
mod field;
pub mod hooks;
mod memory;
mod rows;
mod sort;

pub use error::ExchangeError;
pub use failure::Failure;
pub use field::{Field, Serde};
pub use memory::Memory;
pub use rows::{BLOCK, Changes, Rows};
