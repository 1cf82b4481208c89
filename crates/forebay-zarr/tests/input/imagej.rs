//! ImageJ's stacks with one directory for all pages.

use forebay_zarr::DataType;
use forebay_zarr::input::Known;

use crate::builder::{Format, Page, tiff};
use crate::harness::{Files, known, noise, swapped};

/// A stack of `says` images of 4 x 8 as it says itself, with these pixels.
fn stack(format: Format, says: usize, pixels: &[u8]) -> Vec<u8> {
    let pixels = if format.big_endian { swapped(pixels, 2) } else { pixels.to_vec() };
    let description = format!("ImageJ=1.54f\nimages={says}\nslices={says}\nloop=false\n\0").into_bytes();
    let page = Page { description: Some(description), chunks: vec![pixels], ..Page::grey(8, 4, 16, 1, &[]) };
    tiff(format, &[page])
}

#[test]
fn all_images_behind_one_directory_are_read() {
    let pixels = noise(1, 5 * 64);
    for big_endian in [true, false] {
        for big in [true, false] {
            let files = Files::new();
            files.put("stack.tif", stack(Format { big_endian, big }, 5, &pixels));
            let read = files.read(&["stack.tif", "stack.tif"], &Known::default()).unwrap();
            assert_eq!(read.frame.shape, [4, 8]);
            assert_eq!(read.whole(), [&pixels[..], &pixels].concat());
        }
    }
}

#[test]
fn images_that_are_not_there_are_missed() {
    let format = Format { big_endian: true, big: false };
    let pixels = noise(1, 5 * 64);
    let file = stack(format, 9, &pixels);
    let files = Files::new();
    files.put("stack.tif", &file);
    let (bytes, error) = files.read(&["stack.tif"], &Known::default()).unwrap().broken();
    // What is behind the pixels, the directory, is taken for pixels as far as it goes.
    assert_eq!(bytes[..pixels.len()], pixels);
    assert!(bytes.len() < 9 * 64);
    assert!(error.contains("stack.tif: the file ends "), "{error}");
}

#[test]
fn a_stack_with_a_directory_for_each_image_is_as_any_other() {
    let format = Format { big_endian: true, big: false };
    let pages: Vec<Vec<u8>> = (0..3).map(|page| noise(page, 64)).collect();
    let mut file: Vec<Page> = pages.iter().map(|pixels| Page::grey(8, 4, 16, 1, &swapped(pixels, 2))).collect();
    file[0].description = Some(b"ImageJ=1.54f\nimages=3\n\0".to_vec());
    let files = Files::new();
    files.put("stack.tif", tiff(format, &file));
    assert_eq!(files.read(&["stack.tif"], &Known::default()).unwrap().whole(), pages.concat());
}

#[test]
fn a_stack_of_another_shape_is_refused() {
    let files = Files::new();
    files.put("stack.tif", stack(Format { big_endian: true, big: false }, 5, &noise(1, 5 * 64)));
    let error = files.read(&["stack.tif"], &known(DataType::UInt16, &[4, 4])).unwrap_err().to_string();
    assert!(error.ends_with("stack.tif, page 0: the shape is 4,8, but the array's is 4,4"), "{error}");
}
