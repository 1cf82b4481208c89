//! `Chunk`: some tokens of a file, and the bytes of their literals.

use forebay::Weigh;

use crate::error::{Error, Role};
use crate::strong::{Strong, StrongSum};
use crate::token::Token;

/// Consecutive tokens of one file.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    parts: Vec<Part>,
    literal: Vec<u8>,
    sum: Option<(Strong, StrongSum)>,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    /// So many of the next literal bytes.
    Literal(usize),
    Copy {
        offset: u64,
        len: u64,
    },
}

impl Chunk {
    /// No tokens yet.
    pub fn new() -> Self {
        Chunk::default()
    }

    /// Appends a token. The offset of a literal is not looked at: it follows what is before it.
    pub fn push(&mut self, token: Token<'_>) {
        match token {
            Token::Literal { bytes, .. } => self.literal_with(|literal| literal.extend_from_slice(bytes)),
            Token::Copy { offset, len } => match self.parts.last_mut() {
                Some(Part::Copy { offset: last, len: more })
                    if last.checked_add(*more) == Some(offset) && more.checked_add(len).is_some() =>
                {
                    *more += len;
                }
                _ => self.parts.push(Part::Copy { offset, len }),
            },
        }
    }

    /// Lets `append` add literal bytes where they will stay: for whoever reads them from somewhere. It must not touch what is
    /// there already.
    ///
    /// ```
    /// use forebay_delta::Chunk;
    ///
    /// let mut chunk = Chunk::new();
    /// chunk.literal_with(|bytes| bytes.extend(b"literally"));
    /// assert_eq!(chunk.len(), 9);
    /// ```
    pub fn literal_with<R>(&mut self, append: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let before = self.literal.len();
        let result = append(&mut self.literal);
        let more = self.literal.len().saturating_sub(before);
        match self.parts.last_mut() {
            _ if more == 0 => {}
            Some(Part::Literal(len)) => *len += more,
            _ => self.parts.push(Part::Literal(more)),
        }
        result
    }

    /// The sum of its literal bytes, which is checked before they are used.
    #[must_use]
    pub fn with_sum(mut self, strong: Strong, sum: StrongSum) -> Self {
        self.sum = Some((strong, sum));
        self
    }

    /// Bytes of the new file that it stands for.
    pub fn len(&self) -> u64 {
        let len = |part: &Part| match part {
            Part::Literal(len) => *len as u64,
            Part::Copy { len, .. } => *len,
        };
        self.parts.iter().map(len).fold(0, u64::saturating_add)
    }

    /// Whether it stands for none.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Literal bytes.
    pub fn literal_len(&self) -> usize {
        self.literal.len()
    }

    /// The same memory, without tokens.
    pub(super) fn emptied(mut self) -> Self {
        self.parts.clear();
        self.literal.clear();
        self.sum = None;
        self
    }

    /// Whether it came with a sum.
    pub(super) fn has_sum(&self) -> bool {
        self.sum.is_some()
    }

    /// Holds its literal bytes against their sum.
    pub(super) fn check_sum(&self) -> Result<(), Error> {
        match &self.sum {
            Some((strong, sum)) if strong.sum(&self.literal) != *sum => Err(Error::ChunkSum),
            _ => Ok(()),
        }
    }

    /// Holds what it copies against the length of the basis.
    pub(super) fn check_copies(&self, basis_len: u64) -> Result<(), Error> {
        let beyond = |part: &Part| match *part {
            Part::Literal(_) => false,
            Part::Copy { offset, len } => offset.checked_add(len).is_none_or(|end| end > basis_len),
        };
        match self.parts.iter().any(beyond) {
            true => Err(Error::Short { file: Role::Basis, offset: basis_len }),
            false => Ok(()),
        }
    }

    /// Gives its tokens to `take`, as they stand in a file from `at` on.
    pub(super) fn tokens<E>(&self, at: u64, mut take: impl FnMut(Token<'_>) -> Result<(), E>) -> Result<(), E> {
        let (mut offset, mut literal) = (at, &self.literal[..]);
        for part in &self.parts {
            let token = match *part {
                Part::Copy { offset, len } => Token::Copy { offset, len },
                Part::Literal(len) => {
                    let (bytes, rest) = literal.split_at(len.min(literal.len()));
                    literal = rest;
                    Token::Literal { offset, bytes }
                }
            };
            offset = offset.saturating_add(token.len());
            take(token)?;
        }
        Ok(())
    }
}

impl Weigh for Chunk {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.literal.capacity() + self.parts.capacity() * size_of::<Part>()
    }
}
