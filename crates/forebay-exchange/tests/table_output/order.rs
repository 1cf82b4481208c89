//! The order of what several parts write.

use std::fs;
use std::sync::mpsc;
use std::thread;

use proptest::prelude::*;
use tempfile::tempdir;

use crate::harness::{MIB, create, parquet_counts, publish, rows, to, write};

#[test]
fn parts_alternate_whoever_is_faster() {
    let dir = tempdir().unwrap();
    let mut files = Vec::new();
    // One part begins when the other has begun, and the other way round.
    for slow in [0, 1] {
        let path = dir.path().join(format!("{slow}.parquet"));
        let (output, mut parts) = create(&to(&path), 2, 64 * MIB).unwrap();
        let (late, mut early) = (parts.remove(slow), parts.remove(0));
        let (said, heard) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || {
                early.write(&rows(0, 1)).unwrap();
                said.send(()).unwrap();
                early.write(&rows(1, 200_000)).unwrap();
                early.finish().unwrap();
            });
            scope.spawn(move || {
                let mut late = late;
                heard.recv().unwrap();
                late.write(&rows(0, 1)).unwrap();
                late.write(&rows(1, 200_000)).unwrap();
                late.finish().unwrap();
            });
        });
        publish(output).unwrap();
        files.push(fs::read(&path).unwrap());
    }
    assert!(files[0] == files[1]);
    let groups = parquet_counts(&dir.path().join("0.parquet"));
    // Both parts have the same rows: their row groups come in pairs.
    assert!(groups.len() >= 4 && groups.chunks(2).all(|pair| pair[0] == pair[1]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn equal_rows_make_equal_bytes_and_nothing_is_lost(
        lengths in proptest::collection::vec(proptest::collection::vec(0i64..9_000, 0..6), 1..5),
        parquet in any::<bool>(),
    ) {
        let dir = tempdir().unwrap();
        let ending = if parquet { "parquet" } else { "csv" };
        let batches = |part: usize| {
            let mut from = part as i64 * 100_000;
            let batch = |length: &i64| { from += length; rows(from - length, from) };
            lengths[part].iter().map(batch).collect::<Vec<_>>()
        };
        let mut files = Vec::new();
        for run in 0..2 {
            let path = dir.path().join(format!("{run}.{ending}"));
            let mut options = to(&path);
            options.workers = 2;
            let written = write(&options, lengths.len(), 2 * MIB, batches).unwrap();
            prop_assert_eq!(written.rows as i64, lengths.iter().flatten().sum::<i64>());
            files.push(fs::read(&path).unwrap());
        }
        prop_assert!(files[0] == files[1]);
        if parquet {
            let all = parquet_counts(&dir.path().join("0.parquet")).concat();
            // Of each part in its order.
            for (part, lengths) in lengths.iter().enumerate() {
                let from = part as i64 * 100_000;
                let of_part: Vec<_> = all.iter().copied().filter(|n| n / 100_000 == part as i64).collect();
                prop_assert_eq!(of_part, (from..from + lengths.iter().sum::<i64>()).collect::<Vec<_>>());
            }
        }
    }
}
