//! Nothing that is stored is trusted.

use forebay_zarr::Codec;
use forebay_zarr::codec::{CodecError, Encoder, decode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::chunks::{Chunk, Kind, codec};

fn encoded(codec: &Codec, checksum: bool, chunk: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Encoder::new(codec, checksum, 2, chunk.len()).unwrap().encode(&[chunk], &mut out).unwrap();
    out
}

fn chunk(count: usize) -> Vec<u8> {
    Chunk { size: 2, count, kind: Kind::Noisy, seed: 11 }.bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_changed_is_refused_or_has_the_length_of_a_chunk(
        codec in codec(),
        count in 1..3000usize,
        changes in vec((any::<Index>(), any::<u8>()), 0..4),
        end in proptest::option::of(any::<Index>()),
        expected in prop_oneof![Just(None), (0..10_000usize).prop_map(Some)],
    ) {
        let chunk = chunk(count);
        let mut stored = encoded(&codec, false, &chunk);
        for (at, value) in changes {
            let at = at.index(stored.len());
            stored[at] = value;
        }
        if let Some(end) = end {
            stored.truncate(end.index(stored.len()));
        }
        let expected = expected.unwrap_or(chunk.len());
        if let Ok(chunk) = decode(&codec, false, &stored, expected) {
            prop_assert_eq!(chunk.len(), expected);
        }
    }

    #[test]
    fn any_change_is_seen_by_the_checksum(
        codec in codec(), count in 1..3000usize, at: Index, bit in 0..8u32,
    ) {
        let chunk = chunk(count);
        let mut stored = encoded(&codec, true, &chunk);
        prop_assert_eq!(decode(&codec, true, &stored, chunk.len()).unwrap(), chunk.clone());
        let at = at.index(stored.len());
        stored[at] ^= 1 << bit;
        let refused = decode(&codec, true, &stored, chunk.len());
        let Err(CodecError::ChecksumMismatch { bytes, got, expected }) = refused else {
            panic!("{refused:?}");
        };
        prop_assert!(bytes == stored.len() - 4 && got != expected);
    }
}

#[test]
fn a_chunk_of_another_length_is_refused_whichever_is_longer() {
    let chunk = chunk(3000);
    for name in ["none", "zstd", "gzip", "blosc-zstd", "blosc-lz4", "blosc-zlib", "blosc-zstd:0"] {
        let codec: Codec = name.parse().unwrap();
        let stored = encoded(&codec, false, &chunk);
        for expected in [0, 5999, 6001, 1 << 20] {
            let error = decode(&codec, false, &stored, expected).unwrap_err();
            assert!(matches!(error, CodecError::Length { .. } | CodecError::Malformed { .. }), "{name}: {error:?}");
        }
    }
}

#[test]
fn what_follows_the_end_is_refused() {
    let chunk = chunk(3000);
    for name in ["none", "zstd", "gzip", "blosc-zstd", "blosc-zstd:0"] {
        let codec: Codec = name.parse().unwrap();
        let stored = [encoded(&codec, false, &chunk), vec![0; 9]].concat();
        let error = decode(&codec, false, &stored, chunk.len()).unwrap_err();
        assert!(matches!(error, CodecError::Length { .. } | CodecError::Malformed { .. }), "{name}: {error:?}");
    }
}

#[test]
fn what_a_blosc_header_claims_is_compared_before_anything_is_allocated() {
    let stored = encoded(&Codec::default(), false, &chunk(3000));
    let with = |at: usize, value: u32| {
        let mut stored = stored.clone();
        stored[at..at + 4].copy_from_slice(&value.to_le_bytes());
        decode(&Codec::default(), false, &stored, 6000).unwrap_err().to_string()
    };
    assert_eq!(with(4, u32::MAX), "blosc: what is compressed has 4294967295 bytes and should have 6000");
    for block in [0, 6001, u32::MAX] {
        assert!(with(8, block).contains(&format!("its blocks {block}")), "{block}");
    }
    assert!(with(8, 1).contains("no starts of 6000 blocks"));
    assert!(with(12, 17).contains("should have 17"));
    for start in [u32::MAX, 1 << 31, stored.len() as u32] {
        assert!(with(16, start).contains(&format!("no stream of block 0 is at {start}")), "{start}");
    }
    let empty = decode(&Codec::default(), false, &[], 6000).unwrap_err();
    assert_eq!(empty.to_string(), "blosc: a header has 0 bytes and should have 16");
    let unsealed = decode(&Codec::None, true, &[1, 2, 3], 3).unwrap_err();
    assert!(matches!(unsealed, CodecError::Length { got: 3, expected: 4, .. }), "{unsealed:?}");
}
