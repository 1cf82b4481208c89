//! What fuzzing has collected, replayed: the same property without the fuzzer.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../../../fuzz/properties/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/properties/filter.rs"]
mod filter;

#[test]
fn the_property_holds_for_the_corpus_of_filter() {
    corpus::replay("filter", filter::check);
}
