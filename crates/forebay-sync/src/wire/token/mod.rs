//! What follows the head of a file on its way from sender to receiver: literal bytes and references to blocks of the basis,
//! plain or compressed. Section 11 of the protocol.
//!
//! | compressor | what lives on |
//! |---|---|
//! | zlib | a stream for each file; what is copied enters the history of the one who reads |
//! | zlibx | a stream for each file |
//! | zstd | written: a frame for each file, so that files are compressed side by side; read: one stream for the session |
//! | lz4 | nothing: each piece is a block of its own |
//!
//! For zlib, the writer forgets its history at each copy instead of entering what was copied: it then refers to nothing
//! that the reader has not got in the same place, and need not read the file again.

mod decoder;
mod encoder;
mod reader;
mod writer;

pub(crate) use reader::{Piece, TokenReader};
pub(crate) use writer::TokenWriter;

/// The most bytes of compressed data behind one flag.
const DATA: usize = 16_383;
/// The most bytes of a plain literal behind one length, as the reference writes them.
const LITERAL: usize = 32_768;
/// How far back deflate refers.
const WINDOW: usize = 32_768;

/// The bytes that stand before compressed data and block references.
mod flag {
    /// The file ends.
    pub(super) const END: u8 = 0x00;
    /// A block, by its number.
    pub(super) const BLOCK: u8 = 0x20;
    /// Blocks, by the number of the first, and how many more.
    pub(super) const BLOCKS: u8 = 0x21;
    /// Compressed data; the low six bits are the high ones of its length.
    pub(super) const DATA: u8 = 0x40;
    /// A block, by how far it is behind the last.
    pub(super) const NEXT: u8 = 0x80;
    /// Blocks likewise, and how many more.
    pub(super) const NEXTS: u8 = 0xc0;
}

#[cfg(test)]
mod stock;
#[cfg(test)]
mod tests;
