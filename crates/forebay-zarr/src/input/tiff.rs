//! `Pages`: the pages of a TIFF file, one after the other.
//!
//! The directories and the pixels are read by crate `tiff`. It trusts some numbers of a file more than is good, so what
//! decides about memory is checked here before a pixel is decoded: see [`Pages::look`].

use std::fs::File;
use std::io::BufReader;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use tiff::decoder::{ChunkType, Decoder, DecodingSampleType, Limits};
use tiff::tags::{CompressionMethod, PhotometricInterpretation, PlanarConfiguration, Tag};
use tiff::{TiffError, TiffResult};

use super::error::Shape;
use super::imagej::{self, Extent};
use super::{Block, Frame, InputError, product};
use crate::dtype::DataType;

/// No compression makes data smaller by more (LZW 2558, deflate 1032, packed bits 64): a page that is larger than its
/// file times this is none.
const SMALLEST: u64 = 4096;

/// Bytes of a row of tiles, in terms of the page's, and at least.
const ROOM_IN_TILES: (u64, u64) = (16, 16 << 20);

/// A file that is read page by page.
pub(super) struct Pages {
    decoder: Decoder<BufReader<File>>,
    path: PathBuf,
    file_len: u64,
    /// The number of the page that comes next.
    page: u64,
    /// Whether the decoder has read that page's directory.
    ready: bool,
}

/// What a directory says of its page.
struct Page {
    shape: Vec<u64>,
    dtype: DataType,
    bytes: u64,
    /// The decoder inverts the values.
    inverted: bool,
}

impl Pages {
    pub(super) fn open(path: &Path) -> Result<Self, InputError> {
        let io = |operation, error| InputError::io(operation, path, error);
        let file = File::open(path).map_err(|error| io("open", error))?;
        let file_len = file.metadata().map_err(|error| io("look at", error))?.len();
        let decoder = guarded(path, 0, || Decoder::new(BufReader::new(file)))?;
        // What is not known before a page has been looked at: `decoding_buffer_size` is for buffers of the decoder's own,
        // which are not used; compressed data is streamed.
        let mut limits = Limits::default();
        limits.intermediate_buffer_size = usize::MAX;
        Ok(Pages { decoder: decoder.with_limits(limits), path: path.to_owned(), file_len, page: 0, ready: true })
    }

    /// A frame, if each page is one.
    pub(super) fn frame(&mut self) -> Result<Frame, InputError> {
        let Page { shape, dtype, .. } = self.look()?;
        Ok(Frame { dtype, shape })
    }

    /// Where the pixels of all pages are, if the file has one directory for all of them. The first page, at least, is as
    /// `frame` says.
    pub(super) fn behind_one_directory(&mut self, frame: &Frame) -> Result<Option<Extent>, InputError> {
        let page = self.look()?;
        self.compare(&page, frame)?;
        if self.decoder.more_images() {
            return Ok(None);
        }
        imagej::extent(&mut self.decoder, page.bytes, page.dtype).map_err(|error| explain(&self.path, 0, error))
    }

    /// Decodes the next page into `block`. False if there is none.
    pub(super) fn next_page(&mut self, frame: &Frame, block: &mut Block) -> Result<bool, InputError> {
        if !self.ready {
            if !self.decoder.more_images() {
                return Ok(false);
            }
            guarded(&self.path, self.page, || self.decoder.next_image())?;
        }
        self.ready = false;
        let page = self.look()?;
        self.compare(&page, frame)?;
        let too_large = || InputError::Memory { path: self.path.clone(), page: self.page, bytes: page.bytes };
        let len = usize::try_from(page.bytes).map_err(|_| too_large())?;
        let room = block.space(len).map_err(|_| too_large())?;
        guarded(&self.path, self.page, || self.decoder.read_image_bytes(room))?;
        if page.inverted {
            room.iter_mut().for_each(|byte| *byte = !*byte);
        }
        if cfg!(target_endian = "big") {
            room.chunks_exact_mut(page.dtype.size()).for_each(<[u8]>::reverse);
        }
        block.filled(len);
        self.page += 1;
        Ok(true)
    }

