//! The merge of runs and the sealed batch, against a model of five lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use forebay::spill::faulty::{Errno, Fault, FaultyFs, Operation};
use forebay::{Budget, SegmentOptions};
use forebay_exchange::{BLOCK, Changes, Cursor, ExchangeError, Field, Memory, Rows, Run, seal};
use proptest::prelude::*;

use crate::support::{Spilling, drain, model_of, runs_of};

/// A merge of `runs` holds what the model holds, in order, without a row that says nothing.
fn check<K: Field + std::fmt::Debug, V: Field + std::fmt::Debug>(
    rows: Vec<Vec<(K, V, i64)>>,
    limit: usize,
    block: usize,
    spilled: &[bool],
) {
    let store = Spilling::new(limit);
    let model = model_of(rows.iter().flatten().cloned());
    let mut runs = runs_of(rows, block, &store.memory);
    for (run, spill) in runs.iter_mut().zip(spilled) {
        if *spill {
            run.spill(&store.memory);
            assert!(!run.is_resident() || run.rows() == 0);
        }
    }
    let sealed = seal(7, runs, &store.memory).unwrap();
    let first = drain(sealed.cursor().unwrap());
    let second = drain(sealed.cursor().unwrap());
    let last = drain(sealed.into_cursor().unwrap());
    assert_eq!(first, second);
    assert_eq!(first, last);
    let sorted: Vec<_> = first.iter().map(|row| (row.0.hash64(), row.0.clone(), row.1.clone())).collect();
    assert!(sorted.is_sorted_by(|a, b| a < b), "in order, and no row twice");
    let merged: BTreeMap<_, _> = first.into_iter().map(|(key, value, weight)| ((key, value), weight)).collect();
    assert_eq!(merged, model);
    store.settled();
    assert_eq!(store.memory.consumer().used(), 0, "everything that was leased was given back");
}

fn runs<K: std::fmt::Debug, V: std::fmt::Debug>(
    key: impl Strategy<Value = K>,
    value: impl Strategy<Value = V>,
) -> impl Strategy<Value = Vec<Vec<(K, V, i64)>>> {
    let run = proptest::collection::vec((key, value, -2_i64..3), 0..400);
    proptest::collection::vec(run, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_batch_of_numbers_is_what_its_runs_are_together(
        rows in runs(0_u64..300, 0_u8..3),
        limit in 8_usize << 10..1 << 20,
        block in 1_usize..200,
        spilled in proptest::collection::vec(any::<bool>(), 12),
    ) {
        check(rows, limit, block, &spilled);
    }

    #[test]
    fn a_batch_of_strings_is_what_its_runs_are_together(
        rows in runs("[ab]{0,6}", "[a-c]{0,2}"),
        limit in 8_usize << 10..1 << 20,
        block in 1_usize..200,
        spilled in proptest::collection::vec(any::<bool>(), 12),
    ) {
        check(rows, limit, block, &spilled);
    }

    #[test]
    fn one_key_with_many_values_goes_over_many_blocks(
        rows in runs(Just(1_u64), 0_u64..2000),
        block in 1_usize..50,
        spilled in proptest::collection::vec(any::<bool>(), 12),
    ) {
        check(rows, 64 << 10, block, &spilled);
    }
}

/// `count` runs of `rows` numbers each, on disk.
fn many(count: u64, rows: u64, store: &Spilling) -> Vec<Run<Changes<u64>>> {
    let mut all = Vec::new();
    for run in 0..count {
        let rows = (0..rows).map(|row| (row * count + run, (), 1)).collect();
        all.extend(runs_of(vec![rows], BLOCK / 16, &store.memory));
        all[run as usize].spill(&store.memory);
        store.settled();
    }
    all
}

#[test]
fn a_small_budget_merges_in_steps_and_stays_small() {
    let store = Spilling::new(2 << 20);
    let runs = many(40, 20_000, &store);
    let sealed = seal(0, runs, &store.memory).unwrap();
    assert!(sealed.merges() > 0, "40 runs of two blocks do not fit into a quarter of 2 MiB");
    let mut cursor = sealed.into_cursor().unwrap();
    let mut rows = 0;
    while let Some(block) = cursor.next_block().unwrap() {
        rows += block.len();
    }
    assert_eq!(rows, 40 * 20_000);
    // A quarter for what is read, pages on their way to disk, the block that is given out; the index of 200 pages.
    let most = (512 << 10) + 10 * BLOCK + 200 * 1024;
    assert!(store.budget.peak() <= most, "{} bytes at one time", store.budget.peak());
}

/// Bytes that 200 rows take that were spilled two by two, of each a number and a string of 30 KB.
fn index_of<K: Field>(key: impl Fn(u64) -> K, value: impl Fn(u64) -> String) -> usize {
    let store = Spilling::new(64 << 20);
    let rows = (0..200).map(|row| (key(row), value(row), 1)).collect();
    let mut runs = runs_of(vec![rows], 2, &store.memory);
    runs[0].spill(&store.memory);
    store.settled();
    store.memory.consumer().used()
}

/// A block of long rows holds two or three of them: one of each in memory would be much of what was spilled.
#[test]
fn what_is_kept_of_spilled_blocks_is_little_however_long_rows_are() {
    let long = |row: u64| format!("{row}{}", "x".repeat(30_000));
    let (keys, values) = (index_of(long, |_| String::new()), index_of(|_| 7_u64, long));
    assert!(keys <= 100 * 512 && values <= 100 * 512, "{keys} and {values} bytes for 100 blocks");
}

#[test]
fn a_large_budget_merges_once() {
    let store = Spilling::new(64 << 20);
    let sealed = seal(0, many(40, 20_000, &store), &store.memory).unwrap();
    assert_eq!(sealed.merges(), 0);
    assert_eq!(drain(sealed.into_cursor().unwrap()).len(), 40 * 20_000);
    let snapshot = store.monitor.snapshot();
    assert!(snapshot.spilled_items >= 40 * 20_000);
    assert!(snapshot.prefetches > 0, "blocks were read ahead");
}

#[test]
fn blocks_of_a_single_run_pass_as_they_are() {
    let store = Spilling::new(8 << 20);
    let runs = many(1, 20_000, &store);
    let mut cursor = Cursor::merge(runs, &store.memory).unwrap();
    let first = cursor.next_block().unwrap().unwrap();
    assert_eq!(first.len(), BLOCK / 16);
}

#[test]
fn threads_read_one_batch_side_by_side() {
    let store = Spilling::new(4 << 20);
    let sealed = seal(0, many(10, 5000, &store), &store.memory).unwrap();
    let rows: Vec<usize> = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3).map(|_| scope.spawn(|| drain(sealed.cursor().unwrap()).len())).collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    assert_eq!(rows, [50_000; 3]);
}

