//! `TokenWriter`: tokens of one file after another, for the wire.

use std::io;

use forebay_delta::Token;

use super::encoder::Encoder;
use super::{LITERAL, flag};
use crate::wire::number::Put;
use crate::wire::sums::SumHead;
use crate::wire::terms::Compress;

/// Writes the tokens of files. It has what its compressor needs, so it is worth keeping from file to file.
pub(crate) struct TokenWriter {
    encoder: Option<Encoder>,
    head: SumHead,
    /// The last block that was referred to.
    last: u32,
}

impl std::fmt::Debug for TokenWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenWriter").field("head", &self.head).finish_non_exhaustive()
    }
}

impl TokenWriter {
    /// For plain tokens, or for compressed ones.
    pub(crate) fn new(compress: Option<Compress>) -> io::Result<Self> {
        Ok(TokenWriter { encoder: compress.map(Encoder::new).transpose()?, head: SumHead::default(), last: 0 })
    }

    /// A file begins whose basis is cut as `head` says.
    pub(crate) fn begin(&mut self, head: SumHead) -> io::Result<()> {
        self.head = head;
        self.last = 0;
        self.encoder.as_mut().map_or(Ok(()), Encoder::begin)
    }

    /// Appends a token to `out`, or keeps it until more is known. A copy is one of whole blocks of the basis, as a search
    /// for them gives it.
    pub(crate) fn apply(&mut self, token: Token<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        match token {
            Token::Literal { bytes, .. } => self.literal(bytes, out),
            Token::Copy { offset, len } => {
                let block_len = u64::from(self.head.block_len.max(1));
                let first = u32::try_from(offset / block_len).ok();
                let count = u32::try_from(len.div_ceil(block_len)).ok();
                let run =
                    first.zip(count).filter(|(first, count)| self.head.bytes(*first, *count) == Some((offset, len)));
                let (first, count) = run.ok_or_else(|| io::Error::other("a copy that is not of whole blocks"))?;
                self.copy(first, count, out)
            }
        }
    }

    /// Appends literal bytes.
    pub(crate) fn literal(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        if let Some(encoder) = &mut self.encoder {
            return encoder.literal(bytes, out);
        }
        for piece in bytes.chunks(LITERAL) {
            out.put_int(piece.len() as i32);
            out.put(piece);
        }
        Ok(())
    }

    /// Whether literal bytes go as they are.
    pub(crate) fn is_plain(&self) -> bool {
        self.encoder.is_none()
    }

    /// Appends up to `len` plain literal bytes, at most 32 KiB, which `read` puts where they belong, so that they need not be
    /// copied. Gives what that gives: how many there are.
    pub(crate) fn literal_in_place<E>(
        &mut self,
        len: usize,
        out: &mut Vec<u8>,
        read: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let begin = out.len();
        out.resize(begin + size_of::<i32>() + len.min(LITERAL), 0);
        let Some((head, room)) = out.get_mut(begin..).and_then(<[u8]>::split_first_chunk_mut) else { return Ok(0) };
        let result = read(room);
        let n = result.as_ref().map_or(0, |n| *n).min(room.len());
        *head = (n as i32).to_le_bytes();
        out.truncate(if n > 0 { begin + size_of::<i32>() + n } else { begin });
        result
    }

    /// Appends a reference to `count` blocks from `first` on.
    fn copy(&mut self, first: u32, count: u32, out: &mut Vec<u8>) -> io::Result<()> {
        let Some(encoder) = &mut self.encoder else {
            // At most `i32::MAX` blocks: -1 is the first.
            (first..first + count).for_each(|block| out.put_int(!(block as i32)));
            return Ok(());
        };
        encoder.flush(out)?;
        let (mut first, mut left) = (first, count);
        while left > 0 {
            let more = u16::try_from(left - 1).unwrap_or(u16::MAX);
            let near =
                first.checked_sub(self.last).and_then(|near| u8::try_from(near).ok()).filter(|near| *near < 0x40);
            match near {
                Some(near) => out.put_byte(near | if more > 0 { flag::NEXTS } else { flag::NEXT }),
                None => {
                    out.put_byte(if more > 0 { flag::BLOCKS } else { flag::BLOCK });
                    out.put_int(first as i32);
                }
            }
            if more > 0 {
                out.put_short(more);
            }
            self.last = first + u32::from(more);
            (first, left) = (self.last + 1, left - u32::from(more) - 1);
        }
        encoder.copied();
        Ok(())
    }

    /// Ends the file. Its sum follows.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match &mut self.encoder {
            None => out.put_int(0),
            Some(encoder) => {
                encoder.end(out)?;
                out.put_byte(flag::END);
            }
        }
        Ok(())
    }
}
