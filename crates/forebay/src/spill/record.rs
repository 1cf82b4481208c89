//! One record: what is spilled, with a header that finds damage.
//!
//! ```text
//!   offset  0        4       5         8            12        16              24
//!           | magic  | codec | zero    | stored len | raw len | checksum      | payload ...
//!           | "fbr1" | 1     | 3       | 4          | 4       | 8 (xxh3-64)   | stored len bytes
//! ```
//!
//! Numbers are little-endian. The checksum covers the header before it and the stored payload, so that a flipped byte
//! anywhere is found. The magic's last byte is the version. There is one header and one reader ([`open`]).
//!
//! [`open`] trusts nothing: lengths are checked against the bytes that are there and against the reader's maximum
//! before anything is allocated, also in a record whose checksum is right.
//!
//! A payload has at most 4 GiB - 1 bytes. Without compression neither sealing nor opening copies it.

use std::fmt;
use std::io::IoSlice;

use bytes::Bytes;
use lz4_flex::block;
use xxhash_rust::xxh3::Xxh3Default;

use super::SpillError;

/// Bytes in a record's header.
pub const HEADER: usize = 24;

/// Bytes of the header that the checksum covers.
const COVERED: usize = 16;
const MAGIC: [u8; 4] = *b"fbr1";
const RAW: u8 = 0;
const LZ4: u8 = 1;
/// No lz4 block unpacks to more than this many times its length.
const LZ4_MAX_RATIO: usize = 255;

/// A record that is ready to be written: the header, then the parts.
#[derive(Debug)]
pub struct Sealed {
    header: [u8; HEADER],
    parts: Vec<Bytes>,
    stored: usize,
}

impl Sealed {
    /// Bytes in the record, header included.
    pub fn stored_len(&self) -> usize {
        HEADER + self.stored
    }

    /// The record's bytes, for a vectored write.
    pub fn slices(&self) -> impl Iterator<Item = IoSlice<'_>> {
        std::iter::once(&self.header[..])
            .chain(self.parts.iter().map(|part| &part[..]))
            .map(IoSlice::new)
    }
}

/// Makes a record of the concatenation of `parts`.
///
/// # Errors
///
/// [`SpillError::RecordTooLarge`] if they have more than 4 GiB - 1 bytes together.
pub fn seal(parts: Vec<Bytes>, compressor: &mut Compressor) -> Result<Sealed, SpillError> {
    let raw = parts.iter().map(Bytes::len).sum::<usize>();
    let Ok(raw_len) = u32::try_from(raw) else {
        let place = "a record to be spilled".to_owned();
        return Err(SpillError::RecordTooLarge {
            place,
            len: raw as u64,
            max: u32::MAX.into(),
        });
    };
    let (codec, parts, stored_len) = match compressor.compress(&parts, raw) {
        // Shorter than the raw payload, so its length fits as well.
        Some(packed) => (LZ4, vec![packed.clone()], packed.len() as u32),
        None => (RAW, parts, raw_len),
    };
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&MAGIC);
    header[4] = codec;
    header[8..12].copy_from_slice(&stored_len.to_le_bytes());
    header[12..16].copy_from_slice(&raw_len.to_le_bytes());
    let sum = checksum(&header, parts.iter().map(|part| &part[..]));
    header[COVERED..].copy_from_slice(&sum.to_le_bytes());
    Ok(Sealed {
        header,
        parts,
        stored: stored_len as usize,
    })
}

