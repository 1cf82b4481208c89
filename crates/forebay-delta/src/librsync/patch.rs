//! Applies a delta: one thread reads it, workers fetch what it copies, and the new file comes in order.

use std::io::Read;

use forebay::Weigh;

use super::command::{Command, Counts};
use super::delta_reader::DeltaReader;
use crate::error::{Error, Role, of_run};
use crate::input::{ReadAt, Spares, read_exact_at};
use crate::settings::Settings;

/// The most bytes of the new file that are one item of work.
const PIECE: usize = 1 << 20;
/// The most commands of one item of work.
const PARTS: usize = 1 << 14;

/// What a patch has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PatchStats {
    /// The commands of the delta.
    pub counts: Counts,
    /// Threads that read from the basis.
    pub workers: u64,
    /// Bytes that were passed over: they were in the new file already.
    pub kept: u64,
}

/// What comes next of the new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// So many that are there already.
    Kept(u64),
}

/// Part of the new file.
struct Piece {
    buf: Vec<u8>,
    /// Bytes of it that count. Literals are there already.
    len: usize,
    /// What is still to be read: where it goes, from where, how much.
    copies: Vec<(usize, u64, usize)>,
    /// What is there already: behind which byte of `buf`, and how much.
    kept: Vec<(usize, u64)>,
}

impl Weigh for Piece {
    fn weight(&self) -> usize {
        let lists = (self.copies.capacity() + self.kept.capacity()) * size_of::<(usize, u64, usize)>();
        size_of::<Self>() + self.buf.capacity() + lists
    }
}

/// Cuts a delta into pieces.
struct Pieces<'a, R> {
    delta: &'a mut DeltaReader<R>,
    piece_len: usize,
    /// What did not fit into the last piece.
    rest: Command,
    /// How far the new file has come.
    at: u64,
    /// So many bytes of the basis are in their places in it.
    kept: u64,
    done: bool,
    spares: &'a Spares,
}

impl<R: Read> Pieces<'_, R> {
    fn piece(&mut self) -> Result<Piece, Error> {
        let buf = self.spares.take(self.piece_len, false);
        let mut piece = Piece { buf, len: 0, copies: Vec::new(), kept: Vec::new() };
        while piece.len < self.piece_len && piece.copies.len() < PARTS && piece.kept.len() < PARTS {
            if let Some(kept) = self.in_place() {
                piece.kept.push((piece.len, kept));
                self.at += kept;
                self.rest = self.delta.command()?;
                continue;
            }
            match &mut self.rest {
                Command::Literal { len } => {
                    let read = self.delta.literal(&mut piece.buf[piece.len..self.piece_len])?;
                    piece.len += read;
                    self.at += read as u64;
                    *len -= read as u64;
                    if *len == 0 {
                        self.rest = self.delta.command()?;
                    }
                }
                Command::Copy { offset, len } => {
                    let room = self.piece_len - piece.len;
                    let part = usize::try_from(*len).map_or(room, |len| len.min(room));
                    piece.copies.push((piece.len, *offset, part));
                    piece.len += part;
                    self.at += part as u64;
                    *len -= part as u64;
                    *offset =
                        offset.checked_add(part as u64).ok_or(Error::Short { file: Role::Basis, offset: *offset })?;
                    if *len == 0 {
                        self.rest = self.delta.command()?;
                    }
                }
                Command::End => {
                    self.done = true;
                    break;
                }
            }
        }
        Ok(piece)
    }

    /// The bytes of what is to be copied next, if they are there already.
    fn in_place(&self) -> Option<u64> {
        match self.rest {
            Command::Copy { offset, len } if offset == self.at => {
                offset.checked_add(len).filter(|end| *end <= self.kept).map(|_| len)
            }
            _ => None,
        }
    }
}

impl<R: Read> Iterator for Pieces<'_, R> {
    type Item = Result<Piece, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let piece = self.piece();
        self.done |= piece.is_err();
        Some(piece)
    }
}

/// Rebuilds the new file from `basis` and `delta`, and gives it to `sink` in order, in pieces of up to 1 MiB. What a
/// broken delta, or one of another basis, rebuilds has been given to `sink` by the time that it is found out.
///
/// Whoever lets the new file begin as a copy of the basis, because the file system gives such a copy for nothing, says how many
/// bytes of it are there, in `kept`. What stays where it was is neither read nor written then. `kept` is 0 otherwise.
///
/// # Errors
/// [`Error::Malformed`] and [`Error::Read`] of the delta, [`Error::Read`] of the basis, [`Error::Short`] if it has not
/// got the bytes, [`Error::Engine`], [`Error::Cancelled`], and what `sink` returns.
pub fn patch<E, K>(
    basis: &dyn ReadAt,
    delta: impl Read + Send,
    kept: u64,
    settings: &Settings,
    mut sink: K,
) -> Result<PatchStats, E>
where
    E: From<Error> + Send,
    K: FnMut(Next<'_>) -> Result<(), E>,
{
    let mut delta = DeltaReader::new(delta)?;
    let rest = delta.command()?;
    let piece_len = settings.share(PIECE);
    let spares = &settings.spares;
    let pieces = Pieces { delta: &mut delta, piece_len, rest, at: 0, kept, done: false, spares };
    let mut passed = 0;
    let fetch = |mut piece: Piece| -> Result<Piece, E> {
        for (at, offset, len) in std::mem::take(&mut piece.copies) {
            read_exact_at(basis, Role::Basis, &mut piece.buf[at..at + len], offset)?;
        }
        Ok(piece)
    };
    let take = |piece: Piece| {
        let mut begin = 0;
        for (end, kept) in piece.kept {
            if begin < end {
                sink(Next::Bytes(&piece.buf[begin..end]))?;
            }
            sink(Next::Kept(kept))?;
            (begin, passed) = (end, passed + kept);
        }
        if begin < piece.len {
            sink(Next::Bytes(&piece.buf[begin..piece.len]))?;
        }
        spares.keep(piece.buf);
        Ok(())
    };
    let source = pieces.map(|piece| piece.map_err(E::from));
    let workers = settings.pipeline("patch").run(source, fetch, take).map_err(of_run)?.workers_used;
    Ok(PatchStats { counts: delta.counts(), workers, kept: passed })
}
