//! ImageJ's stacks of more than 4 GiB: offsets of classic TIFF do not reach that far, so there is one directory, which
//! says `images=N` in its description, and the pixels of all pages follow each other behind its first strip.
//! (<https://imagej.net/ij/source/ij/io/TiffEncoder.java>, <https://imagej.net/ij/source/ij/io/TiffDecoder.java>)

use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};
use std::path::Path;

use tiff::TiffResult;
use tiff::decoder::Decoder;
use tiff::tags::{ByteOrder, CompressionMethod, Tag};

use super::elements::Elements;
use super::{Block, InputError};
use crate::dtype::DataType;

/// Bytes of the description in which `images=N` is looked for: it is the second line.
const DESCRIPTION: usize = 256;

/// Where the pixels of a stack are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    offset: u64,
    bytes: u64,
    /// Bytes of an element that is to be reversed; 1 if none is.
    reversed: usize,
}

/// Where the pixels are, of pages of `page_bytes`, if the decoder's only directory stands for a stack.
pub(super) fn extent(
    decoder: &mut Decoder<BufReader<File>>,
    page_bytes: u64,
    dtype: DataType,
) -> TiffResult<Option<Extent>> {
    let mut text = [0; DESCRIPTION];
    let read = decoder.image_ifd().find_tag_bytes(Tag::ImageDescription, &mut text, 0)?;
    let text = &text[..read.unwrap_or(0).min(DESCRIPTION)];
    let Some(images) = images(text).filter(|&images| images > 1) else {
        return Ok(None);
    };
    let compression: Option<u16> = decoder.find_tag_unsigned(Tag::Compression)?;
    if compression.is_some_and(|method| method != CompressionMethod::None.to_u16()) {
        return Ok(None);
    }
    // Strips of the first page that do not follow each other leave no place for a second one.
    let (Some(offsets), Some(counts)) = (
        decoder.find_tag_unsigned_vec::<u64>(Tag::StripOffsets)?,
        decoder.find_tag_unsigned_vec::<u64>(Tag::StripByteCounts)?,
    ) else {
        return Ok(None);
    };
    let follow = offsets.windows(2).zip(&counts).all(|(pair, &count)| pair[0].checked_add(count) == Some(pair[1]));
    let (Some(&offset), true) = (offsets.first(), follow) else {
        return Ok(None);
    };
    let Some(bytes) = images.checked_mul(page_bytes) else {
        return Ok(None);
    };
    let reversed = if decoder.byte_order() == ByteOrder::LittleEndian { 1 } else { dtype.size() };
    Ok(Some(Extent { offset, bytes, reversed }))
}

/// `N` of `images=N` in ImageJ's description.
fn images(text: &[u8]) -> Option<u64> {
    let mut lines = text.split(|&byte| byte == b'\n');
    lines.next().filter(|line| line.starts_with(b"ImageJ="))?;
    let number = lines.find_map(|line| line.strip_prefix(b"images="))?;
    std::str::from_utf8(number).ok()?.trim_end_matches(['\0', '\r']).parse().ok()
}

/// The pages of such a stack.
#[derive(Debug)]
pub(super) struct Stack(Elements);

impl Stack {
    pub(super) fn open(path: &Path, extent: Extent) -> Result<Self, InputError> {
        let mut file = File::open(path).map_err(|error| InputError::io("open", path, error))?;
        file.seek(SeekFrom::Start(extent.offset)).map_err(|error| InputError::io("seek in", path, error))?;
        Ok(Stack(Elements::exactly(Box::new(file), path, extent.bytes, extent.reversed)))
    }

    pub(super) fn next_block(&mut self, block: &mut Block) -> Result<bool, InputError> {
        self.0.next_block(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_images_is_found_in_imagejs_description_only() {
        for (text, expected) in [
            (&b"ImageJ=1.53c\nimages=120\nslices=120\nunit=\xb5m\n\0"[..], Some(120)),
            (b"ImageJ=1.53c\r\nimages=3\r\n", Some(3)),
            (b"ImageJ=1.53c\nslices=120\n", None),
            (b"ImageJ=1.53c\nimages=many\n", None),
            (b"ImageJ=1.53c\nimages=99999999999999999999\n", None),
            (b"other\nimages=120\n", None),
            (b"", None),
        ] {
            assert_eq!(images(text), expected, "{}", text.escape_ascii());
        }
    }
}
