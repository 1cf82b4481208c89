//! What holds for a stream of tokens from the wire, whatever the bytes.

use forebay_sync::probe::{Part, Stream};

/// The most literal bytes that are read: a few bytes of compressed zeros stand for megabytes.
const MOST: usize = 1 << 20;

/// `data` is how the stream is written, and the stream.
pub(crate) fn check(data: &[u8]) {
    let [compressor, protocol, block, basis, more, bytes @ ..] = data else { return };
    // Short blocks, or long ones.
    let (step, scale) = if *protocol < 128 { (4, 1) } else { (512, 16) };
    let block_len = (u32::from(*block) + 1) * step;
    let stream = Stream {
        compressor: *compressor,
        protocol: 30 + u32::from(*protocol) % 3,
        block_len,
        basis_len: u32::from(u16::from_le_bytes([*basis, *more])) * scale,
    };
    let Some(parts) = stream.read(bytes, MOST) else { return };
    let mut told = 0;
    for part in &parts {
        match part {
            Part::Literal(bytes) => told += bytes.len(),
            Part::Copy(first, count) => {
                let begin = u64::from(*first) * u64::from(block_len);
                assert!(*count > 0 && begin < u64::from(stream.basis_len), "what is copied is there");
            }
        }
    }
    assert!(told <= MOST);
    let Some(written) = stream.write(&parts) else { panic!("what is read can be written") };
    assert_eq!(stream.read(&written, MOST).map(merged), Some(merged(parts)), "and read again");
}

/// Blocks one by one are blocks in a row.
fn merged(parts: Vec<Part>) -> Vec<Part> {
    let mut all: Vec<Part> = Vec::new();
    for part in parts {
        match (all.last_mut(), &part) {
            (Some(Part::Copy(first, count)), Part::Copy(next, more)) if *first + *count == *next => *count += *more,
            (Some(Part::Literal(last)), Part::Literal(next)) => last.extend_from_slice(next),
            _ => all.push(part),
        }
    }
    all
}
