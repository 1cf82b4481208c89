//! Streams arrays from an instrument that cannot pause into sharded, compressed Zarr v3.
//!
//! ```
//! use forebay_zarr::store::Files;
//! use forebay_zarr::{ArraySpec, ArrayWriter, DataType};
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("out.zarr");
//! // Frames of 512 x 512; chunks of 16 x 128 x 128; shards of 64 whole frames.
//! let spec = ArraySpec::new(DataType::UInt16, &[512, 512], &[16, 128, 128], &[64, 512, 512]);
//! let mut writer = ArrayWriter::create(Files::create(path, false)?, spec)?;
//! for n in 0..100_u16 {
//!     let frame: Vec<u8> = n.to_le_bytes().repeat(512 * 512); // from the camera
//!     writer.append(&frame)?;
//! }
//! let recorded = writer.close()?; // everything has reached the disk
//! assert_eq!(recorded.frames, 100);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | noun | what it is |
//! |---|---|
//! | [`ArraySpec`] | what array is to be written: type, shapes, codec, fill value, names, attributes |
//! | [`ArrayWriter`], [`WriterOptions`] | takes bytes in the order in which they come, any number at a time |
//! | [`Store`], [`Shard`] | where the array goes: [`Files`](store::Files), with or without the page cache, and others |
//! | [`Codec`] | how chunks are compressed; by default Blosc, zstd at level 1, byte shuffle |
//! | [`memory_estimate`] | what a writer will take, before the first frame |
//! | [`WriterMonitor`] | what it has done so far, for other threads |
//! | [`suggest()`](fn@suggest) | shapes of chunks and shards for those who have no opinion |
//! | [`inspect()`](fn@inspect) | what is whole in an array, and what is missing |
//!
//! # What holds
//! * An append costs a copy. It waits only when the compressors cannot keep up, or when the store cannot and there is no
//!   [spill store](WriterOptions::spill).
//! * The bytes of an array depend on its data and specification, and on nothing else.
//! * A reader sees whole rows of shards or nothing of them: a shard gets its name when it is complete and synced, the
//!   shape in `zarr.json` grows when all shards of the row have their names. A process that is killed at any moment
//!   leaves an array that any reader of Zarr opens, and that [`ArrayWriter::open_append`] goes on with. It loses what
//!   readers did not see, which [`WriterSnapshot::bytes_at_risk`] says at any time.
//! * Memory is bounded by [`memory_estimate`], which also says what a writer takes whose store keeps up.
//!
//! # What it is not
//! Not a reader, apart from what appending to an array takes. Not for arrays that grow in any but their first dimension.
//! Not durable before a row of shards is complete: choose shards that span seconds, not minutes.
#![forbid(unsafe_code)]

/// The examples of the crate's README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;

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
