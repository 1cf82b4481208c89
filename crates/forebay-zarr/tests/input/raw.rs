//! Elements as they are, from files and from a stream.

use std::io;

use forebay_zarr::DataType;
use forebay_zarr::input::{Input, InputError, Known};

use crate::harness::{Files, known, noise, read};

#[test]
fn files_follow_each_other() {
    // More than a block, and no multiple of one.
    let (one, two) = (noise(1, 9_000_000), noise(2, 3_000_000));
    let files = Files::new();
    files.put("a.raw", &one);
    files.put("b.dat", &two);
    let read = files.read(&["a.raw", "b.dat"], &known(DataType::UInt16, &[1000, 1500])).unwrap();
    assert_eq!(read.whole(), [one, two].concat());
}

#[test]
fn a_file_that_is_no_whole_frames_ends_there_and_shifts_nothing() {
    let files = Files::new();
    files.put("a.raw", noise(1, 250));
    files.put("b.raw", noise(1, 350));
    let (bytes, error) = files.read(&["a.raw", "b.raw"], &known(DataType::UInt8, &[100])).unwrap().broken();
    assert_eq!(bytes.len(), 250);
    assert!(error.ends_with("a.raw ends in the middle of frame 2: 50 of its 100 bytes are there"), "{error}");
}

#[test]
fn a_stream_may_come_in_any_pieces() {
    struct Drops(Vec<u8>, usize);
    impl io::Read for Drops {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.1 += 1;
            if self.1.is_multiple_of(3) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let len = self.0.len().min(out.len()).min(self.1 % 5 + 1);
            out[..len].copy_from_slice(&self.0[..len]);
            self.0.drain(..len);
            Ok(len)
        }
    }
    let bytes = noise(1, 120);
    let stream = Drops(bytes.clone(), 0);
    let input = Input::from_reader(stream, "standard input", &known(DataType::UInt32, &[5])).unwrap();
    assert_eq!(read(input).whole(), bytes);
    let input = Input::from_reader(Drops(bytes, 0), "standard input", &known(DataType::UInt32, &[4])).unwrap();
    let (_, error) = read(input).broken();
    assert_eq!(error, "standard input ends in the middle of frame 7: 8 of its 16 bytes are there");
}

#[test]
fn raw_elements_do_not_tell_what_they_are() {
    let files = Files::new();
    files.put("a.bin", [0; 8]);
    for (known, text) in [
        (Known::default(), "neither the data type nor the shape of a frame is given"),
        (Known { dtype: Some(DataType::UInt8), shape: None }, "no shape of a frame is given"),
        (Known { dtype: None, shape: Some(vec![2]) }, "no data type is given"),
    ] {
        let error = files.read(&["a.bin"], &known).unwrap_err();
        assert!(matches!(error, InputError::NotKnown { .. }) && error.to_string().ends_with(text), "{error}");
    }
    let error = Input::from_reader(io::empty(), "standard input", &Known::default()).unwrap_err().to_string();
    assert!(error.starts_with("standard input holds raw elements"), "{error}");
}

#[test]
fn frames_without_elements_and_frames_that_cannot_be_counted_are_refused() {
    for shape in [&[0, 5][..], &[u64::MAX, 2], &[1 << 61, 4]] {
        let error = Input::from_reader(io::empty(), "standard input", &known(DataType::UInt16, shape)).unwrap_err();
        assert!(matches!(error, InputError::NoFrame { .. }), "{error}");
    }
}

#[test]
fn a_failed_read_is_an_error_with_the_file() {
    let files = Files::new();
    std::fs::create_dir(files.path("dir")).unwrap();
    let (_, error) = files.read(&["dir"], &known(DataType::UInt8, &[1])).unwrap().broken();
    assert!(error.starts_with("read ") && error.contains("dir: "), "{error}");
    let error = Input::open(&[files.path("none.tif")], &Known::default()).unwrap_err();
    assert!(matches!(error, InputError::NoMatch { .. }), "{error}");
}
