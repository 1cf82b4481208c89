//! Signatures.

use std::io::{Read, Write};

use super::reader::Reader;
use crate::block::MAX_BLOCK_LEN;
use crate::error::{Error, Malformed, Role};
use crate::settings::Settings;
use crate::signature::{Format, Signature, Sums};
use crate::strong::{Seed, Strong};
use crate::weak::Weak;

const MD4: Strong = Strong::Md4(Seed::None);
/// How each kind of signature begins.
const KINDS: [(u32, Weak, Strong); 4] = [
    (0x7273_0136, Weak::Rollsum, MD4),
    (0x7273_0137, Weak::Rollsum, Strong::Blake2b),
    (0x7273_0146, Weak::RabinKarp, MD4),
    (0x7273_0147, Weak::RabinKarp, Strong::Blake2b),
];
/// Blocks of a basis whose length is not known, in bytes.
const BLOCK: u32 = 2048;

/// How many bytes of the strong sums are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrongLen {
    /// All.
    Most,
    /// As few as are unlikely to match by chance, by librsync's rule.
    Least,
    /// So many.
    Bytes(usize),
}

/// The format of a signature by librsync's rules: for a basis of `len` bytes, blocks of `block_len` bytes or, if none are
/// asked for, about the square root of the length, at least 256 (2,048 where the length is not known).
///
/// # Errors
/// [`Error::BlockLen`], [`Error::StrongLen`], and [`Error::NotLibrsyncs`] if librsync has no such sums.
pub fn format(
    weak: Weak,
    strong: Strong,
    len: Option<u64>,
    block_len: Option<u32>,
    strong_len: StrongLen,
) -> Result<Format, Error> {
    let block_len = block_len.unwrap_or_else(|| len.map_or(BLOCK, recommended));
    let strong_len = match strong_len {
        StrongLen::Most => strong.digest_len(),
        StrongLen::Least => least(len, block_len).min(strong.digest_len()),
        StrongLen::Bytes(bytes) => bytes,
    };
    let format = Format::new(weak, strong, block_len, strong_len)?;
    magic(&format)?;
    Ok(format)
}

/// The square root, a multiple of 128.
fn recommended(len: u64) -> u32 {
    u32::try_from(len.isqrt() & !127).unwrap_or(u32::MAX).clamp(256, MAX_BLOCK_LEN)
}

/// Enough for the file's length, with 16 MiB added to it, and for the number of its blocks.
fn least(len: Option<u64>, block_len: u32) -> usize {
    // A stream may have any number of blocks.
    let Some(len) = len else { return 12 };
    let bits = len.saturating_add(1 << 24).ilog2() + (len / u64::from(block_len.max(1)) + 1).ilog2();
    2 + bits.div_ceil(8) as usize
}

fn magic(format: &Format) -> Result<u32, Error> {
    let kind = KINDS.iter().find(|(_, weak, strong)| (*weak, *strong) == (format.weak(), format.strong()));
    kind.map(|(magic, ..)| *magic).ok_or(Error::NotLibrsyncs(*format))
}

/// Writes a signature.
#[derive(Debug)]
pub struct SignatureWriter<W> {
    file: W,
    buf: Vec<u8>,
}

impl<W: Write> SignatureWriter<W> {
    /// Writes the head. What is written comes in pieces of some kilobytes.
    ///
    /// # Errors
    /// [`Error::NotLibrsyncs`] and [`Error::Write`].
    pub fn new(mut file: W, format: &Format) -> Result<Self, Error> {
        let mut head = Vec::with_capacity(12);
        // A strong sum has at most 32 bytes.
        for number in [magic(format)?, format.block_len(), format.strong_len() as u32] {
            head.extend_from_slice(&number.to_be_bytes());
        }
        file.write_all(&head).map_err(Error::Write)?;
        Ok(SignatureWriter { file, buf: Vec::new() })
    }

    /// Writes the sums of the next blocks.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write(&mut self, sums: &Sums) -> Result<(), Error> {
        self.buf.clear();
        for (weak, strong) in sums.iter() {
            self.buf.extend_from_slice(&weak.to_be_bytes());
            self.buf.extend_from_slice(strong);
        }
        self.file.write_all(&self.buf).map_err(Error::Write)
    }

    /// The file again.
    pub fn into_inner(self) -> W {
        self.file
    }
}

/// Reads a signature to its end. The length of the basis is not in it.
///
/// # Errors
/// [`Error::Malformed`], [`Error::Read`], [`Error::Blocks`], and [`Error::Memory`] when the budget has no room for so many
/// sums.
pub fn read_signature(file: impl Read, settings: &Settings) -> Result<Signature, Error> {
    let mut file = Reader::new(file, Role::Signature);
    let magic = file.u32()?;
    let kind = KINDS.iter().find(|(number, ..)| *number == magic);
    let Some(&(_, weak, strong)) = kind else { return Err(file.malformed(0, Malformed::Magic(magic))) };
    let (block_len, strong_len) = (file.u32()?, file.u32()?);
    if block_len == 0 || block_len > MAX_BLOCK_LEN {
        return Err(file.malformed(4, Malformed::BlockLen(block_len)));
    }
    let format = usize::try_from(strong_len).ok().and_then(|len| Format::new(weak, strong, block_len, len).ok());
    let format = format.ok_or_else(|| file.malformed(8, Malformed::StrongLen(strong_len)))?;
    let mut signature = Signature::empty(&format, settings)?;
    let mut block = vec![0; 4 + format.strong_len()];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(signature),
            read if read < block.len() => return Err(file.malformed(file.offset, Malformed::Truncated)),
            _ => {
                let (weak, strong) = block.split_at(4);
                let weak = weak.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
                signature.push(weak, strong)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_that_rdiff_chooses() {
        // Length of the file, block length, least strong length: as rdiff 2.3.2 writes them.
        for (len, block_len, strong_len) in [
            (1000, 256, 6),
            (70_000, 256, 6),
            (490_000, 640, 7),
            (1_000_000, 896, 7),
            (10_000_000, 3072, 7),
            (100_000_000, 9984, 7),
            (1 << 30, 32_768, 8),
        ] {
            let format = format(Weak::Rollsum, MD4, Some(len), None, StrongLen::Least).unwrap();
            assert_eq!((format.block_len(), format.strong_len()), (block_len, strong_len), "{len}");
        }
        let stream = format(Weak::RabinKarp, Strong::Blake2b, None, None, StrongLen::Least).unwrap();
        assert_eq!((stream.block_len(), stream.strong_len()), (2048, 12));
    }

    #[test]
    fn sums_that_librsync_has_not_are_refused() {
        let error = format(Weak::Rsync, Strong::Blake2b, None, None, StrongLen::Most).unwrap_err();
        assert_eq!(error.to_string(), "librsync has no signatures of Rsync and Blake2b");
        assert!(format(Weak::Rollsum, Strong::Xxh3(0), None, None, StrongLen::Most).is_err());
    }
}
