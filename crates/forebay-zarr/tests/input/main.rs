//! Frames from files: what is read is what was written, and what cannot be read is refused by name.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod builder;
#[path = "../../../../fuzz/properties/corpus.rs"]
mod corpus;
mod harness;
mod imagej;
mod names;
mod npy;
#[path = "../../../../fuzz/properties/npy.rs"]
mod npy_property;
mod raw;
mod tiff_pages;
#[path = "../../../../fuzz/properties/tiff_stack.rs"]
mod tiff_property;

#[test]
fn the_property_holds_for_the_corpus_of_tiff_stack() {
    corpus::replay("tiff_stack", tiff_property::check);
}

#[test]
fn the_property_holds_for_the_corpus_of_npy() {
    corpus::replay("npy", npy_property::check);
}
