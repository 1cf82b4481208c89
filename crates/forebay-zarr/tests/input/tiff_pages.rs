//! TIFF stacks with a directory for each page.

use std::io::Cursor;

use forebay_zarr::DataType;
use forebay_zarr::input::{InputError, Known};
use tiff::encoder::colortype::{Gray8, Gray16, Gray32Float, RGB8};
use tiff::encoder::{Compression, DeflateLevel, TiffEncoder};
use tiff::tags::Predictor;

use crate::builder::{Format, Page, tiff};
use crate::harness::{Files, known, noise, swapped};

const CLASSIC: Format = Format { big_endian: false, big: false };
const FORMATS: [Format; 4] = [
    CLASSIC,
    Format { big_endian: true, big: false },
    Format { big_endian: false, big: true },
    Format { big_endian: true, big: true },
];

/// Type, bits, sample format.
const TYPES: [(DataType, u64, u64); 11] = [
    (DataType::UInt8, 8, 1),
    (DataType::UInt16, 16, 1),
    (DataType::UInt32, 32, 1),
    (DataType::UInt64, 64, 1),
    (DataType::Int8, 8, 2),
    (DataType::Int16, 16, 2),
    (DataType::Int32, 32, 2),
    (DataType::Int64, 64, 2),
    (DataType::Float16, 16, 3),
    (DataType::Float32, 32, 3),
    (DataType::Float64, 64, 3),
];

#[test]
fn every_type_in_either_byte_order_in_classic_and_big_files() {
    for (dtype, bits, sample) in TYPES {
        for format in FORMATS {
            let size = dtype.size();
            let pages: Vec<Vec<u8>> = (0..3).map(|page| noise(page, 5 * 7 * size)).collect();
            let stored = |pixels: &[u8]| if format.big_endian { swapped(pixels, size) } else { pixels.to_vec() };
            let file: Vec<Page> = pages
                .iter()
                .map(|pixels| {
                    let chunks = pixels.chunks(2 * 7 * size).map(stored).collect();
                    Page { rows_per_strip: 2, chunks, ..Page::grey(7, 5, bits, sample, &[]) }
                })
                .collect();
            let files = Files::new();
            files.put("stack.tif", tiff(format, &file));
            let read = files.read(&["stack.tif"], &Known::default()).unwrap();
            assert_eq!((read.frame.dtype, &read.frame.shape[..]), (dtype, &[5, 7][..]), "{format:?}");
            assert_eq!(read.whole(), pages.concat(), "{dtype} {format:?}");
        }
    }
}

#[test]
fn tiles_are_cut_at_the_edges_of_the_page() {
    let (width, height, tile) = (40u64, 23u64, 16u64);
    let pixels = noise(7, (width * height * 2) as usize);
    for format in FORMATS {
        let mut chunks = Vec::new();
        for top in (0..height).step_by(tile as usize) {
            for left in (0..width).step_by(tile as usize) {
                let mut chunk = vec![0xee; (tile * tile * 2) as usize];
                for row in 0..tile.min(height - top) {
                    let len = (tile.min(width - left) * 2) as usize;
                    let (from, to) = ((((top + row) * width + left) * 2) as usize, (row * tile * 2) as usize);
                    chunk[to..to + len].copy_from_slice(&pixels[from..from + len]);
                }
                chunks.push(if format.big_endian { swapped(&chunk, 2) } else { chunk });
            }
        }
        let files = Files::new();
        let page = Page { tile: Some((tile, tile)), chunks, ..Page::grey(width, height, 16, 1, &[]) };
        files.put("tiled.tiff", tiff(format, &[page.clone(), page]));
        let read = files.read(&["tiled.tiff"], &known(DataType::UInt16, &[height, width])).unwrap();
        assert_eq!(read.whole(), [&pixels[..], &pixels].concat(), "{format:?}");
    }
}

