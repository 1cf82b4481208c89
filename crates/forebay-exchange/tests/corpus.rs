//! What fuzzing has collected, replayed: the same properties without the fuzzer.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../../../fuzz/properties/cluster_frames.rs"]
mod cluster_frames;
#[path = "../../../fuzz/properties/corpus.rs"]
mod corpus;
#[cfg(feature = "table")]
#[path = "../../../fuzz/properties/csv_pieces.rs"]
mod csv_pieces;
#[cfg(feature = "table")]
#[path = "../../../fuzz/properties/table_filter.rs"]
mod table_filter;

#[test]
fn the_property_holds_for_the_corpus_of_cluster_frames() {
    corpus::replay("cluster_frames", cluster_frames::check);
}

#[cfg(feature = "table")]
#[test]
fn the_property_holds_for_the_corpus_of_csv_pieces() {
    corpus::replay("csv_pieces", csv_pieces::check);
}

#[cfg(feature = "table")]
#[test]
fn the_property_holds_for_the_corpus_of_table_filters() {
    corpus::replay("table_filter", table_filter::check);
}
