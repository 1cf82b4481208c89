//! Streams arrays from an instrument that cannot pause into sharded, compressed Zarr v3.
#![forbid(unsafe_code)]

mod assemble;
pub mod codec;
mod dtype;
mod error;
#[cfg(feature = "input")]
pub mod input;
mod inspect;
mod land;
mod layout;
#[cfg(test)]
mod layout_tests;
mod memory;
pub mod metadata;
mod options;
mod pack;
mod pool;
mod progress;
mod resume;
mod scatter;
pub mod shard;
mod spec;
pub mod store;
pub mod suggest;
mod task;
mod writer;

pub use codec::Codec;
pub use dtype::{DataType, FillValue, UnknownDataType};
pub use error::WriteError;
pub use inspect::{Damaged, IncompleteRow, InspectError, Inspection, inspect};
pub use memory::{MemoryEstimate, memory_estimate};
pub use metadata::MetadataError;
pub use options::WriterOptions;
pub use progress::{WriterMonitor, WriterSnapshot};
pub use shard::{IndexError, ShardIndex};
pub use spec::{ArraySpec, MAX_RANK, SpecError};
pub use store::{Shard, Store, StoreError};
pub use suggest::suggest;
pub use writer::{ArrayWriter, Recorded};
