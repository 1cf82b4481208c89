//! Suggested shapes: always valid, and near the sizes that were asked for.

use forebay_zarr::suggest::{CHUNK_MIB, SHARD_MIB};
use forebay_zarr::{ArraySpec, DataType, suggest};
use proptest::prelude::*;

fn usual(dtype: DataType, frame: &[u64]) -> (Vec<u64>, Vec<u64>) {
    suggest(dtype, frame, CHUNK_MIB, SHARD_MIB)
}

#[test]
fn a_camera_gets_tiles() {
    let (chunk, shard) = usual(DataType::UInt16, &[2048, 2048]);
    assert_eq!((chunk, shard), (vec![32, 256, 256], vec![64, 2048, 2048]));
}

#[test]
fn small_frames_are_whole() {
    let (chunk, shard) = usual(DataType::UInt16, &[16, 16]);
    assert_eq!((chunk, shard), (vec![8192, 16, 16], vec![1 << 20, 16, 16]));
    let (chunk, _) = usual(DataType::UInt8, &[300, 320]);
    assert_eq!(chunk, [32, 300, 320], "a little more than a tile is one");
}

#[test]
fn very_large_frames_get_wider_tiles_to_spare_memory() {
    let (chunk, shard) = usual(DataType::UInt16, &[10_000, 10_000]);
    assert_eq!((chunk, shard), (vec![2, 1024, 1024], vec![2, 10_240, 10_240]));
}

#[test]
fn frames_of_other_ranks() {
    assert_eq!(usual(DataType::Float64, &[]), (vec![1 << 19], vec![1 << 26]));
    assert_eq!(usual(DataType::Float32, &[1000]), (vec![1024, 1000], vec![1024 * 131, 1000]));
    assert_eq!(usual(DataType::UInt16, &[3, 1024, 1024]).0, [32, 1, 256, 256]);
}

#[test]
fn a_frame_that_is_larger_than_a_shard_is_split() {
    let (chunk, shard) = suggest(DataType::UInt8, &[1 << 16, 1 << 16], 1.0, 64.0);
    assert_eq!((chunk, shard), (vec![1, 1024, 1024], vec![1, 1024, 1 << 16]));
}

#[test]
fn no_wish_is_too_strange() {
    for mib in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-9, 1e300] {
        for frame in [&[][..], &[1], &[1 << 30], &[1 << 16, 1 << 14], &[2; 31], &[5, 1, 2, 3, 1 << 20]] {
            let (chunk, shard) = suggest(DataType::Float64, frame, mib, mib);
            ArraySpec::new(DataType::Float64, frame, &chunk, &shard).validate().unwrap();
        }
    }
    suggest(DataType::UInt8, &[0, 5], 4.0, 512.0);
    suggest(DataType::Float64, &[u64::MAX, u64::MAX, 3], 4.0, 512.0);
}

proptest! {
    #[test]
    fn suggestions_are_valid_and_near_their_sizes(
        dtype in prop::sample::select(DataType::ALL.to_vec()),
        frame in proptest::collection::vec(prop_oneof![1..10u64, 1..300u64, 1..5000u64], 0..4),
        chunk_mib in 0.01..64f64,
        shard_mib in 0.01..2048f64,
    ) {
        let (chunk, shard) = suggest(dtype, &frame, chunk_mib, shard_mib);
        ArraySpec::new(dtype, &frame, &chunk, &shard).validate().unwrap();
        let along: u64 = frame.iter().zip(&chunk[1..]).map(|(extent, chunk)| extent.div_ceil(*chunk)).product();
        prop_assume!(along <= 1 << 22);
        let bytes = |shape: &[u64]| shape.iter().product::<u64>() as f64 * dtype.size() as f64 / f64::from(1 << 20);
        prop_assert!(bytes(&chunk) <= chunk_mib);
        prop_assert!(bytes(&chunk) > chunk_mib / 2.1, "{chunk:?} has {} MiB", bytes(&chunk));
        prop_assert!(bytes(&shard) <= shard_mib.max(bytes(&chunk)));
        prop_assert!(bytes(&shard) > (shard_mib / 2.0 - bytes(&chunk)), "{shard:?} has {} MiB", bytes(&shard));
        for at in 0..frame.len() {
            prop_assert!(chunk[at + 1] <= frame[at], "no larger than the frame");
            prop_assert!(shard[at + 1] < frame[at] + chunk[at + 1], "no more chunks than the frame has");
        }
    }
}
