//! Levels: what they hold, how often they merge, and what they read.

use std::collections::{BTreeMap, BTreeSet};

use forebay_exchange::{Changes, Field, Levels, Memory, Rows, seal};
use proptest::prelude::*;

use crate::support::{Spilling, model_of, runs_of};

type Row<V> = (u16, V, i64);

/// A key's rows before and after a commit.
type Seen<V> = BTreeMap<u16, (Vec<Row<V>>, Vec<Row<V>>)>;

/// Applies `rows` as one commit and gives, for each key that changes, its rows before and after.
fn apply<V: Field>(levels: &mut Levels<Changes<u16, V>>, rows: &[Row<V>], block: usize, memory: &Memory) -> Seen<V> {
    let mut seen = BTreeMap::new();
    let batch = seal(0, runs_of(vec![rows.to_vec()], block, memory), memory).unwrap();
    levels
        .apply(batch, |group| {
            let (key, mut before, mut after) = (group.key().0, Vec::new(), Vec::new());
            while let Some(row) = group.next()? {
                assert!(row.before.is_some() || row.after.is_some());
                before.extend(row.before.cloned());
                after.extend(row.after.cloned());
            }
            assert!(seen.insert(key, (before, after)).is_none(), "a group is visited once");
            Ok(())
        })
        .unwrap();
    seen
}

fn of_key<V: Field>(model: &BTreeMap<(u16, V), i64>, key: u16) -> Vec<Row<V>> {
    let rows = model.iter().filter(|((of, _), _)| *of == key);
    rows.map(|((key, value), weight)| (*key, value.clone(), *weight)).collect()
}

