//! Files that are made to be slow, and budgets that are made to be small.

use forebay::Budget;
use forebay_delta::{Error, Format, Input, Options, Settings, Signature, Strong, Token, Weak, search};

use crate::support::{delta, noise, settings};

const BLOCK: usize = 1000;

/// Blocks that all have the weak sum of a block of zeros and all differ: +1 -1 -1 +1 leaves both of rsync's sums as they
/// are, wherever it is.
fn twins(blocks: usize) -> Vec<u8> {
    let mut bytes = vec![0u8; blocks * BLOCK];
    for (n, block) in bytes.chunks_mut(BLOCK).enumerate() {
        // Each pair of places is one number.
        let (first, second) = (n % 400, 500 + n / 400);
        for at in [first, second] {
            for (place, step) in [(at, 1u8), (at + 1, 255), (at + 2, 255), (at + 3, 1)] {
                block[place] = block[place].wrapping_add(step);
            }
        }
        assert_eq!(Weak::Rsync.sum(block), 0);
    }
    bytes
}

#[test]
fn many_equal_weak_sums_are_not_quadratic() {
    let basis = twins(20_000);
    // Every window of it has the weak sum of every block of the basis, and none is such a block.
    let new = vec![0u8; 8 << 20];
    let format = Format::new(Weak::Rsync, Strong::Xxh128(0), BLOCK as u32, 16).unwrap();
    let outcome = delta(&basis, Input::bytes(&new), &format, Options::default(), &settings(1, 8 << 20)).unwrap();
    assert_eq!((outcome.stats.matched, outcome.stats.literal), (0, new.len() as u64));
    // 16 times the file in blocks of 1,000 bytes, and 1,024 comparisons each on top.
    assert!(outcome.stats.false_alarms <= 16 * new.len() as u64 / BLOCK as u64, "{:?}", outcome.stats);
    assert_eq!(outcome.stats.leaps, 1, "{:?}", outcome.stats);
}

#[test]
fn after_too_much_was_in_vain_equal_offsets_are_still_found() {
    let mut basis = twins(20_000);
    basis.truncate(8 << 20);
    let whole = basis.len() / BLOCK * BLOCK;
    let mut new = vec![0u8; basis.len()];
    new[6 << 20..].copy_from_slice(&basis[6 << 20..]);
    let format = Format::new(Weak::Rsync, Strong::Xxh128(0), BLOCK as u32, 16).unwrap();
    let outcome = delta(&basis, Input::bytes(&new), &format, Options::default(), &settings(1, 16 << 20)).unwrap();
    assert!(outcome.rebuilt == new);
    assert!(outcome.stats.leaps > 0, "{:?}", outcome.stats);
    assert!(outcome.stats.matched >= (whole - (6 << 20) - BLOCK) as u64, "{:?}", outcome.stats);
}

#[test]
fn zeros_everywhere_are_one_block_again_and_again() {
    let (basis, new) = (vec![0u8; 10 << 20], vec![0u8; 30 << 20]);
    let outcome = delta(
        &basis,
        Input::bytes(&new),
        &Format::local(basis.len() as u64),
        Options::default(),
        &settings(2, 8 << 20),
    )
    .unwrap();
    assert!(outcome.rebuilt == new);
    // A block less for each segment.
    assert!(outcome.stats.literal < 4 * 3232, "{:?}", outcome.stats);
    assert_eq!(outcome.stats.false_alarms, 0);
}

#[test]
fn what_is_held_is_paid_for() {
    let basis = noise(30 << 20, 3);
    let new = noise(30 << 20, 4);
    let format = Format::local(basis.len() as u64);
    let settings = Settings { workers: 2, budget: Budget::new(4 << 20), ..Settings::default() };
    let signature = Signature::of(Input::bytes(&basis), &format, &settings).unwrap();
    let sums = signature.blocks() as usize * 20;
    assert!((sums..2 * sums).contains(&settings.budget.used()), "{} for {sums}", settings.budget.used());
    let mut literal = 0;
    let stats = search(&signature, Input::bytes(&new), Options::default(), &settings, |token| {
        if let Token::Literal { bytes, .. } = token {
            literal += bytes.len();
        }
        Ok::<_, Error>(())
    })
    .unwrap();
    assert_eq!((literal as u64, stats.literal), (30 << 20, 30 << 20));
    // The head, a result of each worker, and no more.
    assert!(settings.budget.peak() <= (4 << 20) + 3 * (1 << 20), "{}", settings.budget.peak());
    drop(signature);
    assert_eq!(settings.budget.used(), 0);
}

#[test]
fn sums_that_do_not_fit_are_refused_by_number() {
    let basis = noise(1 << 20, 5);
    let format = Format::new(Weak::Rsync, Strong::Blake2b, 16, 32).unwrap();
    let settings = Settings { budget: Budget::new(1 << 20), ..Settings::default() };
    let error = Signature::of(Input::bytes(&basis), &format, &settings).unwrap_err();
    assert!(matches!(&error, Error::Memory(refusal) if refusal.limit == 1 << 20), "{error}");
    assert_eq!(settings.budget.used(), 0);
}

#[test]
fn formats_are_checked() {
    let new = |block_len, strong_len| Format::new(Weak::Rsync, Strong::Xxh3(0), block_len, strong_len).unwrap_err();
    assert!(matches!(new(0, 8), Error::BlockLen(0)));
    assert!(matches!(new((1 << 29) + 1, 8), Error::BlockLen(536_870_913)));
    assert!(matches!(new(700, 0), Error::StrongLen { len: 0, digest_len: 8 }));
    assert!(matches!(new(700, 9), Error::StrongLen { len: 9, digest_len: 8 }));
}
