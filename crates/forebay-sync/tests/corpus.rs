//! What fuzzing has collected, replayed: the same properties without the fuzzer.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../../../fuzz/properties/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/properties/filter.rs"]
mod filter;
#[path = "../../../fuzz/properties/wire_list.rs"]
mod wire_list;
#[path = "../../../fuzz/properties/wire_sums.rs"]
mod wire_sums;
#[path = "../../../fuzz/properties/wire_tokens.rs"]
mod wire_tokens;

#[test]
fn the_property_holds_for_the_corpus_of_filter() {
    corpus::replay("filter", filter::check);
}

#[test]
fn the_property_holds_for_the_corpus_of_wire_tokens() {
    corpus::replay("wire_tokens", wire_tokens::check);
}

#[test]
fn the_property_holds_for_the_corpus_of_wire_sums() {
    corpus::replay("wire_sums", wire_sums::check);
}

#[test]
fn the_property_holds_for_the_corpus_of_wire_list() {
    corpus::replay("wire_list", wire_list::check);
}
