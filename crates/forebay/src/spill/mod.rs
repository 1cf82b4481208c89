//! The way out of memory: where spilled bytes go and what they look like there.
//!
//! ```text
//!   policy            SpillPolicy: whether and what; pressure: MemoryPressure
//!   pager             Pager, Page: blocks, their states, the I/O thread
//!   record            one header and a checksum around what is spilled
//!   store             SpillStore, Extent: where bytes go; account: how many
//!     segment_store   SegmentStore: files without names; segment, ledger: one of them; fs: the system calls
//!     memory          MemoryStore: the same in memory
//! ```
//!
//! Spilled bytes are scratch, never durable state: no file has a name, and nothing is left after `kill -9`.

mod account;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod error;
#[cfg(any(test, feature = "conformance"))]
pub mod faulty;
pub mod fs;
mod ledger;
mod memory;
pub mod pager;
pub mod policy;
pub mod pressure;
pub mod record;
mod segment;
mod segment_store;
mod store;

pub use error::SpillError;
pub use memory::MemoryStore;
pub use segment_store::{SegmentOptions, SegmentStore};
pub use store::{Backing, Extent, Location, SpillStore, Usage};
