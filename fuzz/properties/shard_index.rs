//! What holds for the index of a shard, whatever the bytes.

use forebay_zarr::ShardIndex;

/// Takes the first two bytes of `data` for the length of the shard before the index, and the rest for the index: as it
/// is, and with a right checksum, as somebody who forges an index would.
pub(crate) fn check(data: &[u8]) {
    let Some((before, bytes)) = data.split_first_chunk::<2>() else {
        return;
    };
    let before = u64::from(u16::from_le_bytes(*before));
    decoded(bytes, before);
    if let Some((entries, _)) = bytes.split_last_chunk::<4>() {
        decoded(&[entries, &crc32c::crc32c(entries).to_le_bytes()[..]].concat(), before);
    }
}

/// An index that is taken has the bytes that it is written with, and its chunks share none of those before it.
fn decoded(bytes: &[u8], before: u64) {
    let Ok(index) = ShardIndex::decode(bytes, before) else {
        return;
    };
    assert_eq!(index.encode(), bytes);
    assert_eq!(ShardIndex::encoded_len(index.chunks()), bytes.len());
    let mut taken = vec![false; before as usize];
    for (offset, length) in (0..index.chunks()).filter_map(|chunk| index.get(chunk)) {
        assert!(length > 0);
        for byte in &mut taken[offset as usize..][..length as usize] {
            assert!(!std::mem::replace(byte, true), "two chunks share a byte");
        }
    }
}
