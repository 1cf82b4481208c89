//! Replays the corpora of the fuzz targets.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../../../fuzz/properties/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/properties/csv_pieces.rs"]
mod csv_pieces;
#[path = "../../../fuzz/properties/table_filter.rs"]
mod table_filter;

#[test]
fn csv_in_pieces() {
    corpus::replay("csv_pieces", csv_pieces::check);
}

#[test]
fn filters_of_tables() {
    corpus::replay("table_filter", table_filter::check);
}
