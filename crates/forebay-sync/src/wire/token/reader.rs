//! `TokenReader`: tokens of one file after another, from the wire.

use std::io::{self, BufRead};

use forebay_delta::ReadAt;

use super::decoder::Decoder;
use super::{WINDOW, flag};
use crate::wire::error::WireError;
use crate::wire::number::{Get, Put};
use crate::wire::sums::SumHead;
use crate::wire::terms::Compressor;

/// The most bytes of a plain literal that are read at once.
const PIECE: u32 = 64 << 10;
/// Up to protocol 30, a longer block enters the history of zlib by its first so many bytes, again and again.
const STUCK: usize = 0xffff;

/// What comes next of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Literal bytes, which were appended.
    Literal,
    /// Blocks of the basis, which has got them.
    Copy {
        /// The first.
        block: u32,
        /// How many, at least one.
        count: u32,
    },
    /// Nothing: the file's sum follows.
    End,
}

/// Reads the tokens of all files of a session, which share what the compressor remembers.
pub(crate) struct TokenReader {
    decoder: Option<Decoder>,
    /// The version of the protocol.
    protocol: u32,
    head: SumHead,
    /// Plain bytes of a literal that are still to be read.
    left: u32,
    /// The decompressor may have more to say.
    draining: bool,
    /// Data came, and its cut off end was not given yet.
    cut: bool,
    /// A flag that was read before it was its turn.
    held: Option<u8>,
    /// Copied bytes are missing from the history: what follows in this file cannot be read.
    blind: bool,
    /// The last block that was referred to.
    last: u32,
}

impl std::fmt::Debug for TokenReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenReader").field("head", &self.head).field("last", &self.last).finish_non_exhaustive()
    }
}

impl TokenReader {
    /// For plain tokens, or for compressed ones.
    pub(crate) fn new(compressor: Option<Compressor>, protocol: u32) -> io::Result<Self> {
        let decoder = compressor.map(Decoder::new).transpose()?;
        let head = SumHead::default();
        let (draining, cut, blind) = (false, false, false);
        Ok(TokenReader { decoder, protocol, head, left: 0, draining, cut, held: None, blind, last: 0 })
    }

    /// A file begins whose basis is cut as `head` says.
    pub(crate) fn begin(&mut self, head: SumHead) {
        if let Some(decoder) = &mut self.decoder {
            decoder.begin();
        }
        (self.head, self.left, self.last) = (head, 0, 0);
        (self.draining, self.cut, self.held, self.blind) = (false, false, None, false);
    }

    /// Reads what comes next. Literal bytes are appended to `literal`, 64 KiB or so at a time.
    pub(crate) fn next<R: BufRead>(&mut self, from: &mut R, literal: &mut Vec<u8>) -> Result<Piece, WireError> {
        match self.decoder {
            None => self.plain(from, literal),
            Some(_) => self.compressed(from, literal),
        }
    }

    fn plain<R: BufRead>(&mut self, from: &mut R, literal: &mut Vec<u8>) -> Result<Piece, WireError> {
        if self.left == 0 {
            match from.int()? {
                0 => return Ok(Piece::End),
                // -1 is the first block.
                token @ ..0 => return self.copy(i64::from(!token), 1),
                token => self.left = token.unsigned_abs(),
            }
        }
        let now = self.left.min(PIECE);
        append(from, now as usize, literal)?;
        self.left -= now;
        Ok(Piece::Literal)
    }

    fn compressed<R: BufRead>(&mut self, from: &mut R, literal: &mut Vec<u8>) -> Result<Piece, WireError> {
        let Some(decoder) = &mut self.decoder else { return Ok(Piece::End) };
        loop {
            if self.draining {
                let begin = literal.len();
                self.draining = decoder.read(literal)?;
                if literal.len() > begin {
                    return Ok(Piece::Literal);
                }
                continue;
            }
            let flag = match self.held.take() {
                Some(flag) => flag,
                None => from.byte()?,
            };
            if flag & 0xc0 == flag::DATA {
                let len = usize::from(flag & 0x3f) << 8 | usize::from(from.byte()?);
                append(from, len, decoder.input())?;
                (self.draining, self.cut) = (!self.blind, decoder.is_cut() && !self.blind);
            } else if std::mem::take(&mut self.cut) {
                decoder.input().put(&[0, 0, 0xff, 0xff]);
                (self.draining, self.held) = (true, Some(flag));
            } else if flag == flag::END {
                return Ok(Piece::End);
            } else {
                return self.reference(flag, from);
            }
        }
    }