#[test]
fn every_compression_with_and_without_a_predictor() {
    let pages: Vec<Vec<u16>> = (0..4).map(|page| (0..61 * 33).map(|i| (i / 3 + page * 7) as u16).collect()).collect();
    let expected: Vec<u8> = pages.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    for (name, compression) in [
        ("none", Compression::Uncompressed),
        ("LZW", Compression::Lzw),
        ("deflate", Compression::Deflate(DeflateLevel::Fast)),
        ("PackBits", Compression::Packbits),
    ] {
        for predictor in [Predictor::None, Predictor::Horizontal] {
            let mut file = Cursor::new(Vec::new());
            let mut encoder =
                TiffEncoder::new(&mut file).unwrap().with_compression(compression).with_predictor(predictor);
            for page in &pages {
                let mut image = encoder.new_image::<Gray16>(61, 33).unwrap();
                image.rows_per_strip(10).unwrap();
                image.write_data(page).unwrap();
            }
            let files = Files::new();
            files.put("stack.tif", file.into_inner());
            let read = files.read(&["stack.tif"], &Known::default()).unwrap();
            assert_eq!(read.whole(), expected, "{name} {predictor:?}");
        }
    }
}

/// A stack in one file, as the library writes it.
macro_rules! stack {
    ($kind:ty, $width:expr, $height:expr, $pages:expr) => {{
        let mut file = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut file).unwrap();
        for page in $pages {
            encoder.write_image::<$kind>($width, $height, page).unwrap();
        }
        file.into_inner()
    }};
}

#[test]
fn samples_of_a_pixel_are_one_more_dimension_if_the_shape_says_so() {
    let pixels = noise(1, 6 * 4 * 3);
    let files = Files::new();
    files.put("rgb.tif", stack!(RGB8, 6, 4, [&pixels]));
    let read = files.read(&["rgb.tif"], &Known::default()).unwrap();
    assert_eq!(read.frame.shape, [4, 6, 3]);
    assert_eq!(read.whole(), pixels);
    let error = files.read(&["rgb.tif"], &known(DataType::UInt8, &[4, 6])).unwrap_err().to_string();
    assert!(error.ends_with("rgb.tif, page 0: the shape is 4,6,3, but the array's is 4,6"), "{error}");
}

#[test]
fn values_are_not_inverted_where_zero_is_white() {
    let pixels = noise(2, 6 * 4 * 2);
    let files = Files::new();
    let page = Page { photometric: 0, ..Page::grey(6, 4, 16, 1, &pixels) };
    files.put("white.tif", tiff(CLASSIC, &[page]));
    assert_eq!(files.read(&["white.tif"], &Known::default()).unwrap().whole(), pixels);
}

#[test]
fn pages_of_several_files_make_up_volumes() {
    let slices: Vec<Vec<u8>> = (0..6).map(|z| noise(z, 5 * 7)).collect();
    let files = Files::new();
    // Three slices are a frame; the files hold four and two.
    files.put("a.tif", stack!(Gray8, 7, 5, &slices[..4]));
    files.put("b.tif", stack!(Gray8, 7, 5, &slices[4..]));
    let volume = known(DataType::UInt8, &[3, 5, 7]);
    assert_eq!(files.read(&["a.tif", "b.tif"], &volume).unwrap().whole(), slices.concat());
    let (bytes, error) = files.read(&["a.tif"], &volume).unwrap().broken();
    assert_eq!(bytes, slices[..4].concat());
    assert!(error.ends_with("a.tif ends in the middle of frame 1: 35 of its 105 bytes are there"), "{error}");
}

