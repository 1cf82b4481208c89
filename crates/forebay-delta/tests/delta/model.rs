//! Random files against a model of a few lines.

use std::io::{self, Read};

use forebay_delta::{Format, Input, Options, Seed, Strong, Weak};
use proptest::prelude::*;

use crate::support::{delta, noise, settings};

/// Bytes that a greedy search, which knows all of both files, leaves literal. It goes over one or two blocks
/// that have changed in place, unless another one is between.
fn literal(basis: &[u8], new: &[u8], block_len: usize, may_copy: impl Fn(usize, usize) -> bool) -> u64 {
    let blocks: Vec<_> = basis.chunks(block_len).collect();
    let is = |n: &usize, pos: usize| {
        let rest = new.get(pos..).unwrap_or_default();
        let whole = |block: &&&[u8]| block.len() == block_len || block.len() == rest.len();
        blocks.get(*n).filter(whole).is_some_and(|block| rest.starts_with(block)) && may_copy(n * block_len, pos)
    };
    let (mut pos, mut literal, mut expected) = (0, 0, Some(0));
    while pos < new.len() {
        let any = |pos| (0..blocks.len()).find(|n| is(n, pos));
        let here = expected.filter(|n| is(n, pos)).or_else(|| any(pos));
        let first = |n: &usize| blocks.iter().position(|block| *block == blocks[*n]) == Some(*n);
        let behind = |hop| expected.map(|n| n + hop).filter(|n| is(n, pos + hop * block_len) && first(n));
        let between = || (1..=block_len).find_map(|gap| Some((gap, any(pos + gap)?)));
        let (gap, found) = match (here, behind(1), behind(2)) {
            (Some(_), ..) => (0, here),
            (_, one @ Some(_), _) => (block_len, one),
            (.., two @ Some(_)) => between().map_or((2 * block_len, two), |(gap, n)| (gap, Some(n))),
            _ => (1, None),
        };
        pos += gap + found.map_or(0, |n| blocks[n].len());
        literal += gap as u64;
        expected = found.map(|n| n + 1);
    }
    literal
}

/// What happened to a basis.
#[derive(Clone, Debug)]
enum Edit {
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Overwrite(usize, u8),
    Move(usize, usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (any::<usize>(), prop::collection::vec(any::<u8>(), 1..60)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (any::<usize>(), 1usize..300).prop_map(|(at, len)| Edit::Remove(at, len)),
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Edit::Overwrite(at, byte)),
        (any::<usize>(), any::<usize>(), 1usize..300).prop_map(|(from, to, len)| Edit::Move(from, to, len)),
    ]
}

fn edited(basis: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut new = basis.to_vec();
    for edit in edits {
        let within = |at: &usize| at % (new.len() + 1);
        match edit {
            Edit::Insert(at, bytes) => {
                let at = within(at);
                new.splice(at..at, bytes.iter().copied());
            }
            Edit::Remove(at, len) => {
                let at = within(at);
                new.drain(at..(at + len).min(new.len()));
            }
            Edit::Overwrite(at, byte) => {
                let at = within(at);
                new.iter_mut().skip(at).take(1).for_each(|old| *old = *byte);
            }
            Edit::Move(from, to, len) => {
                let from = within(from);
                let piece: Vec<u8> = new.drain(from..(from + len).min(new.len())).collect();
                let to = to % (new.len() + 1);
                new.splice(to..to, piece);
            }
        }
    }
    new
}

/// Text of few letters has many equal blocks, noise none.
fn basis() -> impl Strategy<Value = Vec<u8>> {
    (0usize..3000, any::<u64>(), prop::bool::ANY).prop_map(|(len, seed, few)| {
        let mut bytes = noise(len, seed);
        if few {
            bytes.iter_mut().for_each(|byte| *byte = u8::from(*byte > 250));
        }
        bytes
    })
}

#[allow(clippy::unwrap_used, reason = "not a test to clippy")]
fn format() -> impl Strategy<Value = Format> {
    let weak = prop::sample::select(vec![Weak::Rsync, Weak::Rollsum, Weak::RabinKarp]);
    let strong = prop::sample::select(vec![
        Strong::Md4(Seed::After([1, 2, 3, 4])),
        Strong::Md5(Seed::Before([4, 3, 2, 1])),
        Strong::Sha1(Seed::None),
        Strong::Xxh64(1),
        Strong::Xxh3(2),
        Strong::Xxh128(3),
        Strong::Blake2b,
    ]);
    (weak, strong, 1u32..100).prop_map(|(weak, strong, block_len)| Format::new(weak, strong, block_len, 8).unwrap())
}

/// A stream that gives a few bytes at a time.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = buf.len().min(self.0.len()).min(7 + self.0.len() % 50);
        self.0.read(&mut buf[..len])
    }
}

