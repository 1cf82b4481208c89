//! What the tests share.

use forebay::Budget;
use forebay_delta::{Error, Format, Input, Options, Patch, Settings, Signature, Stats, Token, search_reading};

/// A run that shows all it did.
pub(crate) struct Outcome {
    pub(crate) rebuilt: Vec<u8>,
    /// Offset in the basis and length of each copy, none for a literal.
    pub(crate) tokens: Vec<(Option<u64>, u64)>,
    pub(crate) stats: Stats,
}

/// So many workers, and a budget that makes segments of about `segment` bytes.
pub(crate) fn settings(workers: usize, segment: usize) -> Settings {
    Settings { workers, budget: Budget::new(segment * 4 * workers + (1 << 20)), ..Settings::default() }
}

pub(crate) fn delta(
    basis: &Vec<u8>,
    new: Input<'_>,
    format: &Format,
    options: Options,
    settings: &Settings,
) -> Result<Outcome, Error> {
    // Sums have a budget of their own, so that the other can be small.
    let signature = Signature::of(Input::bytes(basis), format, &Settings::default())?;
    let (mut rebuilt, mut tokens) = (Vec::new(), Vec::new());
    let mut patch = Patch::new(basis, &mut rebuilt);
    let (mut told, mut read) = (0, Vec::new());
    let take = |bytes: &[u8]| read.extend_from_slice(bytes);
    let stats = search_reading(&signature, new, options, settings, take, |token| {
        tokens.push(match token {
            Token::Copy { offset, len } => (Some(offset), len),
            Token::Literal { offset, bytes } => {
                assert_eq!(offset, told, "a literal says where it is");
                (None, bytes.len() as u64)
            }
        });
        assert!(!token.is_empty());
        told += token.len();
        patch.apply(token)
    })?;
    assert!(read == rebuilt, "the bytes that were read are the new file");
    Ok(Outcome { rebuilt, tokens, stats })
}

/// Bytes that do not repeat.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let words = std::iter::from_fn(|| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        Some((state ^ (state >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16)
    });
    words.flat_map(|word| word.to_le_bytes()[..4].to_vec()).take(len).collect()
}
