//! `Token`: what a new file is made of.

/// The next bytes of the new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// These are in the basis: whole blocks, of which its last may be shorter.
    Copy {
        /// Where in the basis, in bytes.
        offset: u64,
        /// How many bytes.
        len: u64,
    },
    /// These are not. A long stretch comes in several tokens.
    Literal {
        /// Where in the new file, in bytes.
        offset: u64,
        /// The bytes themselves, as they were when the file was searched.
        bytes: &'a [u8],
    },
}

impl Token<'_> {
    /// Bytes of the new file that it stands for.
    pub fn len(&self) -> u64 {
        match self {
            Token::Copy { len, .. } => *len,
            Token::Literal { bytes, .. } => bytes.len() as u64,
        }
    }

    /// Whether it stands for none; a search gives no such token.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