proptest! {
    #[test]
    fn one_segment_finds_what_the_model_finds(
        basis in basis(),
        edits in prop::collection::vec(edit(), 0..8),
        format in format(),
    ) {
        let new = edited(&basis, &edits);
        let outcome =
            delta(&basis, Input::bytes(&new), &format, Options::default(), &settings(1, 1 << 20)).unwrap();
        prop_assert!(outcome.rebuilt == new);
        prop_assert_eq!(outcome.stats.matched + outcome.stats.literal, new.len() as u64);
        let expected = literal(&basis, &new, format.block_len() as usize, |_, _| true);
        prop_assert_eq!(outcome.stats.literal, expected);
    }

    #[test]
    fn segments_on_several_workers_rebuild_the_file(
        basis in basis(),
        edits in prop::collection::vec(edit(), 0..8),
        format in format(),
        workers in 1usize..4,
        segment in 1usize..500,
        stream in prop::bool::ANY,
    ) {
        let new = edited(&basis, &edits);
        let settings = forebay_delta::Settings {
            budget: forebay::Budget::new(segment * 4 * workers),
            workers,
            ..Default::default()
        };
        let mut trickle = Trickle(&new);
        let input = if stream { Input::Stream(&mut trickle) } else { Input::bytes(&new) };
        let outcome = delta(&basis, input, &format, Options::default(), &settings).unwrap();
        prop_assert!(outcome.rebuilt == new);
        prop_assert_eq!(outcome.stats.matched + outcome.stats.literal, new.len() as u64);
        let whole = |(offset, len): &(Option<u64>, u64)| {
            let block_len = u64::from(format.block_len());
            offset.is_none_or(|offset| {
                offset % block_len == 0 && (len % block_len == 0 || offset + len == basis.len() as u64)
            })
        };
        prop_assert!(outcome.tokens.iter().all(whole), "{:?}", outcome.tokens);
    }

    #[test]
    fn in_place_nothing_is_copied_that_is_overwritten(
        basis in basis(),
        edits in prop::collection::vec(edit(), 0..8),
        format in format(),
        segment in 1usize..2000,
    ) {
        let new = edited(&basis, &edits);
        let options = Options { in_place: true };
        let outcome = delta(&basis, Input::bytes(&new), &format, options, &settings(2, segment)).unwrap();
        let mut at = 0;
        let mut file = basis.clone();
        file.resize(basis.len().max(new.len()), 0);
        for (offset, len) in outcome.tokens {
            match offset {
                Some(offset) => {
                    let block_len = u64::from(format.block_len());
                    for (from, to) in (offset..offset + len).zip(at..).step_by(block_len as usize) {
                        let block = from as usize..(from + block_len).min(offset + len) as usize;
                        let stays = new.get(block.clone()).is_some_and(|there| *there == basis[block]);
                        prop_assert!(from >= to || stays, "{from} to {to}");
                    }
                    file.copy_within(offset as usize..(offset + len) as usize, at as usize);
                }
                None => {
                    let range = at as usize..(at + len) as usize;
                    file[range.clone()].copy_from_slice(&new[range]);
                }
            }
            at += len;
        }
        file.truncate(new.len());
        prop_assert!(file == new);
    }

    #[test]
    fn signatures_do_not_depend_on_how_they_are_made(
        basis in basis(),
        format in format(),
        workers in 1usize..4,
        segment in 1usize..500,
    ) {
        let one = forebay_delta::Signature::of(Input::bytes(&basis), &format, &settings(1, 1 << 20)).unwrap();
        let settings = forebay_delta::Settings {
            // Room for the sums, which are up to twelve times the basis.
            budget: forebay::Budget::new(segment * 4 * workers + 200_000),
            workers,
            ..Default::default()
        };
        let mut trickle = Trickle(&basis);
        let other = forebay_delta::Signature::of(Input::Stream(&mut trickle), &format, &settings).unwrap();
        prop_assert!(one.iter().eq(other.iter()));
        prop_assert_eq!(one.basis_len(), other.basis_len());
        let naive = basis.chunks(format.block_len() as usize);
        prop_assert_eq!(one.blocks(), naive.len() as u64);
        for ((weak, strong), block) in one.iter().zip(naive) {
            prop_assert_eq!(weak, format.weak().sum(block));
            prop_assert!(strong == &format.strong().sum(block).as_ref()[..8]);
        }
    }
}

#[test]
fn a_file_of_several_segments_is_searched_by_several_workers() {
    let basis = noise(40 << 20, 1);
    let mut new = basis.clone();
    // A block in each of the 1,000 first 32 KiB, and one byte in front of all.
    (0..1000).for_each(|n| new[n << 15] ^= 1);
    new.insert(0, b'x');
    let settings =
        forebay_delta::Settings { workers: 3, budget: forebay::Budget::new(200 << 20), ..Default::default() };
    let format = Format::local(basis.len() as u64);
    let outcome = delta(&basis, Input::bytes(&new), &format, Options::default(), &settings).unwrap();
    assert!(outcome.rebuilt == new);
    assert_eq!(outcome.stats.workers, 3, "{:?}", outcome.stats);
    let block_len = u64::from(format.block_len());
    assert!(outcome.stats.literal <= 1000 * block_len + 1 + 5 * block_len, "{:?}", outcome.stats);
    assert!(settings.budget.peak() > 0);
}

