use std::iter;

use flate2::{Compression, FlushCompress};
use forebay_delta::Token;
use proptest::prelude::*;

use super::*;
use crate::wire::error::WireError;
use crate::wire::number::Put;
use crate::wire::sums::SumHead;
use crate::wire::terms::{Compress, Compressor};

const ALL: [Option<Compressor>; 5] =
    [None, Some(Compressor::Zlib), Some(Compressor::Zlibx), Some(Compressor::Zstd), Some(Compressor::Lz4)];

fn writer(kind: Option<Compressor>) -> TokenWriter {
    TokenWriter::new(kind.map(|kind| Compress { kind, level: 3 })).unwrap()
}

/// So many blocks of `block_len` bytes, of which the last has `remainder`.
fn head(count: u32, block_len: u32, remainder: u32) -> SumHead {
    SumHead { count, block_len, strong_len: 2, remainder }
}

/// A file as its tokens tell it.
#[derive(Clone, Debug)]
enum Part {
    Literal(Vec<u8>),
    Copy(u32, u32),
}

fn basis(head: &SumHead) -> Vec<u8> {
    (0..head.basis_len()).map(|n| (n.wrapping_mul(n) >> 9) as u8).collect()
}

fn told(parts: &[Part], head: &SumHead, basis: &[u8]) -> Vec<u8> {
    let bytes = |part: &Part| match part {
        Part::Literal(bytes) => bytes.clone(),
        Part::Copy(block, count) => {
            let (offset, len) = head.bytes(*block, *count).unwrap();
            basis[offset as usize..][..len as usize].to_vec()
        }
    };
    parts.iter().flat_map(bytes).collect()
}

fn write(writer: &mut TokenWriter, parts: &[Part], head: SumHead, out: &mut Vec<u8>) {
    writer.begin(head).unwrap();
    for part in parts {
        match part {
            Part::Literal(bytes) => writer.apply(Token::Literal { offset: 0, bytes }, out).unwrap(),
            Part::Copy(block, count) => writer.apply(head.copy(*block, *count).unwrap(), out).unwrap(),
        }
    }
    writer.end(out).unwrap();
}

/// The file that the tokens stand for.
fn read(reader: &mut TokenReader, from: &mut &[u8], head: SumHead, basis: &[u8]) -> Result<Vec<u8>, WireError> {
    reader.begin(head);
    let mut file = Vec::new();
    loop {
        match reader.next(from, &mut file)? {
            Piece::Literal => {}
            Piece::Copy { block, count } => {
                let (offset, len) = head.bytes(block, count).unwrap();
                file.extend_from_slice(&basis[offset as usize..][..len as usize]);
                reader.copied(block, count, &basis).unwrap();
            }
            Piece::End => return Ok(file),
        }
    }
}

#[test]
fn plain_tokens_of_the_protocol() {
    let mut out = Vec::new();
    write(&mut writer(None), &[Part::Literal(b"ab".to_vec()), Part::Copy(0, 2)], head(2, 700, 0), &mut out);
    assert_eq!(out, b"\x02\0\0\0ab\xff\xff\xff\xff\xfe\xff\xff\xff\0\0\0\0");
}

#[test]
fn references_of_the_protocol() {
    let parts = [
        Part::Copy(0, 1),
        Part::Copy(1, 1),
        Part::Copy(5, 3),
        Part::Copy(71, 1),
        Part::Copy(100, 70_000),
        Part::Copy(3, 1),
    ];
    for kind in [Compressor::Zlib, Compressor::Zlibx, Compressor::Zstd, Compressor::Lz4] {
        let mut out = Vec::new();
        write(&mut writer(Some(kind)), &parts, head(80_000, 700, 0), &mut out);
        let expected = [
            &[0x80, 0x81, 0xc4, 2, 0, 0x20, 71, 0, 0, 0][..],
            &[0xdd, 0xff, 0xff, 0xc1, 0x6f, 0x11],
            &[0x20, 3, 0, 0, 0, 0],
        ];
        assert_eq!(out, expected.concat(), "{kind:?}");
    }
}

#[test]
fn a_copy_of_part_of_a_block_is_refused() {
    let mut writer = writer(None);
    writer.begin(head(2, 700, 100)).unwrap();
    for (offset, len) in [(1, 700), (0, 100), (700, 700), (0, 1400), (u64::MAX, 1), (0, 0)] {
        let result = writer.apply(Token::Copy { offset, len }, &mut Vec::new());
        assert_eq!(result.is_ok(), len == 0, "{offset} {len}");
    }
    assert!(writer.apply(Token::Copy { offset: 700, len: 100 }, &mut Vec::new()).is_ok());
}

