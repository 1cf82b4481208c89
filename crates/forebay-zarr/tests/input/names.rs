//! Which files patterns name, and in which order.

use forebay_zarr::DataType;
use forebay_zarr::input::{InputError, Known};

use crate::harness::{Files, known};

/// Puts files that hold a byte each, and says in which order they come.
fn order(files: &Files, names: &[&str], patterns: &[&str]) -> Vec<String> {
    for (at, name) in names.iter().enumerate() {
        files.put(name, [at as u8]);
    }
    let bytes = files.read(patterns, &known(DataType::UInt8, &[1])).unwrap().whole();
    bytes.iter().map(|&at| names[usize::from(at)].to_owned()).collect()
}

#[test]
fn numbers_in_names_count_as_numbers() {
    let names = ["frame_10.raw", "frame_9.raw", "frame_2.raw", "frame_100.raw", "frame_1.raw"];
    let expected = ["frame_1.raw", "frame_2.raw", "frame_9.raw", "frame_10.raw", "frame_100.raw"];
    assert_eq!(order(&Files::new(), &names, &["frame_*.raw"]), expected);
    let names = ["b/1.raw", "a10/1.raw", "a9/2.raw", "a9/1.raw"];
    assert_eq!(order(&Files::new(), &names, &["*/*.raw"]), ["a9/1.raw", "a9/2.raw", "a10/1.raw", "b/1.raw"]);
    let names = ["f_003.raw", "f_001.raw", "f_010.raw", "f_002.raw"];
    assert_eq!(order(&Files::new(), &names, &["f_*"]), ["f_001.raw", "f_002.raw", "f_003.raw", "f_010.raw"]);
}

#[test]
fn patterns_count_in_the_order_given() {
    let names = ["a1.raw", "a2.raw", "b1.raw", "b2.raw"];
    let expected = ["b1.raw", "b2.raw", "a2.raw", "a1.raw", "a2.raw"];
    assert_eq!(order(&Files::new(), &names, &["b?.raw", "a2.raw", "a[12].raw"]), expected);
}

#[test]
fn a_name_that_exists_is_no_pattern() {
    let names = ["a[1].raw", "a1.raw"];
    assert_eq!(order(&Files::new(), &names, &["a[1].raw"]), ["a[1].raw"]);
}

#[test]
fn directories_do_not_match() {
    let files = Files::new();
    std::fs::create_dir(files.path("a0")).unwrap();
    assert_eq!(order(&files, &["a1"], &["a*"]), ["a1"]);
}

#[test]
fn nothing_that_matches_is_an_error_with_the_pattern() {
    let files = Files::new();
    let error = files.read(&["*.tif"], &Known::default()).unwrap_err();
    assert!(matches!(&error, InputError::NoMatch { pattern } if pattern.ends_with("*.tif")), "{error}");
    let error = files.read(&["a[", "b"], &Known::default()).unwrap_err();
    assert!(matches!(&error, InputError::Pattern { .. }) && error.to_string().contains("a['"), "{error}");
    assert!(matches!(files.read(&[], &Known::default()).unwrap_err(), InputError::NoMatch { .. }));
}
