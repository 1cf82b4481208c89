//! What fuzzing has collected, replayed: the same property without the fuzzer.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../../../fuzz/properties/cluster_frames.rs"]
mod cluster_frames;
#[path = "../../../fuzz/properties/corpus.rs"]
mod corpus;

#[test]
fn the_property_holds_for_the_corpus_of_cluster_frames() {
    corpus::replay("cluster_frames", cluster_frames::check);
}
