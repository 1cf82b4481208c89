//! Makes the new file from the basis and tokens.

use std::io::Write;

use crate::error::{Error, Role};
use crate::input::{ReadAt, read_exact_at};
use crate::token::Token;

/// The most bytes of the basis that are held in memory.
const PIECE: usize = 256 << 10;

/// Writes a new file, token by token, to a [`Write`].
///
/// ```
/// use forebay_delta::{Patch, Token};
///
/// let mut new = Vec::new();
/// let basis = b"the old text".to_vec();
/// let mut patch = Patch::new(&basis, &mut new);
/// patch.apply(Token::Copy { offset: 0, len: 4 })?;
/// patch.apply(Token::Literal { offset: 4, bytes: b"new" })?;
/// patch.apply(Token::Copy { offset: 7, len: 5 })?;
/// assert_eq!(new, b"the new text");
/// # Ok::<(), forebay_delta::Error>(())
/// ```
#[derive(Debug)]
pub struct Patch<B, W> {
    basis: B,
    new: W,
    buf: Vec<u8>,
}

impl<B: ReadAt, W: Write> Patch<B, W> {
    /// From `basis` to `new`.
    pub fn new(basis: B, new: W) -> Self {
        Patch { basis, new, buf: Vec::new() }
    }

    /// What was written to.
    pub fn into_new(self) -> W {
        self.new
    }

    /// Writes the bytes that `token` stands for. Large tokens are read in pieces: whatever a length says, no more
    /// than 256 KiB are held.
    ///
    /// # Errors
    /// [`Error::Read`] of the basis, [`Error::Short`] if it has not got the bytes, [`Error::Write`].
    pub fn apply(&mut self, token: Token<'_>) -> Result<(), Error> {
        let (offset, len) = match token {
            Token::Literal { bytes, .. } => return self.new.write_all(bytes).map_err(Error::Write),
            Token::Copy { offset, len } => (offset, len),
        };
        let end = offset.checked_add(len).ok_or(Error::Short { file: Role::Basis, offset })?;
        let mut at = offset;
        while at < end {
            let piece = usize::try_from(end - at).map_or(PIECE, |left| left.min(PIECE));
            if self.buf.len() < piece {
                self.buf.resize(piece, 0);
            }
            let buf = &mut self.buf[..piece];
            read_exact_at(&self.basis, Role::Basis, buf, at)?;
            self.new.write_all(buf).map_err(Error::Write)?;
            at += piece as u64;
        }
        Ok(())
    }
}
