//! NumPy's files.

use forebay_zarr::DataType;
use forebay_zarr::input::{InputError, Known};
use npyz::WriterBuilder;

use crate::harness::{Files, known, noise, swapped};

/// A file with this header text and these bytes behind it.
fn file(header: &str, bytes: &[u8]) -> Vec<u8> {
    let text = format!("{header}\n");
    [b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes(), bytes].concat()
}

fn header(descr: &str, fortran: bool, shape: &str) -> String {
    let fortran = if fortran { "True" } else { "False" };
    format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}")
}

#[test]
fn a_file_of_the_library() {
    let mut bytes = Vec::new();
    let values: Vec<i16> = (0..2 * 3 * 4).collect();
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&[2, 3, 4]).writer(&mut bytes).begin_nd().unwrap();
    writer.extend(&values).unwrap();
    writer.finish().unwrap();
    let files = Files::new();
    files.put("frames.npy", bytes);
    let read = files.read(&["frames.npy"], &Known::default()).unwrap();
    assert_eq!((read.frame.dtype, &read.frame.shape[..]), (DataType::Int16, &[3, 4][..]));
    assert_eq!(read.whole(), values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
}

#[test]
fn every_type_in_either_byte_order() {
    for (dtype, name) in [
        (DataType::Bool, "b1"),
        (DataType::Int8, "i1"),
        (DataType::Int16, "i2"),
        (DataType::Int32, "i4"),
        (DataType::Int64, "i8"),
        (DataType::UInt8, "u1"),
        (DataType::UInt16, "u2"),
        (DataType::UInt32, "u4"),
        (DataType::UInt64, "u8"),
        (DataType::Float16, "f2"),
        (DataType::Float32, "f4"),
        (DataType::Float64, "f8"),
    ] {
        let values = noise(3, 2 * 3 * 4 * dtype.size());
        let orders = if dtype.size() == 1 { &["|"][..] } else { &["<", ">"] };
        for order in orders {
            let stored = if *order == ">" { swapped(&values, dtype.size()) } else { values.clone() };
            let files = Files::new();
            files.put("frames.npy", file(&header(&format!("{order}{name}"), false, "(2, 3, 4)"), &stored));
            let read = files.read(&["frames.npy"], &Known::default()).unwrap();
            assert_eq!(read.frame.dtype, dtype);
            assert_eq!(read.whole(), values, "{order}{name}");
        }
    }
}

#[test]
fn the_first_dimension_is_time_unless_the_file_is_one_frame() {
    let values = noise(3, 24);
    for (shape, frame, known_shape) in [
        ("(2, 3, 4)", &[3, 4][..], None),
        ("(4, 6)", &[4, 6], None),
        ("(24,)", &[], None),
        ("(2, 3, 4)", &[2, 3, 4], Some(&[2, 3, 4][..])),
        ("(4, 6)", &[6], Some(&[6])),
    ] {
        let files = Files::new();
        files.put("a.npy", file(&header("|u1", false, shape), &values));
        let known = Known { dtype: None, shape: known_shape.map(<[u64]>::to_vec) };
        let read = files.read(&["a.npy"], &known).unwrap();
        assert_eq!(read.frame.shape, frame, "{shape}");
        assert_eq!(read.whole(), values);
    }
}

#[test]
fn what_does_not_fit_or_is_not_read_is_refused_by_name() {
    for (header, text) in [
        (header("<u2", true, "(2, 3, 4)"), "Fortran order"),
        (header("<u2", false, "(2, 3, 5)"), "the shape is 2,3,5, but the array's is 3,4 of each frame"),
        (header("<f4", false, "(2, 3, 4)"), "the data type is float32, but the array's is uint16"),
        (header("<c8", false, "(2, 3, 4)"), "elements of type <c8"),
        (header("<u2", false, "()"), "no dimension"),
        ("{'descr': [('a', '<u2')], 'fortran_order': False, 'shape': (3, 4)}".into(), "elements of type [('a', '<u2')"),
    ] {
        let files = Files::new();
        files.put("a.npy", file(&header, &[0; 48]));
        let error = files.read(&["a.npy"], &known(DataType::UInt16, &[3, 4])).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn a_file_that_was_cut_off_gives_what_is_there() {
    for name in ["<u2", ">u2"] {
        let files = Files::new();
        files.put("a.npy", file(&header(name, false, "(2, 3, 4)"), &noise(1, 41)));
        let (bytes, error) = files.read(&["a.npy"], &Known::default()).unwrap().broken();
        assert!(bytes.len() <= 41);
        assert!(error.contains("a.npy: the file ends "), "{error}");
    }
}

#[test]
fn damaged_headers_are_refused() {
    let deep = format!("{{'shape': {}1{}}}", "(".repeat(2000), ")".repeat(2000));
    for bytes in [
        b"".to_vec(),
        b"\x93NUMPY".to_vec(),
        b"\x93NUMPY\x01\x00\xff\xff".to_vec(),
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(),
        b"\x93NUMPY\x09\x00\x00\x00\x00\x00".to_vec(),
        b"no NumPy file, but long enough for its header".to_vec(),
        file("{}", b""),
        file("{'descr': '<u2', 'shape': (1, 2)", b""),
        file(&deep, b""),
        file(&header("<u2", false, "(4294967296, 4294967296, 4294967296)"), b""),
        file(&header("<u2", false, "(99999999999999999999,)"), b""),
        file(&header("<u2", false, "(-1,)"), b""),
    ] {
        let files = Files::new();
        files.put("a.npy", &bytes);
        let error = files.read(&["a.npy"], &Known::default()).unwrap_err();
        assert!(matches!(error, InputError::Damaged { .. }), "{}: {error:?}", bytes.escape_ascii());
    }
}
