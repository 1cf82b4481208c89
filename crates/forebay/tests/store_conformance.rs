//! The conformance suite, run by both stores.

#![cfg(feature = "conformance")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use forebay::spill::conformance;
use forebay::{MemoryStore, SegmentOptions, SpillStore};

/// One test for each function of the suite.
macro_rules! suite {
    ($make:ident: $($scenario:ident),* $(,)?) => {
        $(#[test]
        fn $scenario() {
            conformance::$scenario(&$make);
        })*
    };
    ($($store:ident = $make:ident),* $(,)?) => {
        $(mod $store {
            use super::*;

            suite!($make: round_trip_of_many_parts, reads_at_offsets, reads_out_of_range_are_refused,
                owners_interleave, dropping_frees_everything, quota_refuses_and_changes_nothing,
                extents_outlive_the_handle, threads_append_read_and_drop);
        })*
    };
}

suite!(memory = memory_store, segments = segments_store, small_segments = small_segments_store);

fn memory_store(quota: u64) -> Box<dyn SpillStore> {
    Box::new(MemoryStore::new(quota))
}

fn segments_store(quota: u64) -> Box<dyn SpillStore> {
    Box::new(SegmentOptions::new().quota(quota).open(std::env::temp_dir()).unwrap())
}

/// Segments so small that appends keep beginning new ones.
fn small_segments_store(quota: u64) -> Box<dyn SpillStore> {
    let options = SegmentOptions::new().quota(quota).segment_size(100_000);
    Box::new(options.open(std::env::temp_dir()).unwrap())
}

#[test]
fn random_operations_match_a_model() {
    for seed in 0..4 {
        for make in [memory_store, segments_store, small_segments_store] {
            conformance::random_operations_match_a_model(&make, seed);
        }
    }
}

#[test]
fn all_runs_the_whole_suite() {
    conformance::all(&memory_store);
}