#[test]
fn what_the_disk_does_not_take_stays_in_memory_and_is_read() {
    let (fs, store) = faulty(16 << 20);
    fs.inject(Operation::Write, 0.., Fault::Error(Errno::NOSPC));
    let runs = many(5, 20_000, &store);
    assert_eq!(drain(seal(0, runs, &store.memory).unwrap().into_cursor().unwrap()).len(), 100_000);
    assert!(fs.fired() > 0, "the disk was full");
    assert_eq!(store.memory.consumer().used(), 0);
}

#[test]
fn a_full_disk_ends_a_merge_in_steps_before_memory_is_used_up() {
    let (fs, store) = faulty(2 << 20);
    let runs = many(40, 20_000, &store);
    fs.inject(Operation::Write, 0.., Fault::Error(Errno::NOSPC));
    let error = seal(0, runs, &store.memory).unwrap_err();
    assert!(matches!(error, ExchangeError::Spill(_)), "{error}");
    assert!(store.budget.peak() <= 4 << 20, "{} bytes at one time", store.budget.peak());
}

#[test]
fn a_block_that_cannot_be_read_is_an_error_with_its_place() {
    let (fs, store) = faulty(2 << 20);
    let runs = many(3, 20_000, &store);
    fs.inject(Operation::Read, 1.., Fault::Error(Errno::IO));
    let error = read(runs, &store.memory).unwrap_err();
    assert!(error.to_string().contains(&store.path()), "{error}");
}

#[test]
fn a_byte_that_changed_on_disk_is_a_checksum_mismatch() {
    let (fs, store) = faulty(2 << 20);
    let runs = many(3, 20_000, &store);
    // Whatever is read at once, and whatever is read ahead in vain.
    fs.inject(Operation::Read, 0.., Fault::Flip(1000));
    let error = read(runs, &store.memory).unwrap_err();
    assert!(matches!(error, ExchangeError::Spill(forebay::SpillError::ChecksumMismatch { .. })), "{error}");
}

fn read(runs: Vec<Run<Changes<u64>>>, memory: &Memory) -> Result<usize, ExchangeError> {
    let mut cursor = seal(0, runs, memory)?.into_cursor()?;
    let mut rows = 0;
    while let Some(block) = cursor.next_block()? {
        rows += block.len();
    }
    Ok(rows)
}

fn faulty(limit: usize) -> (FaultyFs, Spilling) {
    let fs = FaultyFs::new();
    let options = SegmentOptions::new().file_system(Arc::new(fs.clone()));
    (fs, Spilling::with(Budget::new(limit), options))
}
