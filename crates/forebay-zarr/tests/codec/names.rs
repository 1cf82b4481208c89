//! The names of codecs.

use forebay_zarr::Codec;
use forebay_zarr::codec::{Compressor, Shuffle};
use proptest::prelude::*;

use super::chunks::codec;

proptest! {
    #[test]
    fn a_codec_is_what_its_name_says(codec in codec()) {
        prop_assert_eq!(codec.to_string().parse::<Codec>().unwrap(), codec);
    }

    #[test]
    fn any_text_is_a_codec_or_an_error(text in "(none|zstd|gzip|blosc-[a-z0-9]{0,5})?(:[-a-z0-9]{0,10}){0,3}") {
        if let Ok(codec) = text.parse::<Codec>() {
            prop_assert_eq!(codec.to_string().parse::<Codec>().unwrap(), codec);
        }
    }
}

#[test]
fn the_level_and_the_shuffle_may_be_left_out() {
    for (short, long) in [
        ("none", "none"),
        ("zstd", "zstd:1"),
        ("gzip", "gzip:6"),
        ("blosc-zstd", "blosc-zstd:1"),
        ("blosc-lz4", "blosc-lz4:5"),
        ("blosc-lz4hc:shuffle", "blosc-lz4hc:5"),
        ("blosc-zlib:bitshuffle", "blosc-zlib:5:bitshuffle"),
        ("blosc-zstd:3:noshuffle", "blosc-zstd:3:noshuffle"),
        ("zstd:-7", "zstd:-7"),
    ] {
        assert_eq!(short.parse::<Codec>().unwrap().to_string(), long);
    }
    assert_eq!("blosc-zstd".parse::<Codec>().unwrap(), Codec::default());
    let bits = Codec::Blosc { compressor: Compressor::Lz4, level: 9, shuffle: Shuffle::Bit };
    assert_eq!("blosc-lz4:9:bitshuffle".parse::<Codec>().unwrap(), bits);
}

#[test]
fn an_error_lists_what_there_is() {
    for text in
        ["", "lz4", "blosc", "blosc-snappy:1", "none:1", "zstd:1:shuffle", "blosc-lz4:x", "blosc-lz4:1:bit", "zstd:1:2"]
    {
        let error = text.parse::<Codec>().unwrap_err().to_string();
        assert!(error.starts_with(&format!("'{text}' is no codec")), "{error}");
        for name in ["none", "zstd:", "gzip:", "blosc-zstd:", "blosc-lz4:", "blosc-lz4hc:", "blosc-zlib:", "bitshuffle"]
        {
            assert!(error.contains(name), "{error}");
        }
    }
    for (text, levels) in [("zstd:23", "-7 to 22"), ("gzip:10", "0 to 9"), ("blosc-lz4:10", "0 to 9")] {
        let error = text.parse::<Codec>().unwrap_err().to_string();
        assert!(error.contains(levels), "{error}");
    }
}
