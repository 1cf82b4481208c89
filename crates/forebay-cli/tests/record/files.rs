//! Frames from files.

use std::io::Cursor;

use tiff::encoder::TiffEncoder;
use tiff::encoder::colortype::Gray16;

use crate::harness::{Bench, frames};
use crate::reader::read;

/// A stack of frames of 24 x 20.
fn stack(frames: &[u8]) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut file).unwrap();
    for frame in frames.chunks(24 * 20 * 2) {
        let pixels: Vec<u16> = frame.chunks(2).map(|value| u16::from_le_bytes([value[0], value[1]])).collect();
        encoder.write_image::<Gray16>(20, 24, &pixels).unwrap();
    }
    file.into_inner()
}

const FRAME: usize = 24 * 20 * 2;

#[test]
fn tiff_stacks_are_read_in_natural_order_and_say_what_they_are() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("frames")).unwrap();
    let input = frames(0, 12 * 3, FRAME);
    for (number, stack_frames) in input.chunks(3 * FRAME).enumerate() {
        std::fs::write(bench.path(&format!("frames/frame_{number}.tif")), stack(stack_frames)).unwrap();
    }
    let did = bench.record("--from frames/*.tif --chunk 5,12,20 --shard 10,24,20", &[]).well();
    assert!(did.err.contains("uint16 frames of 24,20"), "{}", did.err);
    let seen = read(&bench.out());
    assert_eq!(seen.shape, [36, 24, 20]);
    assert_eq!(seen.bytes, input);
    // And more of them behind that.
    bench.record("--from frames/frame_1.tif --from frames/frame_0.tif --resume", &[]).well();
    let more = [&input[..], &input[3 * FRAME..6 * FRAME], &input[..3 * FRAME]].concat();
    assert_eq!(read(&bench.out()).bytes, more);
}

#[test]
fn npy_files_say_what_they_are() {
    use npyz::WriterBuilder;
    let bench = Bench::new();
    let values: Vec<i32> = (0..7 * 6 * 5).map(|value| value * 1000 - 5).collect();
    let mut bytes = Vec::new();
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&[7, 6, 5]).writer(&mut bytes).begin_nd().unwrap();
    writer.extend(&values).unwrap();
    writer.finish().unwrap();
    std::fs::write(bench.path("frames.npy"), bytes).unwrap();
    bench.record("--from frames.npy --chunk 2,3,5 --shard 4,6,5", &[]).well();
    let seen = read(&bench.out());
    assert_eq!(seen.shape, [7, 6, 5]);
    assert_eq!(seen.bytes, values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
}

#[test]
fn raw_files_need_a_shape_and_a_type() {
    let bench = Bench::new();
    std::fs::write(bench.path("a.raw"), frames(0, 5, FRAME)).unwrap();
    let did = bench.record("--from a.raw", &[]);
    assert!(did.failed(2).ends_with("is given: --shape t,Y,X and --dtype TYPE say it"), "{}", did.err);
    bench.record("--from a.raw --shape t,24,20 --dtype int16 --chunk 2,24,20 --shard 4,24,20", &[]).well();
    assert_eq!(read(&bench.out()).bytes, frames(0, 5, FRAME));
}

#[test]
fn a_file_that_does_not_fit_ends_the_recording_with_its_name() {
    let bench = Bench::new();
    let input = frames(0, 10, FRAME);
    std::fs::write(bench.path("a1.tif"), stack(&input)).unwrap();
    std::fs::write(bench.path("a2.tif"), b"II*\0no TIFF").unwrap();
    let did = bench.record("--from a*.tif --chunk 2,24,20 --shard 4,24,20", &[]);
    assert!(did.failed(1).contains("a2.tif, page 0: "), "{}", did.err);
    assert!(did.failed(1).ends_with("; 10 frames are safe in out.zarr"), "{}", did.err);
    assert_eq!(read(&bench.out()).bytes, input);
}

#[test]
fn nothing_is_created_for_files_that_are_not_there_or_not_as_said() {
    let bench = Bench::new();
    std::fs::write(bench.path("a.tif"), stack(&frames(0, 1, FRAME))).unwrap();
    for (args, text) in [
        ("--from none*.tif", "forebay: no file matches 'none*.tif'"),
        ("--from a.tif --shape t,20,24", "a.tif, page 0: the shape is 24,20, but the array's is 20,24"),
        ("--from a.tif --dtype uint8", "a.tif: the data type is uint16, but the array's is uint8"),
    ] {
        let did = bench.record(args, &[]);
        assert!(did.failed(1).ends_with(text), "{}", did.err);
        assert!(!bench.out().exists());
    }
}