/// Applies the commits one after the other: what is seen of each is what the model says.
fn check<V: Field + std::fmt::Debug>(commits: Vec<Vec<Row<V>>>, limit: usize, block: usize) {
    let store = Spilling::new(limit);
    let mut levels = Levels::new(&store.memory);
    let mut all: Vec<Row<V>> = Vec::new();
    for rows in commits {
        let before = model_of(all.iter().cloned());
        all.extend(rows.iter().cloned());
        let after = model_of(all.iter().cloned());
        let changed: BTreeSet<u16> = model_of(rows.iter().cloned()).into_keys().map(|(key, _)| key).collect();
        let seen = apply(&mut levels, &rows, block, &store.memory);
        let expected: Seen<V> =
            changed.into_iter().map(|key| (key, (of_key(&before, key), of_key(&after, key)))).collect();
        assert_eq!(seen, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn changed_groups_are_seen_as_they_were_and_as_they_are(
        commits in proptest::collection::vec(
            proptest::collection::vec((0_u16..60, 0_u8..8, -2_i64..3), 0..120), 1..14),
        // In the last, all levels stay in memory.
        limit in prop_oneof![512_usize..64 << 10, Just(16 << 20)],
        block in 1_usize..40,
    ) {
        check(commits, limit, block);
    }

    /// Rows that a run keeps no first ones of, next to some that it does.
    #[test]
    fn long_rows_of_a_group_are_found_in_whatever_block_they_are(
        commits in proptest::collection::vec(
            proptest::collection::vec((0_u16..6, 0_u8..16, -2_i64..3), 0..60), 1..10),
        limit in prop_oneof![16_usize << 10..64 << 10, Just(16 << 20)],
        block in 1_usize..5,
    ) {
        let long = |value: u8| format!("{value:02}{}", "x".repeat(if value.is_multiple_of(3) { 10 } else { 2_000 }));
        let rows = |rows: Vec<Row<u8>>| rows.into_iter().map(|(key, value, weight)| (key, long(value), weight)).collect();
        let commits: Vec<Vec<Row<String>>> = commits.into_iter().map(rows).collect();
        check(commits, limit, block);
    }
}

/// As [`of_key`], of some values.
fn among(model: &BTreeMap<(u16, u8), i64>, key: u16, values: std::ops::Range<u8>) -> Vec<Row<u8>> {
    of_key(model, key).into_iter().filter(|row| values.contains(&row.1)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Of each group, its rows from 2 to 4, of those from 5 on what changes, and how often it was visited, which is a row
    /// that the visitor adds.
    #[test]
    fn what_is_sought_is_seen_and_what_is_inserted_stays(
        commits in proptest::collection::vec(
            proptest::collection::vec((0_u16..40, 0_u8..8, -2_i64..3), 0..120), 1..14),
        limit in prop_oneof![512_usize..64 << 10, Just(16 << 20)],
        block in 1_usize..40,
    ) {
        const VISITS: u8 = 9;
        let store = Spilling::new(limit);
        let mut levels: Levels<Changes<u16, u8>> = Levels::new(&store.memory);
        let mut all: Vec<Row<u8>> = Vec::new();
        for rows in commits {
            let before = model_of(all.iter().copied());
            let changes = model_of(rows.iter().copied());
            all.extend(&rows);
            let after = model_of(all.iter().copied());
            let mut visited = BTreeSet::new();
            let batch = seal(0, runs_of(vec![rows], block, &store.memory), &store.memory).unwrap();
            levels.apply(batch, |group| {
                let key = group.key().0;
                assert!(visited.insert(key));
                group.seek(|row| row.1 < 2)?;
                let (mut was, mut is) = (Vec::new(), Vec::new());
                while let Some(row) = group.next_if(|row| row.1 < 5)? {
                    was.extend(row.before.copied());
                    is.extend(row.after.copied());
                }
                assert_eq!((was, is), (among(&before, key, 2..5), among(&after, key, 2..5)));
                let mut changed = Vec::new();
                while let Some(row) = group.next_changed_if(|row| row.1 < VISITS)? {
                    changed.push(row.before.or(row.after).map(|row| row.1).unwrap());
                }
                let expected: Vec<u8> = among(&changes, key, 5..VISITS).into_iter().map(|row| row.1).collect();
                assert_eq!(changed, expected);
                group.seek(|row| row.1 < VISITS)?;
                let visits = group.next_if(|row| row.1 == VISITS)?.and_then(|row| row.before.map(|row| row.2));
                assert_eq!(visits, before.get(&(key, VISITS)).copied());
                group.insert(&(key, VISITS, 1))
            }).unwrap();
            all.extend(visited.into_iter().map(|key| (key, VISITS, 1)));
        }
        let model = model_of(all.iter().copied());
        let rows: Vec<Row<u8>> = (0..40).map(|key| (key, 8, 1)).collect();
        for (key, (before, _)) in apply(&mut levels, &rows, block, &store.memory) {
            prop_assert_eq!(before, of_key(&model, key));
        }
    }
}

/// `rows` distinct keys from `from` on, in blocks of `block` rows.
fn keys(from: u64, rows: u64, block: usize, store: &Spilling) -> Vec<forebay_exchange::Run<Changes<u64>>> {
    runs_of(vec![(from..from + rows).map(|key| (key, (), 1)).collect()], block, &store.memory)
}

#[test]
fn rows_are_merged_a_logarithmic_number_of_times() {
    let store = Spilling::new(64 << 20);
    let mut levels = Levels::new(&store.memory);
    let (commits, rows) = (1000, 100);
    for commit in 0..commits {
        keys(commit * rows, rows, 50, &store).into_iter().for_each(|run| levels.insert(run).unwrap());
        assert!(levels.depth() <= 18);
    }
    assert_eq!(levels.rows(), commits * rows);
    // log2(1000) is 10; merging everything at each commit would be 500 times.
    let times = levels.merged() / (commits * rows);
    assert!((3..=15).contains(&times), "a row was merged {times} times");
}

/// Applies changes of weight `weight` and gives the weights before and after, added up.
fn weights(levels: &mut Levels<Changes<u64>>, from: u64, rows: u64, weight: i64, store: &Spilling) -> (i64, i64) {
    let changes = runs_of(vec![(from..from + rows).map(|key| (key, (), weight)).collect()], 50, &store.memory);
    let (mut before, mut after) = (0, 0);
    levels
        .apply(seal(0, changes, &store.memory).unwrap(), |group| {
            while let Some(row) = group.next()? {
                before += row.before.map_or(0, |row| row.2);
                after += row.after.map_or(0, |row| row.2);
            }
            Ok(())
        })
        .unwrap();
    (before, after)
}

#[test]
fn weights_are_added_to_where_they_lie() {
    let store = Spilling::new(64 << 20);
    let mut levels = Levels::new(&store.memory);
    assert_eq!(weights(&mut levels, 0, 10_000, 1, &store), (0, 10_000));
    for commit in 1..=5 {
        assert_eq!(weights(&mut levels, 2000, 1000, 1, &store), (1000 * commit, 1000 * (commit + 1)));
        assert_eq!((levels.rows(), levels.depth(), levels.merged()), (10_000, 1, 0), "nothing new, nothing to merge");
    }
    // Half of them are new.
    assert_eq!(weights(&mut levels, 9900, 200, 1, &store), (100, 300));
    assert_eq!((levels.rows(), levels.depth()), (10_100, 2));
    // Rows that go are cancelled by a merge.
    assert_eq!(weights(&mut levels, 0, 1000, -1, &store), (1000, 0));
    assert_eq!(weights(&mut levels, 0, 10_100, 0, &store), (0, 0), "rows without weight are none");
    assert_eq!(weights(&mut levels, 500, 1000, 1, &store), (500, 1500));
}

#[test]
fn one_key_touches_one_block_of_each_level() {
    let store = Spilling::new(1 << 10);
    let mut levels = Levels::new(&store.memory);
    for (from, rows) in [(0, 40_000), (40_000, 10_000), (50_000, 1000)] {
        for mut run in keys(from, rows, 100, &store) {
            run.spill(&store.memory);
            levels.insert(run).unwrap();
        }
    }
    store.settled();
    assert_eq!(levels.depth(), 3);
    let read = store.monitor.snapshot().head_reads;
    let mut seen = 0;
    let batch = seal(0, keys(77, 1, 1, &store), &store.memory).unwrap();
    levels
        .apply(batch, |group| {
            while let Some(row) = group.next()? {
                seen += row.before.map_or(0, |row| row.2) + row.after.map_or(0, |row| row.2);
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(seen, 1 + 2);
    assert!(levels.touched() <= 3, "{} of 510 blocks", levels.touched());
    assert!(store.monitor.snapshot().spilled_items > 50_000, "the levels were on disk");
    assert!(store.monitor.snapshot().head_reads - read <= 3);
}

#[test]
fn a_batch_reads_each_block_once() {
    let store = Spilling::new(1 << 10);
    let mut levels = Levels::new(&store.memory);
    keys(0, 40_000, 100, &store).into_iter().for_each(|run| levels.insert(run).unwrap());
    let batch = seal(0, keys(0, 4000, 100, &store), &store.memory).unwrap();
    levels.apply(batch, |group| group.next().map(|_| ())).unwrap();
    assert!((300..=400).contains(&levels.touched()), "{} of 400 blocks", levels.touched());
}

/// One key with 50,000 values, in blocks of 100.
fn large_group(store: &Spilling) -> Levels<Changes<u8, u32>> {
    let mut levels = Levels::new(&store.memory);
    for run in runs_of(vec![(0..50_000).map(|value| (1, value, 1)).collect()], 100, &store.memory) {
        levels.insert(run).unwrap();
    }
    levels
}

#[test]
fn a_large_group_is_read_no_further_than_asked() {
    let store = Spilling::new(1 << 10);
    let mut levels = large_group(&store);
    let batch = seal(0, runs_of(vec![vec![(1, 49_000, 1)]], 1, &store.memory), &store.memory).unwrap();
    let mut first = None;
    levels
        .apply(batch, |group| {
            first = group.next()?.and_then(|row| row.after.map(|row| row.1));
            Ok(())
        })
        .unwrap();
    assert_eq!(first, Some(0));
    assert_eq!(levels.touched(), 1);
}

#[test]
fn a_changed_row_is_found_without_reading_its_group() {
    let store = Spilling::new(1 << 10);
    let mut levels = large_group(&store);
    let rows = vec![vec![(1, 10_050, 1), (1, 40_050, -1)]];
    let batch = seal(0, runs_of(rows, 10, &store.memory), &store.memory).unwrap();
    let mut seen = Vec::new();
    levels
        .apply(batch, |group| {
            while let Some(row) = group.next_changed()? {
                seen.push((row.before.map(|row| (row.1, row.2)), row.after.map(|row| (row.1, row.2))));
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(seen, [(Some((10_050, 1)), Some((10_050, 2))), (Some((40_050, 1)), None)]);
    assert!(levels.touched() <= 3, "{} of 500 blocks", levels.touched());
}

#[test]
fn what_is_sought_is_found_without_reading_what_lies_before() {
    let store = Spilling::new(1 << 10);
    let mut levels = large_group(&store);
    let batch = seal(0, runs_of(vec![vec![(1, 3, 1)]], 1, &store.memory), &store.memory).unwrap();
    let mut found = None;
    levels
        .apply(batch, |group| {
            group.seek(|row| row.1 < 40_050)?;
            found = group.next_if(|row| row.1 < 40_060)?.and_then(|row| row.after.map(|row| row.1));
            Ok(())
        })
        .unwrap();
    assert_eq!(found, Some(40_050));
    assert!(levels.touched() <= 2, "{} of 500 blocks", levels.touched());
}

#[test]
fn state_without_a_store_that_does_not_fit_is_an_error_by_number() {
    let budget = forebay::Budget::new(64 << 10);
    let memory = Memory::new(budget.consumer("state", 0).unwrap(), None);
    let mut levels = Levels::new(&memory);
    let mut result = Ok(());
    for commit in 0..100_u64 {
        let keys = commit * 500..(commit + 1) * 500;
        let mut rows: Changes<u64> = keys.map(|key| (key, (), 1)).collect();
        rows.consolidate();
        let batch =
            seal(0, vec![forebay_exchange::Run::resident(vec![rows], memory.consumer().empty_lease())], &memory);
        result = levels.apply(batch.unwrap(), |_| Ok(()));
        if result.is_err() {
            break;
        }
    }
    let error = result.unwrap_err().to_string();
    assert!(error.contains("do not fit into the memory budget"), "{error}");
}
