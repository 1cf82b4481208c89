//! What holds for spilled records, whatever the bytes.

use bytes::Bytes;
use forebay::SpillError;
use forebay::spill::record::{Compressor, HEADER, open, seal};
use twox_hash::XxHash3_64;

/// The reader's maximum.
const MAX: usize = 1 << 16;

/// Opens `data` as it is and with a right checksum, as somebody who forges a record would; seals it as a payload.
pub(crate) fn check(data: &[u8]) {
    opened(data);
    let mut forged = data.to_vec();
    if forged.len() >= HEADER {
        forged[..4].copy_from_slice(b"fbr1");
        sign(&mut forged);
        opened(&forged);
        // Nearly every length is wrong: a right one shows what is behind that check.
        let stored = (forged.len() - HEADER) as u32;
        forged[8..12].copy_from_slice(&stored.to_le_bytes());
        sign(&mut forged);
        opened(&forged);
    }
    sealed(data);
}

/// The checksum covers what is before it and what is behind it.
fn sign(record: &mut [u8]) {
    let sum = XxHash3_64::oneshot(&[&record[..HEADER - 8], &record[HEADER..]].concat());
    record[HEADER - 8..HEADER].copy_from_slice(&sum.to_le_bytes());
}

/// A record that opens has the length that its header gives, and opens for no reader with a smaller maximum.
fn opened(record: &[u8]) {
    let record = Bytes::copy_from_slice(record);
    let Ok(payload) = open(&record, MAX, &"the fuzzer") else {
        return;
    };
    assert!(payload.len() <= MAX);
    assert_eq!(payload.len() as u32, u32::from_le_bytes(record[12..16].try_into().unwrap()));
    if let Some(less) = payload.len().checked_sub(1) {
        let refused = open(&record, less, &"the fuzzer");
        assert!(matches!(refused, Err(SpillError::RecordTooLarge { .. })), "{refused:?}");
    }
}

/// What is sealed is what is opened.
fn sealed(payload: &[u8]) {
    let (head, tail) = payload.split_at(payload.len() / 3);
    for mut compressor in [Compressor::off(), Compressor::lz4()] {
        let parts = [head, tail].map(Bytes::copy_from_slice).to_vec();
        let sealed = seal(parts, &mut compressor).unwrap();
        let record: Bytes = sealed.slices().flat_map(|slice| slice.to_vec()).collect::<Vec<u8>>().into();
        assert_eq!(record.len(), sealed.stored_len());
        assert_eq!(open(&record, payload.len(), &"the fuzzer").unwrap(), payload);
    }
}
