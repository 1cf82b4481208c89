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
//!
//! ```
//! use bytes::{Bytes, BytesMut};
//! use forebay::SpillError;
//! use forebay::spill::record::{self, Compressor, HEADER};
//!
//! let sealed = record::seal(vec![Bytes::from("some "), Bytes::from("bytes")], &mut Compressor::off())?;
//! let mut written: BytesMut = sealed.slices().flat_map(|slice| slice.to_vec()).collect();
//! assert_eq!(record::open(&written.clone().freeze(), 100, &"the example")?, "some bytes");
//! written[HEADER] ^= 1;
//! let damaged = record::open(&written.freeze(), 100, &"the example");
//! assert!(matches!(damaged, Err(SpillError::ChecksumMismatch { .. })));
//! # Ok::<(), SpillError>(())
//! ```

use std::fmt;
use std::hash::Hasher;
use std::io::IoSlice;

use bytes::Bytes;
use lz4_flex::block;
use twox_hash::XxHash3_64;

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
        std::iter::once(&self.header[..]).chain(self.parts.iter().map(|part| &part[..])).map(IoSlice::new)
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
        return Err(SpillError::RecordTooLarge { place, len: raw as u64, max: u32::MAX.into() });
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
    Ok(Sealed { header, parts, stored: stored_len as usize })
}

/// Returns the payload of `record`, which must be one record and nothing else. A payload that is not compressed is a
/// slice of `record`; else at most `max` bytes are allocated. `place` is what errors call it.
///
/// # Errors
///
/// [`SpillError::ChecksumMismatch`] if the bytes are not those that were sealed, [`SpillError::BadRecord`] if they were
/// never a record of this length, [`SpillError::RecordTooLarge`] if the payload has more than `max` bytes.
pub fn open(record: &Bytes, max: usize, place: &dyn fmt::Display) -> Result<Bytes, SpillError> {
    let bad = |problem| Err(SpillError::BadRecord { place: place.to_string(), problem });
    let Some((header, payload)) = record.split_first_chunk::<HEADER>() else {
        return bad("it is shorter than a header");
    };
    if header[..4] != MAGIC {
        return bad("it does not begin like a record");
    }
    let stored_len = number(header, 8) as usize;
    let raw_len = number(header, 12) as usize;
    let got = checksum(header, [payload]);
    let expected = u64::from(number(header, COVERED)) | u64::from(number(header, COVERED + 4)) << 32;
    if got != expected {
        return Err(SpillError::ChecksumMismatch { place: place.to_string(), got, expected });
    }
    if stored_len != payload.len() {
        return bad("its length is not that in its header");
    }
    if raw_len > max {
        return Err(SpillError::RecordTooLarge { place: place.to_string(), len: raw_len as u64, max: max as u64 });
    }
    match header[4] {
        RAW if raw_len == stored_len => Ok(record.slice(HEADER..)),
        RAW => bad("its two lengths differ"),
        LZ4 if raw_len / LZ4_MAX_RATIO > stored_len => bad("its payload cannot unpack to its length"),
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
/// little. Between records it keeps at most 2 MiB of buffers; within one, about twice the record.
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
        Compressor { lz4: Some(Lz4::default()) }
    }

    fn compress(&mut self, parts: &[Bytes], len: usize) -> Option<Bytes> {
        const PAUSE: u32 = 64;
        const KEPT: usize = 1 << 20;
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
                many.iter().for_each(|part| lz4.joined.extend_from_slice(part));
                &lz4.joined[..]
            }
        };
        lz4.packed.resize(block::get_maximum_output_size(len), 0);
        let packed = match block::compress_into(input, &mut lz4.packed) {
            Ok(packed) if packed <= len - len.div_ceil(8) => Some(Bytes::copy_from_slice(&lz4.packed[..packed])),
            _ => {
                lz4.pause = PAUSE;
                None
            }
        };
        for buffer in [&mut lz4.joined, &mut lz4.packed] {
            buffer.truncate(KEPT);
            buffer.shrink_to(KEPT);
        }
        packed
    }
}

