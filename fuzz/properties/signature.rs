//! What holds for a file that claims to be a signature of librsync's, whatever is in it.

use forebay::Budget;
use forebay_delta::librsync::read_signature;
use forebay_delta::{Error, Input, Options, Settings, search};

/// Reads `data` as a signature and searches a file for its blocks: it is refused, or the tokens cover the file, in order,
/// and copy nothing that the basis cannot have.
pub(crate) fn check(data: &[u8]) {
    let settings = Settings { workers: 1, budget: Budget::new(4 << 20), ..Settings::default() };
    let Ok(signature) = read_signature(data, &settings) else {
        return;
    };
    let block_len = u64::from(signature.format().block_len());
    assert!(signature.blocks() as usize <= data.len() / 5, "more blocks than the file holds");
    // Its own bytes, and as many zeros: something that has equal windows.
    let new: Vec<u8> = data.iter().copied().chain(std::iter::repeat_n(0, data.len())).collect();
    let mut told = 0;
    let done = search(&signature, Input::bytes(&new), Options::default(), &settings, |token| {
        if let forebay_delta::Token::Copy { offset, len } = token {
            assert!(offset % block_len == 0 && offset + len <= signature.blocks() * block_len);
        }
        told += token.len();
        Ok::<_, Error>(())
    });
    match done {
        Ok(stats) => assert_eq!((told, stats.matched + stats.literal), (new.len() as u64, new.len() as u64)),
        Err(error) => assert!(matches!(error, Error::Memory(_)), "{error}"),
    }
}
