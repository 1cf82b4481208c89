//! CRC-32C, the checksum of the Zarr codec `crc32c`: four bytes, little-endian, behind what they cover.

use super::CodecError;

/// Bytes of a checksum.
pub(super) const BYTES: usize = 4;

/// The CRC-32C of `pieces`, one behind the other; in hardware where there is some.
pub fn crc32c(pieces: &[&[u8]]) -> u32 {
    pieces.iter().fold(0, |sum, piece| ::crc32c::crc32c_append(sum, piece))
}

/// Puts the checksum of `stored` behind it.
pub(super) fn seal(stored: &mut Vec<u8>) {
    let sum = crc32c(&[stored]);
    stored.extend_from_slice(&sum.to_le_bytes());
}

/// What stands before the checksum, once that is verified.
pub(super) fn open(stored: &[u8]) -> Result<&[u8], CodecError> {
    let Some((covered, sum)) = stored.split_last_chunk::<BYTES>() else {
        return Err(CodecError::Length {
            codec: "crc32c",
            what: "a chunk with its checksum",
            got: stored.len(),
            expected: BYTES,
        });
    };
    let (got, expected) = (crc32c(&[covered]), u32::from_le_bytes(*sum));
    if got != expected {
        return Err(CodecError::ChecksumMismatch { bytes: covered.len(), got, expected });
    }
    Ok(covered)
}
