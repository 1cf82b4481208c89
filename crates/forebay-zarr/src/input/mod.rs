//! `Input`: frames that are in files, or that come through a pipe, as one stream of bytes.
//!
//! ```text
//! patterns -> paths in natural order -> one file after the other -> blocks of little-endian elements
//!               frame_2, frame_10         TIFF: a page at a time
//!                                         .npy, raw, standard input: a few MiB at a time
//! ```
//!
//! What a file is is told by its name: `.tif`, `.tiff`, `.btf` and `.tf8` are TIFF, `.npy` is NumPy's format, and
//! everything else is raw little-endian elements.
//!
//! # Invariants
//!
//! - At most one block is in memory: the caller's. A page is as large as the array's shape allows before room is made
//!   for it, and no larger than what its file could possibly hold. A value in the directory of a TIFF page takes up to 32 times
//!   its bytes in the file, and at most 256 MiB.
//! - Values come through as they are stored. In particular no grey scale is inverted because its file asks for that
//!   when it is shown.
//! - Every file is checked against the array when it is opened, every page before it is decoded.
//!
//! # Failure
//!
//! All errors name the file and, in a stack, the page. What was handed out before an error is right. Damaged files are
//! refused; they cannot make the reader panic, loop or take memory beyond the above.
//!
//! # What it does not do
//!
//! It neither converts types nor scales, crops or transposes. It reads no pyramids, masks, palettes, bit-packed or
//! planar samples: they are refused by name.

mod elements;
mod error;
mod imagej;
mod names;
mod npy;
mod tiff;

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::ops::Deref;
use std::path::{Path, PathBuf};

pub use error::InputError;

use crate::dtype::DataType;
use elements::Elements;
use imagej::Stack;
use tiff::Pages;

/// What an array's frames look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The type of the elements.
    pub dtype: DataType,
    /// The shape, without the append dimension. Empty for an array of one dimension.
    pub shape: Vec<u64>,
}

impl Frame {
    /// Bytes of one frame, or `None` if that is more than a number can say.
    pub fn bytes(&self) -> Option<u64> {
        product(&self.shape)?.checked_mul(self.dtype.size() as u64)
    }
}

/// What the caller knows of the frames. What is left out is taken from the first file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The type of the elements.
    pub dtype: Option<DataType>,
    /// The shape of a frame, without the append dimension.
    pub shape: Option<Vec<u64>>,
}

impl Known {
    /// Completes what is known by what a file says, which must not contradict.
    fn settle(&self, path: &Path, found: Frame) -> Result<Frame, InputError> {
        let differs = |what, expected: String, found: String| InputError::Differs {
            path: path.to_owned(),
            page: None,
            what,
            expected,
            found,
        };
        if let Some(dtype) = self.dtype
            && dtype != found.dtype
        {
            return Err(differs("data type", dtype.to_string(), found.dtype.to_string()));
        }
        Ok(Frame { dtype: found.dtype, shape: self.shape.clone().unwrap_or(found.shape) })
    }
}

/// Bytes on their way from a file to an array. Its room is kept when it is filled again.
#[derive(Default)]
pub struct Block {
    /// As long as the most that was ever asked for, so that it is made zero once.
    room: Vec<u8>,
    len: usize,
}

impl Block {
    /// Bytes that a block takes unless a page is larger.
    pub const USUAL: usize = 4 << 20;

    /// Room for `len` bytes, which count once [`filled`](Block::filled) says so.
    fn space(&mut self, len: usize) -> Result<&mut [u8], std::collections::TryReserveError> {
        self.len = 0;
        if self.room.len() < len {
            self.room = Vec::new();
            self.room.try_reserve_exact(len)?;
            self.room.resize(len, 0);
        }
        Ok(&mut self.room[..len])
    }

    fn filled(&mut self, len: usize) {
        self.len = len;
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.room[..self.len]
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("len", &self.len).field("room", &self.room.len()).finish()
    }
}

/// Frames from files or a stream.
#[derive(Debug)]
pub struct Input {
    frame: Frame,
    frame_bytes: u64,
    /// Bytes handed out.
    bytes: u64,
    source: Option<Source>,
    /// The files after that.
    later: VecDeque<PathBuf>,
    /// The name of what was opened last.
    last: PathBuf,
}

/// What is being read.
#[derive(Debug)]
enum Source {
    Elements(Elements),
    Pages(Box<Pages>),
    Stack(Stack),
}

impl Input {
    /// The raw little-endian elements that come out of `reader`, which errors call `name`.
    ///
    /// # Errors
    /// [`InputError::NotKnown`] if `known` lacks the type or the shape: a stream does not tell.
    pub fn from_reader(
        reader: impl Read + Send + 'static,
        name: impl Into<PathBuf>,
        known: &Known,
    ) -> Result<Self, InputError> {
        let name = name.into();
        let frame = told(&name, known)?;
        let source = Source::Elements(Elements::stream(Box::new(reader), &name));
        Input::new(frame, name, Some(source), VecDeque::new())
    }

