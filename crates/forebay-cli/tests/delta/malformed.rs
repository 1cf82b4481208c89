//! Files that are not what they should be.

use crate::harness::{FOREBAY, Place, exists, noise};

fn place() -> Place {
    let place = Place::new();
    place.write("basis", &noise(100_000, 1));
    place.write("new", &noise(100_000, 2));
    place.done(FOREBAY, &["signature", "basis", "signature"]);
    place.done(FOREBAY, &["delta", "signature", "new", "delta"]);
    place
}

#[test]
fn signatures_that_are_none() {
    let place = place();
    let good = place.read("signature");
    let with = |at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        bad
    };
    for (bytes, text) in [
        (vec![], "at 0: it ends in the middle"),
        (good[..3].to_vec(), "at 3: it ends in the middle"),
        (good[..10].to_vec(), "at 10: it ends in the middle"),
        (good[..good.len() - 1].to_vec(), "it ends in the middle"),
        (with(0, b"PK\x03\x04"), "at 0: 0x504b0304 is not how it begins"),
        (place.read("delta"), "at 0: 0x72730236 is not how it begins"),
        (with(4, &[0; 4]), "at 4: blocks of 0 bytes"),
        (with(4, &[0xff; 4]), "at 4: blocks of 4294967295 bytes"),
        (with(8, &[0; 4]), "at 8: strong sums of 0 bytes"),
        (with(8, &[0, 0, 0, 33]), "at 8: strong sums of 33 bytes"),
        (with(8, &[0xff; 4]), "at 8: strong sums of 4294967295 bytes"),
    ] {
        place.write("bad", &bytes);
        let said = place.refused(&["delta", "bad", "new", "out"]);
        assert!(said.starts_with("forebay: read bad ") && said.contains(text), "{said}");
    }
    // No blocks are a signature too: of nothing.
    place.write("none", &good[..12]);
    place.done(FOREBAY, &["delta", "none", "new", "out"]);
    place.done(FOREBAY, &["patch", "basis", "out", "rebuilt"]);
    assert!(place.read("rebuilt") == place.read("new"));
}

#[test]
fn deltas_that_are_none() {
    let place = place();
    let head = *b"rs\x026";
    let delta = |commands: &[u8]| [&head[..], commands].concat();
    for (bytes, text) in [
        (vec![], "read bad at 0: it ends in the middle"),
        (head.to_vec(), "read bad at 4: it ends in the middle"),
        (place.read("signature"), "read bad at 0: 0x72730147 is not how it begins"),
        (delta(&[0x55]), "read bad at 4: 0x55 is no command"),
        (delta(&[0xff]), "read bad at 4: 0xff is no command"),
        (delta(b"\x02abX"), "read bad at 7: 0x58 is no command"),
        (delta(b"\x02a"), "read bad at 6: it ends in the middle"),
        (delta(b"\x02ab"), "read bad at 7: it ends in the middle"),
        (delta(&[0x41, 0]), "read bad at 4: a command for no bytes"),
        (delta(&[0x45, 0, 0, 0]), "read bad at 4: a command for no bytes"),
        (delta(&[0x54, 0, 0]), "read bad at 7: it ends in the middle"),
        // As many literal bytes as there can be.
        (delta(&[&[0x44][..], &[0xff; 8], b"abc"].concat()), "read bad at 16: it ends in the middle"),
        // All of the basis and more.
        (delta(&[&[0x48, 0][..], &[0xff; 8], &[0]].concat()), "read basis: it ends at 100000"),
        (delta(&[&[0x54][..], &[0xff; 16], &[0]].concat()), "read basis: it ends at"),
        (delta(&[0x46, 200, 0xff, 0xff, 0x47, 1, 0, 1, 0x86, 0xa1, 0]), "read basis: it ends at 100000"),
    ] {
        place.write("bad", &bytes);
        let said = place.refused(&["patch", "basis", "bad", "out"]);
        assert!(said.contains(text), "{said} instead of {text}");
    }
    // What follows the end is not looked at.
    place.write("more", &delta(b"\x02ab\0what else"));
    assert_eq!(place.done(FOREBAY, &["patch", "basis", "more"]).0, b"ab");
}

#[test]
fn a_delta_of_another_basis_is_told() {
    let place = place();
    place.write("short", &noise(50_000, 1));
    place.done(FOREBAY, &["delta", "signature", "basis", "out"]);
    let said = place.refused(&["patch", "short", "out", "rebuilt"]);
    assert_eq!(said, "forebay: read short: it ends at 50000, before it should: it may be another file\n");
}

#[test]
fn sums_beyond_the_memory_are_refused_by_number() {
    let place = place();
    place.done(FOREBAY, &["signature", "-b1", "basis", "many"]);
    let said = place.refused(&["delta", "--memory", "1M", "many", "new", "out"]);
    assert!(said.contains("of 1048576 bytes are in use") && said.contains("--memory"), "{said}");
    assert!(!exists(&place.path("out")));
}
