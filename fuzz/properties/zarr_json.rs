//! What holds for the metadata of an array, whatever the text.

use forebay_zarr::metadata::{decode, encode};

/// What is taken is an array that can be written, and survives being written.
pub(crate) fn check(data: &[u8]) {
    let Ok((spec, frames)) = decode(data) else {
        return;
    };
    spec.validate().unwrap();
    let text = encode(&spec, frames);
    assert_eq!(decode(&text).unwrap(), (spec.clone(), frames));
    assert_eq!(encode(&spec, frames), text);
}
