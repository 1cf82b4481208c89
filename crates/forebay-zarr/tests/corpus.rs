//! What fuzzing has collected, replayed: the same property without the fuzzer.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../../../fuzz/properties/blosc.rs"]
mod blosc;
#[path = "../../../fuzz/properties/corpus.rs"]
mod corpus;

#[test]
fn the_property_holds_for_the_corpus_of_blosc() {
    corpus::replay("blosc", blosc::check);
}