    /// What the directory says of the page, if the page can be read.
    fn look(&mut self) -> Result<Page, InputError> {
        let (path, number) = (self.path.clone(), self.page);
        let explain = |error| explain(&path, number, error);
        let unsupported = |what: String| InputError::unsupported(&path, Some(number), what);
        let damaged = |reason: &str| InputError::damaged(&path, Some(number), reason);

        let decoder = &mut self.decoder;
        let (width, height) = decoder.dimensions().map_err(explain)?;
        let tag = |decoder: &mut Decoder<_>, tag, default| -> Result<u16, InputError> {
            Ok(decoder.find_tag_unsigned(tag).map_err(explain)?.unwrap_or(default))
        };
        let samples = tag(decoder, Tag::SamplesPerPixel, 1)?;
        let planar = tag(decoder, Tag::PlanarConfiguration, 1)? == PlanarConfiguration::Planar.to_u16();
        if planar && samples > 1 {
            return Err(unsupported(format!("{samples} samples in planes of their own (planar configuration)")));
        }
        // The decoder reads tiles row by row, and its LZW loses its way between rows (image-rs/image-tiff#395).
        let compression = tag(decoder, Tag::Compression, 1)?;
        if compression == CompressionMethod::LZW.to_u16() && decoder.get_chunk_type() == ChunkType::Tile {
            return Err(unsupported("tiles compressed by LZW (strips may be)".into()));
        }
        let color = decoder.colortype().map_err(explain)?;
        let layout = decoder.image_buffer_layout().map_err(explain)?;
        let bits = color.bit_depth();
        let dtype = match layout.sample_type.filter(|_| [8, 16, 32, 64].contains(&bits)) {
            Some(sample) => data_type(sample),
            None => return Err(unsupported(format!("samples of {bits} bits ({:?})", layout.sample_format))),
        };
        if color.num_samples() != samples {
            return Err(unsupported(format!("{samples} samples a pixel for {color:?}")));
        }
        let inverted =
            tag(decoder, Tag::PhotometricInterpretation, 1)? == PhotometricInterpretation::WhiteIsZero.to_u16();
        if inverted && matches!(dtype, DataType::Float32 | DataType::Float64) {
            return Err(unsupported("floating-point samples of which 0 is white".into()));
        }

        let mut shape = vec![u64::from(height), u64::from(width)];
        if samples > 1 {
            shape.push(u64::from(samples));
        }
        let size = dtype.size() as u64;
        let bytes = product(&shape).and_then(|elements| elements.checked_mul(size));
        let bytes = bytes.filter(|bytes| usize::try_from(*bytes).ok() == Some(layout.complete_len));
        let bytes = bytes.ok_or_else(|| damaged("its size is impossible"))?;
        if bytes > self.file_len.saturating_mul(SMALLEST) {
            return Err(damaged("the file is too small for a page of this size"));
        }
        // The decoder makes room for a row of tiles, and reads what is behind the edge of a page.
        let row = u64::from(decoder.chunk_dimensions().0).checked_mul(u64::from(samples) * size);
        if row.is_none_or(|row| row > bytes.saturating_mul(ROOM_IN_TILES.0).max(ROOM_IN_TILES.1)) {
            return Err(damaged("its tiles are far larger than the page"));
        }
        Ok(Page { shape, dtype, bytes, inverted })
    }

    /// Checks that the page is as the last dimensions of a frame say.
    fn compare(&self, page: &Page, frame: &Frame) -> Result<(), InputError> {
        let differs = |what, expected: String, found: String| InputError::Differs {
            path: self.path.clone(),
            page: Some(self.page),
            what,
            expected,
            found,
        };
        if page.dtype != frame.dtype {
            return Err(differs("data type", frame.dtype.to_string(), page.dtype.to_string()));
        }
        if !frame.shape.ends_with(&page.shape) {
            return Err(differs("shape", Shape(&frame.shape).to_string(), Shape(&page.shape).to_string()));
        }
        Ok(())
    }
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").field("path", &self.path).field("page", &self.page).finish_non_exhaustive()
    }
}

/// What the decoder does, whose arithmetic overflows on some damaged files: an error of those files, also where overflow
/// is checked and panics. Nobody uses the decoder after that.
fn guarded<T>(path: &Path, page: u64, decode: impl FnOnce() -> TiffResult<T>) -> Result<T, InputError> {
    match panic::catch_unwind(AssertUnwindSafe(decode)) {
        Ok(done) => done.map_err(|error| explain(path, page, error)),
        Err(_) => Err(InputError::damaged(path, Some(page), "its numbers are impossible")),
    }
}

/// The decoder's error, with its place.
fn explain(path: &Path, page: u64, error: TiffError) -> InputError {
    match error {
        TiffError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            InputError::damaged(path, Some(page), "the file ends early")
        }
        TiffError::IoError(error) if error.raw_os_error().is_some() => InputError::io("read", path, error),
        TiffError::UnsupportedError(what) => InputError::unsupported(path, Some(page), what.to_string()),
        error => InputError::damaged(path, Some(page), error.to_string()),
    }
}

fn data_type(sample: DecodingSampleType) -> DataType {
    match sample {
        DecodingSampleType::U8 => DataType::UInt8,
        DecodingSampleType::U16 => DataType::UInt16,
        DecodingSampleType::U32 => DataType::UInt32,
        DecodingSampleType::U64 => DataType::UInt64,
        DecodingSampleType::I8 => DataType::Int8,
        DecodingSampleType::I16 => DataType::Int16,
        DecodingSampleType::I32 => DataType::Int32,
        DecodingSampleType::I64 => DataType::Int64,
        DecodingSampleType::F16 => DataType::Float16,
        DecodingSampleType::F32 => DataType::Float32,
        DecodingSampleType::F64 => DataType::Float64,
    }
}
