//! What fuzzing has collected, replayed: the same properties without the fuzzer.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../../../fuzz/properties/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/properties/delta_file.rs"]
mod delta_file;
#[path = "../../../fuzz/properties/signature.rs"]
mod signature;

#[test]
fn the_property_holds_for_the_corpus_of_signature() {
    corpus::replay("signature", signature::check);
}

#[test]
fn the_property_holds_for_the_corpus_of_delta_file() {
    corpus::replay("delta_file", delta_file::check);
}
