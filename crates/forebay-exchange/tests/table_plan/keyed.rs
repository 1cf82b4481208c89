//! Rows as they are written: what comes back, and what is refused.

use forebay_exchange::Rows;
use forebay_exchange::table::KeyedRows;
use proptest::prelude::*;

use crate::table::{Dice, batches, plan, query, random_table, runs};

/// Rows of a query with everything in it, written.
fn written(seed: u64, by: &str) -> Vec<u8> {
    let dice = &mut Dice::new(seed);
    let table = random_table(dice, 60);
    let all = ["count", "sum:long", "sum:float", "min:text", "max:int", "distinct:view", "distinct:float32"];
    let plan = plan(&query(&[by], &all), &table.schema());
    let batches = batches(dice, &plan, &table);
    let runs = runs(dice, &plan, &batches);
    let mut bytes = Vec::new();
    runs.iter().find(|run| !run.is_empty()).unwrap().encode(&mut bytes);
    bytes
}

#[test]
fn an_integer_key_with_count_and_sum_takes_few_bytes() {
    let dice = &mut Dice::new(1);
    let table = random_table(dice, 5000);
    let plan = plan(&query(&["int"], &["count", "sum:short"]), &table.schema());
    let batches = batches(dice, &plan, &table);
    for run in runs(dice, &plan, &batches).iter().filter(|run| !run.is_empty()) {
        assert!(run.bytes() <= 24 * run.len(), "{} bytes for {} rows", run.bytes(), run.len());
    }
}

#[test]
fn rows_cut_short_anywhere_are_refused() {
    for by in ["int", "text"] {
        let bytes = written(7, by);
        assert!(KeyedRows::decode(&bytes).is_ok());
        for end in 1..bytes.len() {
            assert!(KeyedRows::decode(&bytes[..end]).is_err(), "cut at {end} of {}", bytes.len());
        }
        assert!(KeyedRows::decode(&[&bytes[..], &[0]].concat()).is_err());
    }
}

#[test]
fn counts_of_rows_and_accumulators_are_not_trusted() {
    // Number, no values, no accumulators, 2^64 - 1 rows.
    let huge = [1, 0, 0, 246, 255, 255, 255, 255, 255, 255, 255, 255];
    assert!(KeyedRows::decode(&huge).is_err());
    let kinds = [1, 0, 246, 255, 255, 255, 255, 255, 255, 255, 255];
    assert!(KeyedRows::decode(&kinds).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_rows_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        use_all(&bytes);
    }

    #[test]
    fn damaged_rows_are_rows_or_an_error(seed in 0_u64..8, text: bool, at: prop::sample::Index, byte: u8) {
        let mut bytes = written(seed, if text { "text" } else { "int" });
        let at = at.index(bytes.len());
        bytes[at] = byte;
        use_all(&bytes);
    }
}

/// Whatever decodes can be sorted, merged and written like any rows.
fn use_all(bytes: &[u8]) {
    let Ok(mut rows) = KeyedRows::decode(bytes) else { return };
    let mut again = Vec::new();
    rows.encode(&mut again);
    assert_eq!(KeyedRows::decode(&again).unwrap(), rows);
    let mut doubled = rows.like();
    doubled.append(&rows, 0..rows.len());
    doubled.append(&rows, 0..rows.len());
    doubled.consolidate();
    rows.consolidate();
    assert!((1..doubled.len()).all(|at| KeyedRows::order(doubled.get(at - 1), doubled.get(at)).is_lt()));
    assert!(doubled.len() <= 2 * rows.len().max(1));
}