#[test]
fn references_beyond_the_basis_are_refused() {
    let plain = |token: i32| token.to_le_bytes().to_vec();
    let block = |block: i32, more: u16| {
        let mut out = vec![flag::BLOCKS];
        out.put_int(block);
        out.put_short(more);
        out
    };
    let refused: [(Option<Compressor>, Vec<u8>); 7] = [
        (None, plain(-4)),
        (None, plain(i32::MIN)),
        (Some(Compressor::Zstd), block(3, 0)),
        (Some(Compressor::Zstd), block(2, 1)),
        (Some(Compressor::Lz4), block(-1, 0)),
        (Some(Compressor::Zlib), block(i32::MAX, u16::MAX)),
        // The running index: CVE-2026-43618.
        (Some(Compressor::Zlibx), [0x82, 0x81].to_vec()),
    ];
    for (kind, bytes) in refused {
        let head = head(3, 700, 0);
        let result = read(&mut TokenReader::new(kind, 32).unwrap(), &mut &bytes[..], head, &basis(&head));
        assert!(matches!(result, Err(WireError::Protocol { .. })), "{kind:?} {bytes:?}: {result:?}");
    }
    // Without a basis there is no block.
    let mut reader = TokenReader::new(None, 32).unwrap();
    reader.begin(SumHead::default());
    assert!(reader.next(&mut &plain(-1)[..], &mut Vec::new()).is_err());
}

#[test]
fn a_reader_takes_its_time_over_a_bomb() {
    for kind in ALL.into_iter().flatten() {
        let (mut out, bytes) = (Vec::new(), vec![0; 40 << 20]);
        write(&mut writer(Some(kind)), &[Part::Literal(bytes)], SumHead::default(), &mut out);
        let mut reader = TokenReader::new(Some(kind), 32).unwrap();
        reader.begin(SumHead::default());
        let (mut from, mut literal, mut total) = (&out[..], Vec::new(), 0);
        while reader.next(&mut from, &mut literal).unwrap() == Piece::Literal {
            total += literal.len();
            literal.clear();
            assert!(literal.capacity() <= 1 << 20, "{kind:?} {}", literal.capacity());
        }
        assert_eq!(total, 40 << 20, "{kind:?}");
    }
}

/// What an older sender writes: matched blocks are part of its history.
#[test]
fn copied_blocks_are_in_the_history_of_zlib() {
    for (protocol, block_len) in [(31, 700), (31, 100_000), (30, 700), (30, 100_000), (30, 131_072)] {
        let head = head(4, block_len, 30_000.min(block_len / 2));
        let basis = basis(&head);
        let mut out = Vec::new();
        let mut deflate = flate2::Compress::new(Compression::default(), false);
        let mut parts = Vec::new();
        for block in [1, 3, 0, 2] {
            let (offset, len) = head.bytes(block, 1).unwrap();
            let bytes = &basis[offset as usize..][..len as usize];
            parts.push(Part::Copy(block, 1));
            out.put_byte(flag::BLOCK);
            out.put_int(block as i32);
            let stuck = protocol < 31 && bytes.len() > 0xffff;
            let mut history: Vec<u8> = Vec::new();
            if stuck {
                let mut left = bytes.len();
                while left > 0 {
                    history.extend(&bytes[..left.min(0xffff)]);
                    left -= left.min(0xffff);
                }
            } else {
                history.extend(bytes);
            }
            let tail = &history[history.len().saturating_sub(WINDOW)..];
            deflate.set_dictionary(tail).unwrap();
            // As the history ends, so that it is referred to.
            let literal = tail[tail.len().saturating_sub(600)..].to_vec();
            let mut data = Vec::with_capacity(1 << 16);
            deflate.compress_vec(&literal, &mut data, FlushCompress::Sync).unwrap();
            data.truncate(data.len() - 4);
            assert!(data.len() < 100, "the history is used: {}", data.len());
            out.put(&[flag::DATA, data.len() as u8]);
            out.put(&data);
            parts.push(Part::Literal(literal));
        }
        out.put_byte(flag::END);
        let mut reader = TokenReader::new(Some(Compressor::Zlib), protocol).unwrap();
        assert!(reader.needs_basis());
        let file = read(&mut reader, &mut &out[..], head, &basis).unwrap();
        assert!(file == told(&parts, &head, &basis), "{protocol} {block_len}");

        // A basis that got shorter costs the file and not the session: its tokens are read to the end.
        reader.begin(head);
        let (mut from, short, mut literal) = (&out[..], basis[..10].to_vec(), Vec::new());
        let mut failed = 0;
        loop {
            match reader.next(&mut from, &mut literal).unwrap() {
                Piece::Literal => {}
                Piece::Copy { block, count } => failed += u32::from(reader.copied(block, count, &short).is_err()),
                Piece::End => break,
            }
        }
        assert_eq!((failed, literal.len(), from.len()), (1, 0, 0), "told once, and then nothing is made up");
    }
}