    /// The frames in the files that `patterns` name, in that order. A pattern may hold `*`, `?`, `[..]` and `**`; what
    /// matches one is taken in natural order (`frame_2` before `frame_10`). A name that exists is no pattern.
    ///
    /// Without a shape in `known`, a page of a TIFF stack is a frame, the first dimension of a `.npy` file of three and
    /// more dimensions (and of one) is the append dimension, and a `.npy` file of two dimensions is one frame. With one,
    /// a page is as the last dimensions of the frame say, and the first dimension of a `.npy` file is the append
    /// dimension unless the file is one frame.
    ///
    /// # Errors
    /// [`InputError`], when a pattern matches nothing, or about the first file.
    pub fn open<P: AsRef<Path>>(patterns: &[P], known: &Known) -> Result<Self, InputError> {
        let mut later = names::expand(patterns)?;
        let first = later.pop_front().unwrap_or_default();
        let (frame, source) = open_first(&first, known)?;
        Input::new(frame, first, Some(source), later)
    }

    fn new(frame: Frame, first: PathBuf, source: Option<Source>, later: VecDeque<PathBuf>) -> Result<Self, InputError> {
        match frame.bytes() {
            Some(frame_bytes) if frame_bytes > 0 => {
                Ok(Input { frame, frame_bytes, bytes: 0, source, later, last: first })
            }
            _ => Err(InputError::NoFrame { path: first, shape: frame.shape }),
        }
    }

    /// What the frames look like.
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// Fills `block` with the bytes that follow. False at the end, and `block` is empty then. A block ends anywhere,
    /// also within an element.
    ///
    /// # Errors
    /// [`InputError`]. What came before is right; nothing comes after.
    pub fn next_block(&mut self, block: &mut Block) -> Result<bool, InputError> {
        block.filled(0);
        loop {
            let Some(source) = &mut self.source else {
                let Some(path) = self.later.pop_front() else {
                    return self.end().map(|()| false);
                };
                self.source = Some(open_next(&path, &self.frame)?);
                self.last = path;
                continue;
            };
            let more = match source {
                Source::Elements(elements) => elements.next_block(block),
                Source::Pages(pages) => pages.next_page(&self.frame, block),
                Source::Stack(stack) => stack.next_block(block),
            };
            match more {
                Ok(true) => {
                    self.bytes += block.len() as u64;
                    return Ok(true);
                }
                // Pages make up frames across files; elements without a shape of their own do not: a file that lacks
                // some would shift all that follow.
                Ok(false) => {
                    let pages = matches!(source, Source::Pages(_) | Source::Stack(_));
                    self.source = None;
                    if !pages {
                        self.end()?;
                    }
                }
                Err(error) => {
                    block.filled(0);
                    self.stop();
                    return Err(error);
                }
            }
        }
    }

    /// Nothing comes after an error.
    fn stop(&mut self) {
        self.source = None;
        self.later.clear();
        self.bytes -= self.bytes % self.frame_bytes;
    }

    /// Checks that what was read is whole frames.
    fn end(&mut self) -> Result<(), InputError> {
        let (frame, over) = (self.bytes / self.frame_bytes, self.bytes % self.frame_bytes);
        if over == 0 {
            return Ok(());
        }
        self.stop();
        Err(InputError::EndsInFrame { path: self.last.clone(), frame, bytes: over, frame_bytes: self.frame_bytes })
    }
}

/// The kinds of files.
enum Kind {
    Tiff,
    Npy,
    Raw,
}

fn kind(path: &Path) -> Kind {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    match ending.as_str() {
        "tif" | "tiff" | "btf" | "tf8" => Kind::Tiff,
        "npy" => Kind::Npy,
        _ => Kind::Raw,
    }
}

/// Opens the file that tells what the others must be like.
fn open_first(path: &Path, known: &Known) -> Result<(Frame, Source), InputError> {
    match kind(path) {
        Kind::Tiff => {
            let mut pages = Pages::open(path)?;
            let frame = known.settle(path, pages.frame()?)?;
            let source = stack_or_pages(pages, path, &frame)?;
            Ok((frame, source))
        }
        Kind::Npy => {
            let npy = npy::Header::open(path)?;
            let frame = known.settle(path, npy.frame())?;
            let elements = npy.elements(&frame)?;
            Ok((frame, Source::Elements(elements)))
        }
        Kind::Raw => {
            let frame = told(path, known)?;
            Ok((frame, Source::Elements(raw(path)?)))
        }
    }
}

fn open_next(path: &Path, frame: &Frame) -> Result<Source, InputError> {
    match kind(path) {
        Kind::Tiff => stack_or_pages(Pages::open(path)?, path, frame),
        Kind::Npy => npy::Header::open(path)?.elements(frame).map(Source::Elements),
        Kind::Raw => raw(path).map(Source::Elements),
    }
}

fn stack_or_pages(mut pages: Pages, path: &Path, frame: &Frame) -> Result<Source, InputError> {
    match pages.behind_one_directory(frame)? {
        Some(extent) => Ok(Source::Stack(Stack::open(path, extent)?)),
        None => Ok(Source::Pages(Box::new(pages))),
    }
}

fn raw(path: &Path) -> Result<Elements, InputError> {
    let file = File::open(path).map_err(|error| InputError::io("open", path, error))?;
    Ok(Elements::stream(Box::new(file), path))
}

/// What is known of a source that does not tell.
fn told(path: &Path, known: &Known) -> Result<Frame, InputError> {
    match (known.dtype, &known.shape) {
        (Some(dtype), Some(shape)) => Ok(Frame { dtype, shape: shape.clone() }),
        (dtype, shape) => {
            Err(InputError::NotKnown { path: path.to_owned(), dtype: dtype.is_none(), shape: shape.is_none() })
        }
    }
}

/// The number of elements of `shape`, or `None` if it does not fit.
fn product(shape: &[u64]) -> Option<u64> {
    shape.iter().try_fold(1u64, |all, &extent| all.checked_mul(extent))
}