/// The little-endian number of four bytes at `at`.
fn number(header: &[u8; HEADER], at: usize) -> u32 {
    u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

fn checksum<'a>(header: &[u8; HEADER], parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut hasher = XxHash3_64::new();
    hasher.write(&header[..COVERED]);
    for part in parts {
        hasher.write(part);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn written(sealed: &Sealed) -> Vec<u8> {
        let bytes = sealed.slices().flat_map(|slice| slice.to_vec()).collect::<Vec<u8>>();
        assert_eq!(bytes.len(), sealed.stored_len());
        bytes
    }

    fn record(parts: &[&[u8]], compressor: &mut Compressor) -> Vec<u8> {
        let parts = parts.iter().map(|part| Bytes::copy_from_slice(part)).collect();
        written(&seal(parts, compressor).unwrap())
    }

    fn reopen(record: Vec<u8>) -> Result<Bytes, SpillError> {
        open(&record.into(), 1 << 20, &"the test")
    }

    /// Overwrites the checksum with the right one: what someone would do who forges a record.
    fn forged(mut record: Vec<u8>) -> Vec<u8> {
        let (header, payload) = record.split_first_chunk::<HEADER>().unwrap();
        let sum = checksum(header, [payload]);
        record[COVERED..HEADER].copy_from_slice(&sum.to_le_bytes());
        record
    }

    fn problem(record: Vec<u8>) -> &'static str {
        match reopen(record) {
            Err(SpillError::BadRecord { problem, .. }) => problem,
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_what_is_opened(parts in vec(vec(any::<u8>(), 0..300), 0..9), repeat in 1..40_usize, lz4: bool) {
            let parts: Vec<Bytes> = parts.into_iter().map(|part| part.repeat(repeat).into()).collect();
            let payload = parts.concat();
            let mut compressor = if lz4 { Compressor::lz4() } else { Compressor::off() };
            let sealed = seal(parts, &mut compressor).unwrap();
            prop_assert!(sealed.stored_len() <= HEADER + payload.len());
            prop_assert_eq!(reopen(written(&sealed)).unwrap(), payload);
        }

        #[test]
        fn any_bytes_are_refused_or_bounded(mut bytes in vec(any::<u8>(), 0..200), codec in 0..3_u8, fix: bool) {
            if fix && bytes.len() >= HEADER {
                bytes[..4].copy_from_slice(&MAGIC);
                bytes[4] = codec;
                let stored = (bytes.len() - HEADER) as u32;
                bytes[8..12].copy_from_slice(&stored.to_le_bytes());
                bytes[14..16].fill(0);
                bytes = forged(bytes);
            }
            if let Ok(payload) = reopen(bytes) {
                prop_assert!(payload.len() <= 1 << 20);
            }
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_is_found() {
        let text = b"the quick brown fox ".repeat(20);
        for mut compressor in [Compressor::off(), Compressor::lz4()] {
            let good = record(&[&text[..100], &text[100..]], &mut compressor);
            assert!(reopen(good.clone()).is_ok());
            for byte in 0..good.len() {
                for bit in 0..8 {
                    let mut bad = good.clone();
                    bad[byte] ^= 1 << bit;
                    let error = reopen(bad).unwrap_err();
                    match byte {
                        0..4 => assert!(matches!(error, SpillError::BadRecord { .. }), "{error}"),
                        _ => assert!(matches!(error, SpillError::ChecksumMismatch { .. }), "{error}"),
                    }
                }
            }
        }
    }

    #[test]
    fn a_record_cut_short_or_too_long_is_found() {
        for mut compressor in [Compressor::off(), Compressor::lz4()] {
            let good = record(&[&[5; 300]], &mut compressor);
            for len in 0..good.len() {
                assert!(reopen(good[..len].to_vec()).is_err(), "{len} bytes");
            }
            assert!(reopen([&good[..], &[0]].concat()).is_err());
        }
    }

    #[test]
    fn a_payload_that_is_not_packed_is_not_copied() {
        let part = Bytes::from(vec![1; 1000]);
        let sealed = seal(vec![part.clone()], &mut Compressor::off()).unwrap();
        assert_eq!(sealed.slices().nth(1).unwrap().as_ptr(), part.as_ptr());
        let record = Bytes::from(written(&sealed));
        let payload = open(&record, 1000, &"the test").unwrap();
        assert_eq!(payload.as_ptr(), record[HEADER..].as_ptr());
    }

    #[test]
    fn a_payload_above_the_readers_maximum_is_refused_before_it_is_allocated() {
        let mut packed = record(&[&vec![0; 1 << 20]], &mut Compressor::lz4());
        assert!(packed.len() < 10_000);
        let error = open(&packed.clone().into(), (1 << 20) - 1, &"the test").unwrap_err();
        assert!(matches!(error, SpillError::RecordTooLarge { len: 0x10_0000, max: 0xf_ffff, .. }), "{error}");
        // A forged length of 4 GiB within a generous maximum: more than lz4 can make of so few bytes.
        packed[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
        match open(&forged(packed).into(), usize::MAX, &"the test") {
            Err(SpillError::BadRecord { problem, .. }) => {
                assert_eq!(problem, "its payload cannot unpack to its length");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn forged_headers_are_refused_by_name() {
        let good = record(&[&[5; 300]], &mut Compressor::off());
        let with = |at: usize, value: u8| {
            let mut bad = good.clone();
            bad[at] = value;
            forged(bad)
        };
        assert_eq!(problem(with(4, 9)), "its codec is unknown");
        assert_eq!(problem(with(8, 1)), "its length is not that in its header");
        assert_eq!(problem(with(12, 1)), "its two lengths differ");
        assert_eq!(problem(with(4, LZ4)), "its payload does not unpack");
    }

    #[test]
    fn packing_pauses_for_64_records_when_it_does_not_pay() {
        let zeros: &[u8] = &[0; 1000];
        let noise: Vec<u8> = (0..1000_u64).map(|n| XxHash3_64::oneshot(&n.to_le_bytes()) as u8).collect();
        let mut compressor = Compressor::lz4();
        assert!(record(&[zeros], &mut compressor).len() < 100, "packs");
        assert_eq!(record(&[&noise], &mut compressor).len(), HEADER + 1000, "does not pay");
        for _ in 0..64 {
            assert_eq!(record(&[zeros], &mut compressor).len(), HEADER + 1000, "pauses");
        }
        assert!(record(&[zeros], &mut compressor).len() < 100, "tries again");
        assert_eq!(record(&[zeros], &mut Compressor::off()).len(), HEADER + 1000, "off unless asked for");
    }
}
