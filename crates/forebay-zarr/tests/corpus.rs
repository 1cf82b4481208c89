//! What fuzzing has collected, replayed: the same property without the fuzzer.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../../../fuzz/properties/blosc.rs"]
mod blosc;
#[path = "../../../fuzz/properties/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/properties/shard_index.rs"]
mod shard_index;
#[path = "../../../fuzz/properties/zarr_json.rs"]
mod zarr_json;

#[test]
fn the_property_holds_for_the_corpus_of_blosc() {
    corpus::replay("blosc", blosc::check);
}

#[test]
fn the_property_holds_for_the_corpus_of_shard_index() {
    corpus::replay("shard_index", shard_index::check);
}

#[test]
fn the_property_holds_for_the_corpus_of_zarr_json() {
    corpus::replay("zarr_json", zarr_json::check);
}
