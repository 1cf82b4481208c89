//! What holds for Blosc chunks, whatever the bytes.

use forebay_zarr::Codec;
use forebay_zarr::codec::{Compressor, Encoder, Shuffle, decode};

/// Bytes of the header.
const HEADER: usize = 16;

/// `data` is the length of a chunk, of 16 bits, and a stored chunk; or a choice of codec, of pieces and a chunk.
pub(crate) fn check(data: &[u8]) {
    let Some((&[low, high], data)) = data.split_first_chunk::<2>() else {
        return;
    };
    let chunk = usize::from(u16::from_le_bytes([low, high]));
    decoded(data, chunk);
    // Nearly every length is wrong: right ones show what is behind those checks.
    if data.len() >= HEADER {
        let mut forged = data.to_vec();
        forged[0] = 2;
        forged[2] &= !0x02;
        forged[4..8].copy_from_slice(&(chunk as u32).to_le_bytes());
        forged[10..12].fill(0);
        forged[12..16].copy_from_slice(&(data.len() as u32).to_le_bytes());
        decoded(&forged, chunk);
    }
    encoded(data, low, usize::from(high));
}

/// It is refused, or has the length that it must have.
fn decoded(stored: &[u8], chunk: usize) {
    if let Ok(bytes) = decode(&Codec::default(), false, stored, chunk) {
        assert_eq!(bytes.len(), chunk);
    }
}

/// What is encoded comes back, and does not depend on the pieces.
fn encoded(data: &[u8], choice: u8, piece: usize) {
    let size = 1 << (choice & 3);
    let chunk = &data[..data.len() - data.len() % size];
    if chunk.is_empty() {
        return;
    }
    let compressor =
        [Compressor::Zstd, Compressor::Lz4, Compressor::Lz4hc, Compressor::Zlib][usize::from(choice >> 2 & 3)];
    let shuffle = [Shuffle::None, Shuffle::Byte, Shuffle::Bit, Shuffle::Bit][usize::from(choice >> 4 & 3)];
    let codec = Codec::Blosc { compressor, level: 1 + (choice >> 6), shuffle };
    let mut encoder = Encoder::new(&codec, false, size, chunk.len()).unwrap();
    let (mut stored, mut again) = (Vec::new(), Vec::new());
    encoder.encode(&[chunk], &mut stored).unwrap();
    encoder.encode(&chunk.chunks(piece.max(1)).collect::<Vec<_>>(), &mut again).unwrap();
    assert_eq!(stored, again);
    assert!(stored.len() <= codec.bound(false, chunk.len()).min(chunk.len() + HEADER));
    assert_eq!(decode(&codec, false, &stored, chunk.len()).unwrap(), chunk);
}
