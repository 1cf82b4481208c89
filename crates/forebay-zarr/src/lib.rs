//! Streams arrays from an instrument that cannot pause into sharded, compressed Zarr v3.
#![forbid(unsafe_code)]

pub mod codec;
mod dtype;
#[cfg(feature = "input")]
pub mod input;
pub mod metadata;
pub mod shard;
mod spec;
pub mod store;

pub use codec::Codec;
pub use dtype::{DataType, FillValue, UnknownDataType};
pub use metadata::MetadataError;
pub use shard::{IndexError, ShardIndex};
pub use spec::{ArraySpec, MAX_RANK, SpecError};
pub use store::{Shard, Store, StoreError};
