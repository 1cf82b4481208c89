//! librsync's files, as `rdiff` reads and writes them: signature, delta, patch.
//!
//! ```text
//! signature   magic:u32  block length:u32  strong length:u32   then for each block   weak sum:u32  strong sum
//! delta       magic:u32  then commands:   00                    the end
//!                                         01..40 bytes          so many literal bytes
//!                                         41..44 length bytes   literal bytes, the length in 1, 2, 4 or 8 bytes
//!                                         45..54 offset length  bytes of the basis, each in 1, 2, 4 or 8 bytes
//! ```
//!
//! Numbers are big-endian. What a file says is bounded before it is believed: no length makes memory, and sums are paid
//! for as they come.
//!
//! ```
//! use forebay_delta::{Error, Input, Options, Settings, Strong, Weak, librsync, search, sign};
//!
//! let (basis, new) = (vec![5; 10_000], vec![5; 12_000]);
//! let settings = Settings::default();
//! let format = librsync::format(Weak::RabinKarp, Strong::Blake2b, Some(10_000), None, librsync::StrongLen::Most)?;
//!
//! let mut file = librsync::SignatureWriter::new(Vec::new(), &format)?;
//! sign(Input::bytes(&basis), &format, &settings, |sums| file.write(&sums))?;
//! let file = file.into_inner();
//!
//! let signature = librsync::read_signature(&file[..], &settings)?;
//! let mut delta = librsync::DeltaWriter::new(Vec::new());
//! search(&signature, Input::bytes(&new), Options::default(), &settings, |token| delta.write(token))?;
//! let delta = delta.finish()?;
//!
//! let mut rebuilt = Vec::new();
//! librsync::patch(&basis, &delta[..], 0, &settings, |next| {
//!     if let librsync::Next::Bytes(bytes) = next {
//!         rebuilt.extend_from_slice(bytes);
//!     }
//!     Ok::<_, Error>(())
//! })?;
//! assert!(rebuilt == new);
//! # Ok::<(), Error>(())
//! ```

mod command;
mod delta_reader;
mod delta_writer;
mod patch;
mod reader;
mod signature_file;

pub use delta_reader::DeltaReader;
pub use delta_writer::DeltaWriter;
pub use patch::{Next, PatchStats, patch};
pub use signature_file::{SignatureWriter, StrongLen, format, read_signature};

pub use command::{Command, Counts};
