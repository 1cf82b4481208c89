//! What others wrote is read, and what is written here looks as the format says.

use forebay_zarr::Codec;
use forebay_zarr::codec::{Encoder, crc32c, decode};

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn encoded(codec: &str, size: usize, chunk: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Encoder::new(&codec.parse().unwrap(), false, size, chunk.len()).unwrap().encode(&[chunk], &mut out).unwrap();
    out
}

/// The u32 at `at`.
fn number(stored: &[u8], at: usize) -> usize {
    u32::from_le_bytes(stored[at..at + 4].try_into().unwrap()) as usize
}

fn steps<const N: usize>(count: usize, of: usize, bytes: impl Fn(usize) -> [u8; N]) -> Vec<u8> {
    (0..count).flat_map(|at| bytes(at / of)).collect()
}

#[test]
fn chunks_of_c_blosc_are_read() {
    let u16s = |count| steps(count, 64, |value| (value as u16).to_le_bytes());
    let of_512 = u16s(512);
    let cases = [
        // Two streams, lz4.
        (
            of_512.clone(),
            "02012102000400000004000056000000140000002e0000001f0001002c1f0101002c1f0201002c1f0301002c1f0401002c1f\
             0501002c1f0601002c1f070100275007070707070c0000001f000100ffe8500000000000",
        ),
        // Bits shuffled.
        (
            of_512.clone(),
            "0201240200040000000400006d00000014000000450000001300010013ff0100030f0013000f000f10001604020004380004\
             02000418000402000418000402000418000f0200050428000f0200050f3800050f0200ff115000000000000c0000001f0001\
             00ffe8500000000000",
        ),
        // Bits to be shuffled, but 516 is no multiple of eight: left as they are.
        (
            u16s(516),
            "02012402080400000804000054000000140000001a0000001f0001006c1f0102006c1f0202006c1f0302006b500004000400\
             1e0000002f04000200671f0502006c1f0602006c1f0702006c800800080008000800",
        ),
        // One stream, zstd.
        (
            of_512.clone(),
            "0201910200040000000400003f000000140000002700000028b52ffd600003ed00005000000102030405060700099010e807\
             00fc2a254a9428a14489d226a5",
        ),
        // Not shuffled, zlib.
        (
            of_512,
            "020160020004000000040000470000001400000015000000785e63601858c038c090698021f3004300e38001811600000078\
             5e6361601950c83ac0906d8021fb004300e7bc0581",
        ),
        // Four streams, lz4hc.
        (
            steps(300, 50, |value| (value as u32).to_le_bytes()),
            "02012104b0040000b00400006c00000014000000240000001f0001001e1f0101001e1f0201001e1f0301001e1f0401001e1f\
             050100195005050505050c0000001f000100ff145000000000000c0000001f000100ff145000000000000c0000001f000100\
             ff14500000000000",
        ),
        // Too small to be compressed.
        (
            steps(10, 1, |value| (value as u16).to_le_bytes()),
            "020193021400000014000000240000000000010002000300040005000600070008000900",
        ),
    ];
    for (chunk, stored) in cases {
        assert_eq!(decode(&Codec::default(), false, &bytes(stored), chunk.len()).unwrap(), chunk, "{stored}");
    }
}

#[test]
fn a_chunk_that_cannot_become_smaller_is_its_bytes_behind_a_header() {
    let small = steps(10, 1, |value| (value as u16).to_le_bytes());
    let header = "02019302140000001400000024000000";
    assert_eq!(encoded("blosc-zstd:1", 2, &small), [bytes(header), small].concat());

    let mut state = 1u64;
    let random: Vec<u8> = (0..1 << 20)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    for name in ["blosc-zstd:1", "blosc-lz4:5", "blosc-lz4hc:5", "blosc-zlib:1", "blosc-zstd:1:bitshuffle"] {
        let stored = encoded(name, 4, &random);
        assert_eq!((stored.len(), stored[2] & 0x02), (random.len() + 16, 0x02), "{name}");
        assert_eq!(stored[16..], random, "{name}");
    }
    assert_eq!(encoded("blosc-zstd:0", 4, &[7; 4096])[16..], [7; 4096]);
}

#[test]
fn blocks_have_at_least_256_kib_and_are_split_into_the_bytes_of_an_element() {
    let chunk = steps(1 << 21, 100, |value| (value as u16).to_le_bytes());
    let stored = encoded("blosc-zstd:1", 2, &chunk);
    assert_eq!(stored[..4], [2, 1, 4 << 5 | 0x01, 2]);
    let block = 256 << 10;
    assert_eq!([4, 8, 12].map(|at| number(&stored, at)), [chunk.len(), block, stored.len()]);
    let blocks = chunk.len() / block;
    let mut at = 16 + 4 * blocks;
    for index in 0..blocks {
        assert_eq!(number(&stored, 16 + 4 * index), at, "block {index}");
        for _ in 0..2 {
            at += 4 + number(&stored, at);
        }
    }
    assert_eq!(at, stored.len());

    let block = |name, size, chunk: usize| number(&encoded(name, size, &vec![0; chunk]), 8);
    // 128 KiB for each byte of an element.
    assert_eq!(block("blosc-lz4", 8, 4 << 20), 1 << 20);
    // Two equal ones, and what is left is less than eight elements.
    assert_eq!(block("blosc-lz4", 2, 511 * 511 * 4), 511 * 511 * 4 / 3 / 16 * 16);
    // One, and what is left of eight elements beside it, so that its bits can be shuffled.
    assert_eq!(block("blosc-lz4:5:bitshuffle", 2, 1030), 1024);
}

#[test]
fn checksums_are_those_of_castagnoli_and_stand_behind_the_chunk() {
    assert_eq!(crc32c(&[b"123456789"]), 0xe306_9283);
    assert_eq!(crc32c(&[b"1234", b"", b"56789"]), 0xe306_9283);
    let mut out = Vec::new();
    Encoder::new(&Codec::None, true, 1, 9).unwrap().encode(&[b"12345", b"6789"], &mut out).unwrap();
    assert_eq!(out, *b"123456789\x83\x92\x06\xe3");
}

#[test]
fn a_zstd_frame_states_its_length_and_gzip_has_no_time() {
    let chunk = steps(1 << 16, 100, |value| (value as u16).to_le_bytes());
    let frame = encoded("zstd:1", 2, &chunk);
    assert_eq!(frame[..4], [0x28, 0xb5, 0x2f, 0xfd]);
    // One segment with the content size in four bytes.
    assert_eq!((frame[4] & 0xe0, number(&frame, 5)), (0xa0, chunk.len()));
    assert_eq!(encoded("gzip:6", 2, &chunk)[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
}
