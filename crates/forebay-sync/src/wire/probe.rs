//! What fuzzing needs of the wire, which has no public interface of its own. Not to be used otherwise.

use forebay::Budget;
use forebay_delta::{Settings, Token};

use super::list::{Decoder, Encoder, Shape};
use super::sums::SumHead;
use super::terms::{Checksum, Compat, Compress, Compressor, Terms};
use super::token::{Piece, TokenReader, TokenWriter};
use crate::options::Options;

/// Part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Bytes.
    Literal(Vec<u8>),
    /// So many blocks of the basis from this one on.
    Copy(u32, u32),
}

/// How a stream of tokens is written.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    /// 0 plain, 1 zlib, 2 zlibx, 3 zstd, 4 lz4, and so on.
    pub compressor: u8,
    /// 30 to 32.
    pub protocol: u32,
    /// Bytes of the basis's blocks, not 0.
    pub block_len: u32,
    /// Bytes of the basis.
    pub basis_len: u32,
}

impl Stream {
    fn compressor(self) -> Option<Compressor> {
        let all =
            [None, Some(Compressor::Zlib), Some(Compressor::Zlibx), Some(Compressor::Zstd), Some(Compressor::Lz4)];
        all.get(usize::from(self.compressor) % all.len()).copied().flatten()
    }

    fn head(self) -> SumHead {
        SumHead {
            count: self.basis_len.div_ceil(self.block_len.max(1)),
            block_len: self.block_len.max(1),
            strong_len: 2,
            remainder: self.basis_len % self.block_len.max(1),
        }
    }

    /// Reads the tokens of one file from the beginning of `bytes`, up to `most` literal bytes. `None` if they are refused.
    pub fn read(self, bytes: &[u8], most: usize) -> Option<Vec<Part>> {
        let basis = vec![7; self.basis_len as usize];
        let mut reader = TokenReader::new(self.compressor(), self.protocol).ok()?;
        reader.begin(self.head());
        let (mut from, mut parts, mut total) = (bytes, Vec::new(), 0);
        while total <= most {
            let mut literal = Vec::new();
            match reader.next(&mut from, &mut literal).ok()? {
                Piece::Literal => {
                    total += literal.len();
                    match parts.last_mut() {
                        Some(Part::Literal(last)) => last.extend_from_slice(&literal),
                        _ => parts.push(Part::Literal(literal)),
                    }
                }
                Piece::Copy { block, count } => {
                    reader.copied(block, count, &basis).ok()?;
                    parts.push(Part::Copy(block, count));
                }
                Piece::End => return Some(parts),
            }
        }
        None
    }

    /// Writes the tokens of one file. `None` if the compressor fails.
    pub fn write(self, parts: &[Part]) -> Option<Vec<u8>> {
        let compress = self.compressor().map(|kind| Compress { kind, level: 1 });
        let (mut writer, head, mut out) = (TokenWriter::new(compress).ok()?, self.head(), Vec::new());
        writer.begin(head).ok()?;
        for part in parts {
            match part {
                Part::Literal(bytes) => writer.apply(Token::Literal { offset: 0, bytes }, &mut out).ok()?,
                Part::Copy(block, count) => writer.apply(head.copy(*block, *count)?, &mut out).ok()?,
            }
        }
        writer.end(&mut out).ok()?;
        Some(out)
    }
}

/// Reads a head and the sums of blocks, with a budget of `memory` bytes. Returns how many bytes were read, the head as it is
/// written, and how many blocks there are and how many of them were kept. `None` if they are refused.
pub fn read_sums(mut bytes: &[u8], memory: usize) -> Option<(usize, Vec<u8>, u64, u64)> {
    let (all, checksum) = (bytes.len(), Checksum::Md5);
    let head = SumHead::read(&mut bytes, checksum.len()).ok()?;
    let settings = Settings { budget: Budget::new(memory), ..Settings::default() };
    let kept = head.read_sums(&mut bytes, checksum.of_file()?, &settings).ok()?;
    let mut out = Vec::new();
    head.write(&mut out);
    Some((all - bytes.len(), out, head.count.into(), kept.map_or(0, |signature| signature.blocks())))
}

/// A list that was read.
#[derive(Clone, Debug)]
pub struct List<'b> {
    /// The bytes behind it.
    pub rest: &'b [u8],
    /// The paths of its entries.
    pub paths: Vec<Vec<u8>>,
    /// Which of them are directories.
    pub dirs: Vec<bool>,
    /// The list as it is written from what was read.
    pub written: Vec<u8>,
}

/// How the lists of a session look.
#[derive(Clone, Copy, Debug)]
pub struct Lists {
    /// 30 to 32.
    pub protocol: u32,
    /// The flags that a server sets.
    pub compat: u32,
    /// Which of these were asked for, from the lowest bit on: owners, groups, links, devices, specials, hard links, times of
    /// access, ACLs, attributes, sums, numbers in place of names.
    pub options: u16,
}

impl Lists {
    fn shape(self) -> Shape {
        let has = |bit: u16| self.options & 1 << bit != 0;
        let options = Options {
            owner: has(0),
            group: has(1),
            links: has(2),
            devices: has(3),
            specials: has(4),
            hard_links: has(5),
            atimes: has(6),
            acls: has(7),
            xattrs: has(8),
            checksum: has(9),
            numeric_ids: has(10),
            ..Options::default()
        };
        let sum = Checksum::Md5;
        let (protocol, compat) = (self.protocol, Compat(self.compat));
        Shape::new(&options, &Terms { protocol, compat, seed: 1, transfer: sum, files: sum, compress: None })
    }

    /// Reads one list from the beginning of `bytes`, whose first entry has the number `first`. `None` if it is refused.
    pub fn read(self, bytes: &[u8], first: i32) -> Option<List<'_>> {
        let (mut rest, mut paths, mut dirs, mut written) = (bytes, Vec::new(), Vec::new(), Vec::new());
        let (mut decoder, mut encoder) = (Decoder::new(self.shape(), false), Encoder::new(self.shape()));
        decoder.begin(first);
        encoder.begin(first);
        loop {
            match decoder.next(&mut rest).ok()? {
                Ok(entry) => {
                    encoder.push(&entry, &mut written);
                    dirs.push(entry.is_dir());
                    paths.push(entry.path);
                }
                Err(end) => {
                    encoder.end(end.io_error, &mut written);
                    return Some(List { rest, paths, dirs, written });
                }
            }
        }
    }
}