fn parts(count: u32) -> impl Strategy<Value = Vec<Part>> {
    let noise = prop::collection::vec(any::<u8>(), 0..5000);
    let text = (any::<u8>(), 0usize..100_000).prop_map(|(byte, len)| (0..len).map(|n| byte ^ (n >> 7) as u8).collect());
    let literal = prop_oneof![noise, text].prop_map(Part::Literal);
    if count == 0 {
        return prop::collection::vec(literal, 0..6).boxed();
    }
    let copy = (0..count).prop_flat_map(move |block| (Just(block), 1..=count - block));
    prop::collection::vec(prop_oneof![literal, copy.prop_map(|(block, count)| Part::Copy(block, count))], 0..12).boxed()
}

fn files() -> impl Strategy<Value = Vec<(SumHead, Vec<Part>)>> {
    let file = (0u32..200, 1u32..3000, any::<u32>()).prop_flat_map(|(count, block_len, remainder)| {
        (Just(head(count, block_len, remainder % block_len)), parts(count))
    });
    prop::collection::vec(file, 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(files in files(), protocol in 30u32..33) {
        for kind in ALL {
            let (mut out, mut writer) = (Vec::new(), writer(kind));
            files.iter().for_each(|(head, parts)| write(&mut writer, parts, *head, &mut out));
            let (mut from, mut reader) = (&out[..], TokenReader::new(kind, protocol).unwrap());
            for (head, parts) in &files {
                let basis = basis(head);
                prop_assert!(read(&mut reader, &mut from, *head, &basis).unwrap() == told(parts, head, &basis));
            }
            prop_assert!(from.is_empty());
        }
    }

    /// Each file by a writer of its own, as the workers of a sender do it.
    #[test]
    fn files_of_several_writers_are_one_stream(files in files()) {
        for kind in ALL {
            let (mut out, mut writers) = (Vec::new(), [writer(kind), writer(kind)]);
            for (n, (head, parts)) in files.iter().enumerate() {
                write(&mut writers[n % 2], parts, *head, &mut out);
            }
            let (mut from, mut reader) = (&out[..], TokenReader::new(kind, 32).unwrap());
            for (head, parts) in &files {
                let basis = basis(head);
                prop_assert!(read(&mut reader, &mut from, *head, &basis).unwrap() == told(parts, head, &basis));
            }
        }
    }

    #[test]
    fn a_writer_that_was_left_begins_anew(left in parts(9), parts in parts(9)) {
        let head = head(9, 50, 7);
        for kind in ALL {
            let mut writer = writer(kind);
            writer.begin(head).unwrap();
            for part in &left {
                if let Part::Literal(bytes) = part {
                    writer.literal(bytes, &mut Vec::new()).unwrap();
                }
            }
            let mut out = Vec::new();
            write(&mut writer, &parts, head, &mut out);
            let basis = basis(&head);
            let mut reader = TokenReader::new(kind, 32).unwrap();
            prop_assert!(read(&mut reader, &mut &out[..], head, &basis).unwrap() == told(&parts, &head, &basis));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0x40), Just(0), Just(0x80)], 0..200),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        parts in parts(9),
    ) {
        let head = head(9, 50, 7);
        let basis = basis(&head);
        for kind in ALL {
            let mut written = Vec::new();
            write(&mut writer(kind), &parts, head, &mut written);
            for (at, byte) in &damage {
                let at = at.index(written.len());
                written[at] = *byte;
            }
            for bytes in [&bytes, &written] {
                let mut reader = TokenReader::new(kind, 32).unwrap();
                let mut from = &bytes[..];
                let results = iter::repeat_with(|| read(&mut reader, &mut from, head, &basis));
                prop_assert!(results.take(bytes.len() + 1).any(|result| result.is_err()), "an end within is one");
            }
        }
    }
}