    fn reference<R: BufRead>(&mut self, flag: u8, from: &mut R) -> Result<Piece, WireError> {
        let block = match flag {
            flag::BLOCK | flag::BLOCKS => i64::from(from.int()?),
            flag::NEXT.. => i64::from(self.last) + i64::from(flag & 0x3f),
            _ => return Err(WireError::protocol("a flag before a token", flag)),
        };
        let more = match flag {
            flag::BLOCKS | flag::NEXTS.. => u32::from(from.short()?),
            _ => 0,
        };
        self.copy(block, more + 1)
    }

    /// A reference, held against the basis. The index cannot run away: it stays below the count of blocks.
    fn copy(&mut self, block: i64, count: u32) -> Result<Piece, WireError> {
        let first = u32::try_from(block).ok().filter(|first| self.head.bytes(*first, count).is_some());
        let block = first.ok_or(WireError::protocol("a block that the basis has not got", block))?;
        self.last = block + count - 1;
        Ok(Piece::Copy { block, count })
    }

    /// Whether [`copied`](TokenReader::copied) needs the basis.
    pub(crate) fn needs_basis(&self) -> bool {
        self.decoder.as_ref().is_some_and(Decoder::remembers)
    }

    /// Takes the blocks of a [`Piece::Copy`] into the history, where the compressor has one that they belong to. To be
    /// called before the next piece is read.
    ///
    /// # Errors
    /// Those of the basis. The rest of the file is then read without its literal bytes.
    pub(crate) fn copied(&mut self, block: u32, count: u32, basis: &dyn ReadAt) -> io::Result<()> {
        let Some(decoder) = self.decoder.as_mut().filter(|decoder| decoder.remembers() && !self.blind) else {
            return Ok(());
        };
        let stuck = self.protocol < 31 && self.head.block_len as usize > STUCK;
        let entered = if stuck {
            enter_stuck(decoder, &self.head, (block, count), basis)
        } else {
            read(basis, self.head.bytes(block, count), WINDOW).and_then(|bytes| decoder.remember(&bytes))
        };
        self.blind = entered.is_err();
        entered
    }
}

/// Appends the next `len` bytes to `out`, straight from where they have been read to.
fn append<R: BufRead>(from: &mut R, len: usize, out: &mut Vec<u8>) -> Result<(), WireError> {
    let mut left = len;
    while left > 0 {
        let there = match from.fill_buf() {
            Ok([]) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(there) => there.get(..left).unwrap_or(there),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        out.extend_from_slice(there);
        let n = there.len();
        from.consume(n);
        left -= n;
    }
    Ok(())
}

/// Enters long blocks as protocol 30 has it. Each but the last of the basis fills the history.
fn enter_stuck(
    decoder: &mut Decoder,
    head: &SumHead,
    (block, count): (u32, u32),
    basis: &dyn ReadAt,
) -> io::Result<()> {
    for block in block + count.saturating_sub(2)..block + count {
        let bytes = read(basis, head.bytes(block, 1), usize::MAX)?;
        for begin in (0..bytes.len()).step_by(STUCK) {
            decoder.remember(bytes.get(..STUCK.min(bytes.len() - begin)).unwrap_or_default())?;
        }
    }
    Ok(())
}

/// The last bytes, at most `most`, of a part of the basis.
fn read(basis: &dyn ReadAt, part: Option<(u64, u64)>, most: usize) -> io::Result<Vec<u8>> {
    let (offset, len) = part.unwrap_or_default();
    let wanted = usize::try_from(len).map_or(most, |len| len.min(most));
    let (mut bytes, mut done) = (vec![0; wanted], 0);
    let begin = offset + len - wanted as u64;
    while done < wanted {
        match basis.read_at(bytes.get_mut(done..).unwrap_or_default(), begin + done as u64) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}
