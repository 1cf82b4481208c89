//! What is encoded is decoded, and depends on nothing but the chunk.

use forebay_zarr::Codec;
use forebay_zarr::codec::{CodecError, Encoder, decode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::chunks::{Chunk, Kind, chunk, codec, cut};

fn encoded(codec: &Codec, checksum: bool, size: usize, pieces: &[&[u8]]) -> Vec<u8> {
    let bytes = pieces.iter().map(|piece| piece.len()).sum();
    let mut out = Vec::new();
    Encoder::new(codec, checksum, size, bytes).unwrap().encode(pieces, &mut out).unwrap();
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn a_chunk_comes_back_and_its_bytes_do_not_depend_on_pieces_or_on_what_was_encoded_before(
        chunk in chunk(), codec in codec(), checksum: bool, cuts in vec(any::<Index>(), 0..12), before: u64,
    ) {
        let bytes = chunk.bytes();
        let whole = encoded(&codec, checksum, chunk.size, &[&bytes]);
        prop_assert_eq!(decode(&codec, checksum, &whole, bytes.len()).unwrap(), bytes.clone());

        let mut encoder = Encoder::new(&codec, checksum, chunk.size, bytes.len()).unwrap();
        let bound = codec.bound(checksum, bytes.len());
        let mut out = Vec::with_capacity(bound);
        let (room, place) = (out.capacity(), out.as_ptr());
        let other = Chunk { kind: Kind::Noisy, seed: before, ..chunk.clone() }.bytes();
        encoder.encode(&[&other], &mut out).unwrap();
        encoder.encode(&cut(&bytes, &cuts), &mut out).unwrap();
        prop_assert!(out == whole, "{} bytes, {} in one piece", out.len(), whole.len());
        prop_assert!(out.len() <= bound && (out.capacity(), out.as_ptr()) == (room, place), "the buffer was grown");

        // More room changes nothing.
        out.reserve(4 * bound);
        encoder.encode(&cut(&bytes, &cuts), &mut out).unwrap();
        prop_assert!(out == whole);
    }

    #[test]
    fn every_byte_may_be_a_piece(size in 1..9usize, count in 1..600usize, codec in codec()) {
        let bytes = Chunk { size, count, kind: Kind::Noisy, seed: 1 }.bytes();
        let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(encoded(&codec, false, size, &pieces), encoded(&codec, false, size, &[&bytes]));
    }
}

#[test]
fn the_highest_levels_come_back() {
    let bytes = Chunk { size: 2, count: 70_001, kind: Kind::Noisy, seed: 7 }.bytes();
    for name in ["zstd:22", "gzip:9", "blosc-zstd:8", "blosc-zstd:9", "blosc-lz4hc:9", "blosc-zlib:9:bitshuffle"] {
        let codec: Codec = name.parse().unwrap();
        let stored = encoded(&codec, true, 2, &[&bytes]);
        assert!(stored.len() < bytes.len(), "{name}");
        assert_eq!(decode(&codec, true, &stored, bytes.len()).unwrap(), bytes, "{name}");
    }
}

#[test]
fn camera_data_becomes_smaller_by_a_shuffle_and_by_codes_of_its_own_for_each_byte() {
    let bytes = Chunk { size: 2, count: 1 << 20, kind: Kind::Noisy, seed: 3 }.bytes();
    let length = |name: &str| encoded(&name.parse().unwrap(), false, 2, &[&bytes]).len();
    let shuffled = length("blosc-zstd:1");
    assert!(shuffled * 5 < length("blosc-zstd:1:noshuffle") * 4, "{shuffled}");
    assert!(shuffled * 5 < bytes.len() * 2, "{shuffled}");
}

#[test]
fn pieces_of_another_length_are_refused_and_the_encoder_goes_on() {
    let bytes = [1u8; 4096];
    let codec = Codec::default();
    let mut encoder = Encoder::new(&codec, false, 2, 4096).unwrap();
    let mut out = Vec::new();
    for wrong in [&bytes[..4095], &[], &[0; 4097]] {
        let refused = encoder.encode(&[wrong], &mut out);
        assert!(
            matches!(refused, Err(CodecError::Length { got, expected: 4096, .. }) if got == wrong.len()),
            "{refused:?}"
        );
    }
    encoder.encode(&[&bytes], &mut out).unwrap();
    assert_eq!(decode(&codec, false, &out, 4096).unwrap(), bytes);
}

#[test]
fn what_no_codec_can_do_is_refused_before_the_first_chunk() {
    let blosc = Codec::default();
    let refused = |codec: &Codec, size, bytes| {
        let error = Encoder::new(codec, false, size, bytes).unwrap_err();
        assert!(matches!(error, CodecError::Refused { .. }), "{error:?}");
        error.to_string()
    };
    assert_eq!(refused(&blosc, 4, 10), "blosc-zstd: a chunk of 10 bytes is no number of elements of 4 bytes");
    assert!(refused(&Codec::None, 4, 0).contains("0 bytes"));
    assert!(refused(&Codec::None, 0, 4).contains("0 bytes"));
    assert!(refused(&blosc, 256, 1024).contains("255"));
    assert!(refused(&blosc, 1, 1 << 31).contains("2147483648"));
    assert!(refused(&Codec::Zstd { level: 23 }, 1, 8).contains("-7 to 22"));
}

#[test]
fn an_encoder_says_what_memory_it_takes() {
    let chunk = 4 << 20;
    let bytes = |name: &str| name.parse::<Codec>().unwrap().encoder_bytes(2, chunk);
    assert_eq!(bytes("none"), 0);
    // One block for the shuffle and a context, two for the bit shuffle.
    let blosc = bytes("blosc-zstd:1");
    assert!((256 << 10..1 << 20).contains(&blosc), "{blosc}");
    assert_eq!(bytes("blosc-zstd:1:bitshuffle"), blosc + (256 << 10));
    // The chunk is gathered, and a context of a higher level is larger.
    assert!((chunk..chunk + (1 << 20)).contains(&bytes("zstd:1")), "{}", bytes("zstd:1"));
    assert!(bytes("zstd:19") > chunk + (8 << 20), "{}", bytes("zstd:19"));
    assert!((256 << 10..1 << 20).contains(&bytes("gzip:6")), "{}", bytes("gzip:6"));
    // Not even a context where nothing is compressed.
    assert_eq!(bytes("blosc-zstd:0"), 0);
}
