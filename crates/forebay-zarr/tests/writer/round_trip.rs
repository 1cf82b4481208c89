//! What was appended is what is read, whatever the array, the sizes of the appends and the number of workers.

use forebay_zarr::codec::{Compressor, Shuffle};
use forebay_zarr::{ArraySpec, ArrayWriter, Codec, DataType, FillValue, Store, WriteError, WriterOptions};
use proptest::prelude::*;

use crate::reading::{memory, objects, read};

fn codec() -> impl Strategy<Value = Codec> {
    let compressor = prop::sample::select(vec![Compressor::Zstd, Compressor::Lz4, Compressor::Lz4hc, Compressor::Zlib]);
    let shuffle = prop::sample::select(vec![Shuffle::None, Shuffle::Byte, Shuffle::Bit]);
    prop_oneof![
        2 => Just(Codec::None),
        1 => Just(Codec::Zstd { level: 1 }),
        1 => Just(Codec::Gzip { level: 1 }),
        3 => (compressor, shuffle).prop_map(|(compressor, shuffle)| Codec::Blosc { compressor, level: 1, shuffle }),
    ]
}

prop_compose! {
    fn spec()(
        dtype in prop::sample::select(DataType::ALL.to_vec()),
        extents in prop::collection::vec((1..9u64, 1..9u64, 1..3u64), 1..6),
        codec in codec(),
        checksum: bool,
        swap: (usize, usize),
        fill in 0..2u8,
    ) -> ArraySpec {
        let frame: Vec<u64> = extents[1..].iter().map(|&(frame, ..)| frame).collect();
        let chunk: Vec<u64> = extents.iter().map(|&(_, chunk, _)| chunk).collect();
        let shard: Vec<u64> = extents.iter().map(|&(_, chunk, times)| chunk * times).collect();
        let mut spec = ArraySpec::new(dtype, &frame, &chunk, &shard);
        (spec.codec, spec.checksum) = (codec, checksum);
        spec.fill = FillValue::from_bytes(&vec![fill; dtype.size()]).unwrap();
        let rank = spec.rank();
        if rank > 3 {
            spec.storage_order.swap(1 + swap.0 % (rank - 2), 1 + swap.1 % (rank - 2));
        }
        spec
    }
}

/// Bytes that are valid elements of every type; long stretches are fill value.
fn data(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    (0..bytes)
        .map(|n| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            if n / 97 % 3 == 0 { 0 } else { (state >> 40) as u8 & 1 }
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn what_was_appended_is_read(
        spec in spec(), frames in 0..20u64, seed: u64, cut in 1..400usize, workers in 1..4usize,
    ) {
        let data = data((frames * spec.frame_bytes()) as usize, seed);
        let store = memory();
        let mut writer = WriterOptions::new().workers(workers).create(store.clone(), spec.clone()).unwrap();
        for part in data.chunks(cut) {
            writer.append(part).unwrap();
        }
        prop_assert_eq!(writer.next_frame(), frames);
        prop_assert_eq!(writer.close().unwrap().frames, frames);
        let found = read(&store);
        prop_assert_eq!(found.0, spec);
        prop_assert_eq!(found.1, frames);
        prop_assert!(found.2 == data);
    }

    /// In the middle of chunks, of layers, of rows: the bytes are those of an array that was written in one go.
    #[test]
    fn an_array_that_is_closed_and_opened_again_is_the_same(
        spec in spec(), frames in 1..20u64, seed: u64, stops in prop::collection::vec(0..20u64, 1..4),
    ) {
        let data = data((frames * spec.frame_bytes()) as usize, seed);
        let whole = memory();
        let mut writer = ArrayWriter::create(whole.clone(), spec.clone()).unwrap();
        writer.append(&data).unwrap();
        writer.close().unwrap();

        let store = memory();
        let mut stops = stops;
        stops.sort_unstable();
        ArrayWriter::create(store.clone(), spec.clone()).unwrap().close().unwrap();
        for stop in stops.into_iter().chain([frames]) {
            let mut writer = ArrayWriter::open_append(store.clone()).unwrap();
            let next = writer.next_frame();
            let stop = stop.clamp(next, frames);
            let range = (next * spec.frame_bytes()) as usize..(stop * spec.frame_bytes()) as usize;
            writer.append(&data[range]).unwrap();
            prop_assert_eq!(writer.close().unwrap().frames, stop);
        }
        let (resumed, frames_found, found) = read(&store);
        prop_assert_eq!(resumed, spec);
        prop_assert_eq!(frames_found, frames);
        prop_assert!(found == data);
        prop_assert!(objects(&store, "c") == objects(&whole, "c"));
    }
}

#[test]
fn data_that_ends_within_a_frame_is_an_error_and_the_whole_frames_are_there() {
    let store = memory();
    let mut writer =
        ArrayWriter::create(store.clone(), ArraySpec::new(DataType::UInt8, &[10], &[4, 3], &[8, 6])).unwrap();
    let data = data(57, 1);
    writer.append(&data).unwrap();
    let error = writer.close().unwrap_err();
    assert!(matches!(error, WriteError::Partial { frame: 5, bytes: 7, of: 10 }), "{error}");
    let (_, frames, found) = read(&store);
    assert_eq!((frames, &found[..]), (5, &data[..50]));
}

#[test]
fn chunks_of_fill_value_are_not_stored_and_rows_of_them_leave_no_shard() {
    let store = memory();
    let mut writer =
        ArrayWriter::create(store.clone(), ArraySpec::new(DataType::UInt16, &[8], &[2, 4], &[4, 8])).unwrap();
    let mut frames = vec![0; 16 * 8];
    frames[16 * 5] = 1;
    writer.append(&frames).unwrap();
    let recorded = writer.close().unwrap();
    assert_eq!((recorded.snapshot.chunks_compressed, recorded.snapshot.chunks_left_out), (1, 7));
    assert_eq!(store.list("c").unwrap(), ["1"]);
    assert_eq!(read(&store).2, frames);
}