#[test]
fn a_page_of_another_size_or_type_is_refused_with_its_number() {
    let good = [1u16; 8 * 4];
    let files = Files::new();
    files.put("a.tif", stack!(Gray16, 8, 4, [&good, &good]));
    files.put("narrow.tif", stack!(Gray16, 4, 8, [&good]));
    files.put("float.tif", stack!(Gray32Float, 8, 4, [&[1.0; 8 * 4]]));
    let mut odd = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut odd).unwrap();
    encoder.write_image::<Gray16>(8, 4, &good).unwrap();
    encoder.write_image::<Gray16>(8, 3, &good[..24]).unwrap();
    files.put("odd.tif", odd.into_inner());
    for (second, text, frames) in [
        ("narrow.tif", "narrow.tif, page 0: the shape is 8,4, but the array's is 4,8", 2),
        ("float.tif", "float.tif, page 0: the data type is float32, but the array's is uint16", 2),
        ("odd.tif", "odd.tif, page 1: the shape is 3,8, but the array's is 4,8", 3),
    ] {
        let (bytes, error) = files.read(&["a.tif", second], &Known::default()).unwrap().broken();
        assert_eq!(bytes.len(), frames * 64, "{second}");
        assert!(error.ends_with(text), "{error}");
    }
    let error = files.read(&["a.tif"], &known(DataType::Int16, &[4, 8])).unwrap_err();
    assert!(matches!(error, InputError::Differs { what: "data type", .. }), "{error}");
}

#[test]
fn what_is_not_read_is_refused_by_name() {
    let grey = Page::grey(8, 4, 8, 1, &[0; 32]);
    for (page, text) in [
        (Page { bits: 12, ..grey.clone() }, "samples of 12 bits"),
        (Page { bits: 1, ..grey.clone() }, "samples of 1 bits"),
        (Page { photometric: 3, ..grey.clone() }, "RGBPalette"),
        (Page { compression: 7, ..grey.clone() }, "ModernJPEG"),
        (Page { compression: 5, tile: Some((16, 16)), ..grey.clone() }, "tiles compressed by LZW"),
        (
            Page { samples: 3, photometric: 2, planar: 2, chunks: vec![vec![0; 32]; 3], ..grey.clone() },
            "3 samples in planes of their own",
        ),
    ] {
        let files = Files::new();
        files.put("page.tif", tiff(CLASSIC, &[page]));
        let error = match files.read(&["page.tif"], &Known::default()) {
            Ok(read) => read.error.expect("an error"),
            Err(error) => error,
        };
        assert!(matches!(error, InputError::Unsupported { page: Some(0), .. }), "{error:?}");
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn damaged_files_are_refused_before_they_cost_memory() {
    let grey = Page::grey(8, 4, 8, 1, &[0; 32]);
    let large = 1 << 30;
    for page in [
        Page { width: large, height: large, rows_per_strip: large, ..grey.clone() },
        Page { width: 0, ..grey.clone() },
        Page { tile: Some((large, 16)), ..grey.clone() },
        Page { tile: Some((0, 16)), ..grey.clone() },
        Page { rows_per_strip: 1, ..grey.clone() },
        Page { rows_per_strip: 0, ..grey.clone() },
        Page { chunks: vec![vec![0; 3]], width: 1000, ..grey.clone() },
    ] {
        let files = Files::new();
        files.put("page.tif", tiff(CLASSIC, std::slice::from_ref(&page)));
        let error = match files.read(&["page.tif"], &Known::default()) {
            Ok(read) => read.error.expect("an error"),
            Err(error) => error,
        };
        assert!(matches!(error, InputError::Damaged { page: Some(0), .. }), "{page:?}: {error:?}");
    }
    for bytes in [&b""[..], b"II", b"II*\0", b"II*\0\x08\0\0\0", b"hello, I am no TIFF file"] {
        let files = Files::new();
        files.put("page.tif", bytes);
        let error = files.read(&["page.tif"], &Known::default()).unwrap_err();
        assert!(matches!(error, InputError::Damaged { .. }), "{error:?}");
    }
}

#[test]
fn a_file_that_was_cut_off_gives_the_pages_that_are_whole() {
    let pages: Vec<Vec<u8>> = (0..4).map(|page| noise(page, 32)).collect();
    let stack: Vec<Page> = pages.iter().map(|pixels| Page::grey(8, 4, 8, 1, pixels)).collect();
    let mut bytes = tiff(CLASSIC, &stack);
    bytes.truncate(bytes.len() - 40);
    let files = Files::new();
    files.put("stack.tif", bytes);
    let (bytes, error) = files.read(&["stack.tif"], &Known::default()).unwrap().broken();
    assert_eq!(bytes, pages[..3].concat());
    assert!(error.contains("stack.tif, page 3: "), "{error}");
}
