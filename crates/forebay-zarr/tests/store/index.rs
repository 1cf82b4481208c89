//! The index of a shard: what is written is what is read, and a damaged one is refused.

use forebay_zarr::store::Memory;
use forebay_zarr::{IndexError, ShardIndex, Store};

fn index(entries: &[Option<(u64, u64)>]) -> ShardIndex {
    let mut index = ShardIndex::new(entries.len());
    for (chunk, entry) in entries.iter().enumerate() {
        entry.iter().for_each(|&(offset, length)| index.set(chunk, offset, length));
    }
    index
}

/// What is read of a shard with `data` bytes and that index.
fn read(data: usize, index: &ShardIndex) -> Result<Option<ShardIndex>, IndexError> {
    let store = Memory::new();
    store.put("c/0", &[vec![7; data], index.encode()].concat()).unwrap();
    ShardIndex::read(&store, "c/0", index.chunks())
}

#[test]
fn an_index_has_sixteen_bytes_a_chunk_and_a_checksum() {
    let bytes = index(&[Some((3, 5)), None]).encode();
    let mut expected = vec![3, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0];
    expected.extend([0xff; 16]);
    assert_eq!(bytes[..32], expected);
    assert_eq!(bytes[32..], crc32c::crc32c(&expected).to_le_bytes());
    assert_eq!(bytes.len(), ShardIndex::encoded_len(2));
}

#[test]
fn what_is_written_is_what_is_read() {
    for entries in [
        &[][..],
        &[None],
        &[Some((0, 10))],
        &[Some((0, 4)), None, Some((4, 6))],
        // In another order than the chunks, with a gap.
        &[Some((7, 3)), Some((0, 2)), None],
    ] {
        let index = index(entries);
        assert_eq!(read(10, &index).unwrap().unwrap(), index);
        assert_eq!((0..entries.len()).map(|chunk| index.get(chunk)).collect::<Vec<_>>(), entries);
    }
}

#[test]
fn a_shard_that_is_not_there_has_no_index() {
    assert!(ShardIndex::read(&Memory::new(), "c/0", 4).unwrap().is_none());
}

#[test]
fn chunks_that_are_not_before_the_index_are_refused() {
    for entry in [(0, 11), (10, 1), (5, u64::MAX - 2), (u64::MAX, 1), (u64::MAX, 0), (0, u64::MAX), (3, 0)] {
        let error = read(10, &index(&[None, Some(entry)])).unwrap_err();
        let expected = matches!(error, IndexError::OutOfBounds { chunk: 1, offset, length, data: 10 }
            if (offset, length) == entry);
        assert!(expected, "{error}");
    }
}

#[test]
fn chunks_that_share_bytes_are_refused() {
    for entries in [[Some((0, 5)), None, Some((4, 6))], [Some((4, 6)), None, Some((0, 5))]] {
        let error = read(10, &index(&entries)).unwrap_err();
        assert!(matches!(error, IndexError::Overlap { chunks: [0, 2] | [2, 0] }), "{error}");
    }
}

#[test]
fn a_damaged_index_is_refused_with_both_checksums() {
    let whole = index(&[Some((0, 4)), None]);
    let store = Memory::new();
    let mut bytes = [vec![0; 4], whole.encode()].concat();
    let expected = u32::from_le_bytes(*bytes.last_chunk().unwrap());
    bytes[5] ^= 1;
    store.put("c/0", &bytes).unwrap();
    match ShardIndex::read(&store, "c/0", 2) {
        Err(IndexError::ChecksumMismatch { got, expected: behind }) => {
            assert_eq!(behind, expected);
            assert_ne!(got, expected);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_shard_that_is_cut_off_is_refused() {
    let store = Memory::new();
    store.put("c/0", &[0; 35]).unwrap();
    let error = ShardIndex::read(&store, "c/0", 2).unwrap_err();
    assert!(matches!(error, IndexError::TooShort { size: 35, index: 36 }), "{error}");
    // More chunks than any shard has bytes for: nothing is allocated.
    let error = ShardIndex::read(&store, "c/0", 1 << 24).unwrap_err();
    assert!(matches!(error, IndexError::TooShort { .. }), "{error}");
    let error = ShardIndex::decode(&[0; 21], 0).unwrap_err();
    assert!(matches!(error, IndexError::Length { length: 21 }), "{error}");
}