#[test]
fn in_place_blocks_are_copied_from_behind_if_they_stay_there() {
    let format = Format::local(8 << 20);
    let block_len = format.block_len() as usize;
    let mut basis = noise(400 * block_len, 3);
    let zero = |file: &mut [u8], blocks: std::ops::Range<usize>| {
        file[blocks.start * block_len..blocks.end * block_len].fill(0);
    };
    // Blocks of zeros, of which the new file has only those in the middle, or only the last, and more of them at its end.
    zero(&mut basis, 10..20);
    for stays in [10..15, 19..20] {
        let mut new = basis.clone();
        new[10 * block_len..20 * block_len].copy_from_slice(&noise(10 * block_len, 4));
        zero(&mut new, stays.clone());
        zero(&mut new, 300..340);
        let in_place = Options { in_place: true };
        let outcome = delta(&basis, Input::bytes(&new), &format, in_place, &settings(2, 8 << 20)).unwrap();
        assert!(outcome.rebuilt == new);
        let literal = (10 - stays.len()) * block_len;
        assert_eq!(outcome.stats.literal, literal as u64, "{stays:?}");
    }
}

#[test]
fn a_file_that_has_not_changed_is_never_rolled_along() {
    let basis = noise(20 << 20, 2);
    let settings = settings(2, 8 << 20);
    let outcome =
        delta(&basis, Input::bytes(&basis), &Format::local(basis.len() as u64), Options::default(), &settings).unwrap();
    assert_eq!(outcome.stats.hash_hits, 0, "only guesses");
    assert_eq!(outcome.tokens, [(Some(0), basis.len() as u64)]);
}

#[test]
fn what_was_changed_in_place_is_hopped_over() {
    let basis = noise(20 << 20, 3);
    let format = Format::local(basis.len() as u64);
    let block_len = format.block_len() as usize;
    let mut new = basis.clone();
    // The first block and every fifth, and with every second of them the next one.
    new.chunks_mut(5 * block_len).for_each(|five| five[block_len / 3] ^= 1);
    new.chunks_mut(10 * block_len).for_each(|ten| ten[block_len + 9] ^= 1);
    let changed = (new.len().div_ceil(5 * block_len) + new.len().div_ceil(10 * block_len)) as u64;
    let outcome = delta(&basis, Input::bytes(&new), &format, Options::default(), &settings(2, 8 << 20)).unwrap();
    assert!(outcome.rebuilt == new);
    assert_eq!(outcome.stats.hash_hits, outcome.stats.false_alarms, "found by guesses and hops only");
    assert_eq!(outcome.stats.literal, changed * block_len as u64);
}

#[test]
fn blocks_that_are_not_where_they_were_are_not_hopped_over() {
    let format = Format::local(20 << 20);
    let block_len = format.block_len() as usize;
    let search = |basis: &Vec<u8>, new: &Vec<u8>| {
        let outcome = delta(basis, Input::bytes(new), &format, Options::default(), &settings(1, 32 << 20)).unwrap();
        assert!(outcome.rebuilt == *new);
        (outcome.tokens, outcome.stats.hash_hits)
    };
    // The third block is in place of the second, too.
    let basis = noise(10 * block_len, 4);
    let mut new = basis.clone();
    new.copy_within(2 * block_len..3 * block_len, block_len);
    let (tokens, hash_hits) = search(&basis, &new);
    let (len, at) = (block_len as u64, |n: u64| Some(n * block_len as u64));
    assert_eq!((tokens, hash_hits), (vec![(at(0), len), (at(2), len), (at(2), 8 * len)], 2));
    // What is everywhere goes on right behind the change.
    let basis = vec![0; 10 * block_len];
    let mut new = basis.clone();
    new[block_len + 9] = 1;
    let (tokens, hash_hits) = search(&basis, &new);
    assert_eq!((tokens[..2].to_vec(), hash_hits), (vec![(at(0), len), (None, 10)], 1));
}

#[test]
fn short_strong_sums_are_not_believed_alone() {
    let basis = noise(700 * 8000, 5);
    let mut new = basis.clone();
    new.chunks_mut(1400).for_each(|two| two[0] ^= 1);
    for strong in [Strong::Xxh128(3), Strong::Md5(Seed::None)] {
        // One in 256 of the 4,000 blocks that have changed has the same strong sum.
        let format = Format::new(Weak::Rsync, strong, 700, 1).unwrap();
        let outcome = delta(&basis, Input::bytes(&new), &format, Options::default(), &settings(1, 8 << 20)).unwrap();
        assert!(outcome.rebuilt == new, "{strong:?}");
    }
}
