//! What holds for block sums from the wire, whatever the bytes.

use forebay_sync::probe::read_sums;

/// Bytes that sums may take.
const MEMORY: usize = 16 << 10;

/// `data` is a head and sums.
pub(crate) fn check(data: &[u8]) {
    let Some((read, head, blocks, kept)) = read_sums(data, MEMORY) else { return };
    assert_eq!(data.get(..16), Some(&head[..]), "a head has one form");
    let each = 4 + u64::from(head[8]);
    assert_eq!(read as u64, 16 + blocks * each, "all sums are read, and nothing else");
    assert!(kept == blocks || kept == 0 && blocks * each > MEMORY as u64, "sums are skipped for lack of memory only");
}