/// Returns the payload of `record`, which must be one record and nothing else. A payload that is not compressed is a
/// slice of `record`; else at most `max` bytes are allocated. `place` is what errors call it.
///
/// # Errors
///
/// [`SpillError::ChecksumMismatch`] if the bytes are not those that were sealed, [`SpillError::BadRecord`] if they were
/// never a record of this length, [`SpillError::RecordTooLarge`] if the payload has more than `max` bytes.
pub fn open(record: &Bytes, max: usize, place: &dyn fmt::Display) -> Result<Bytes, SpillError> {
    let bad = |problem| {
        Err(SpillError::BadRecord {
            place: place.to_string(),
            problem,
        })
    };
    let Some((header, payload)) = record.split_first_chunk::<HEADER>() else {
        return bad("it is shorter than a header");
    };
    if header[..4] != MAGIC {
        return bad("it does not begin like a record");
    }
    let [.., s0, s1, s2, s3, r0, r1, r2, r3] = header[..COVERED] else {
        return bad("it is shorter than a header");
    };
    let stored_len = u32::from_le_bytes([s0, s1, s2, s3]) as usize;
    let raw_len = u32::from_le_bytes([r0, r1, r2, r3]) as usize;
    let got = checksum(header, [payload]);
    let expected = u64::from_le_bytes(sum_of(header));
    if got != expected {
        return Err(SpillError::ChecksumMismatch {
            place: place.to_string(),
            got,
            expected,
        });
    }
    if stored_len != payload.len() {
        return bad("its length is not that in its header");
    }
    if raw_len > max {
        return Err(SpillError::RecordTooLarge {
            place: place.to_string(),
            len: raw_len as u64,
            max: max as u64,
        });
    }
    match header[4] {
        RAW if raw_len == stored_len => Ok(record.slice(HEADER..)),
        RAW => bad("its two lengths differ"),
        LZ4 if raw_len / LZ4_MAX_RATIO > stored_len => {
            bad("its payload cannot unpack to its length")
        }
        LZ4 => {
            let mut raw = vec![0; raw_len];
            match block::decompress_into(payload, &mut raw) {
                Ok(unpacked) if unpacked == raw_len => Ok(raw.into()),
                Ok(_) => bad("its payload unpacks to another length"),
                Err(_) => bad("its payload does not unpack"),
            }
        }
        _ => bad("its codec is unknown"),
    }
}

/// Packs records with lz4 where that pays.
///
/// Off unless asked for: lz4 costs more time (about 0.5 GB/s a core) than most disks need for what it saves. When a
/// record saves less than an eighth, the next 64 are stored as they are, so that data that does not compress costs
/// little.
#[derive(Debug, Default)]
pub struct Compressor {
    lz4: Option<Lz4>,
}

#[derive(Debug, Default)]
struct Lz4 {
    /// Records still to pass as they are.
    pause: u32,
    /// The parts of a record, joined.
    joined: Vec<u8>,
    packed: Vec<u8>,
}

impl Compressor {
    /// Stores every record as it is.
    pub fn off() -> Self {
        Self::default()
    }

    /// Packs with lz4 where that pays.
    pub fn lz4() -> Self {
        Compressor {
            lz4: Some(Lz4::default()),
        }
    }

    fn compress(&mut self, parts: &[Bytes], len: usize) -> Option<Bytes> {
        const PAUSE: u32 = 64;
        let lz4 = self.lz4.as_mut()?;
        if lz4.pause > 0 {
            lz4.pause -= 1;
            return None;
        }
        let input = match parts {
            [one] => one,
            many => {
                lz4.joined.clear();
                lz4.joined.reserve_exact(len);
                many.iter()
                    .for_each(|part| lz4.joined.extend_from_slice(part));
                &lz4.joined[..]
            }
        };
        // Room for seven eighths: what does not fit does not pay.
        lz4.packed.resize(len - len.div_ceil(8), 0);
        match block::compress_into(input, &mut lz4.packed) {
            Ok(packed) => Some(Bytes::copy_from_slice(&lz4.packed[..packed])),
            Err(_) => {
                lz4.pause = PAUSE;
                None
            }
        }
    }
}

fn sum_of(header: &[u8; HEADER]) -> [u8; 8] {
    let [.., a, b, c, d, e, f, g, h] = *header;
    [a, b, c, d, e, f, g, h]
}

fn checksum<'a>(header: &[u8; HEADER], parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut hasher = Xxh3Default::new();
    hasher.update(&header[..COVERED]);
    for part in parts {
        hasher.update(part);
    }
    hasher.digest()
}
