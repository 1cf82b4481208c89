//! Commits: so many rows of each input, and shares.

use std::path::PathBuf;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use forebay_exchange::table::{InputOptions, Piece, Share};

use crate::support::{Delivered, Files, How, numbers, read};

fn every(rows: u64) -> How {
    let options = InputOptions { commit_every: Some(rows), ..InputOptions::default() };
    How { options, ..How::default() }
}

/// What the commits must hold: rows `c * n..(c + 1) * n` of each input.
fn model(inputs: &[Vec<i64>], every: usize) -> Vec<Vec<i64>> {
    let most = inputs.iter().map(Vec::len).max().unwrap_or(0);
    let commits = most.div_ceil(every).max(1);
    let rows =
        |commit: usize| inputs.iter().flat_map(move |rows| rows.iter().skip(commit * every).take(every).copied());
    (0..commits).map(|commit| rows(commit).collect()).collect()
}

fn check(delivered: &Delivered, inputs: &[Vec<i64>], every: usize) {
    let model = model(inputs, every);
    let marks: Vec<u64> = (0..model.len() as u64).collect();
    assert_eq!(delivered.marks(), marks);
    for (commit, rows) in model.iter().enumerate() {
        assert_eq!(delivered.commit(commit as u64).column(0).as_primitive::<Int64Type>().values(), rows);
    }
    // Commits come one after the other, each with its mark behind its rows.
    let order: Vec<u64> = delivered
        .pieces
        .iter()
        .map(|piece| match piece {
            Piece::Rows { commit, .. } => 2 * commit,
            Piece::Commit(commit) => 2 * commit + 1,
        })
        .collect();
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn commits_of_one_input_go_across_row_groups() {
    let files = Files::new();
    let path = files.parquet("1.parquet", &[numbers(0, 30_011)], 1_000);
    for rows in [7_u64, 999, 1_000, 1_001, 8_192, 30_010, 30_011, 30_012, u64::MAX] {
        let delivered = read(&[&path], every(rows)).unwrap();
        check(&delivered, &[(0..30_011).collect()], usize::try_from(rows).unwrap());
    }
}

#[test]
fn each_commit_has_so_many_rows_of_each_input() {
    let files = Files::new();
    let csv: String = (0..2_500).map(|n| format!("{n}\n")).collect();
    let json: String = (0..703).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let paths = [
        files.parquet("1.parquet", &[numbers(0, 4_001)], 300),
        files.write("2.csv", format!("n\n{csv}")),
        files.write("3.ndjson", json),
        files.parquet("4.parquet", &[numbers(0, 0)], 300),
    ];
    let inputs = [(0..4_001).collect(), (0..2_500).collect(), (0..703).collect(), vec![]];
    for (rows, piece) in [(1, 64), (333, 100), (1_000, 1 << 20), (5_000, 10)] {
        let mut how = every(rows);
        how.options.piece = Some(piece);
        check(&read(&paths, how).unwrap(), &inputs, rows as usize);
    }
}

/// The number of lines says too much about a text with malformed rows: the source must come back to it.
#[test]
fn malformed_rows_count_in_no_commit_and_nothing_piles_up() {
    let files = Files::new();
    let bad: String = (0..50_000).map(|n| if n % 10 == 0 { format!("{n}\n") } else { "x\n".to_owned() }).collect();
    let head: String = (0..2_000).map(|n| format!("{}\n", -n)).collect();
    let good: String = (0..200_000).map(|n| format!("{n}\n")).collect();
    let paths = [files.write("good.csv", format!("n\n{good}")), files.write("bad.csv", format!("n\n{head}{bad}"))];
    let inputs = [(0..200_000).collect(), (0..2_000).map(|n| -n).chain((0..50_000).step_by(10)).collect()];
    let mut how = every(100);
    how.options.piece = Some(1_000);
    let delivered = read(&paths, how).unwrap();
    check(&delivered, &inputs, 100);
    assert_eq!(delivered.report.malformed_rows, 45_000);
    // Some 200 KB; 700 KB if a line were taken for a row, so that 45,000 rows of the other input wait; and more if one
    // input were read before the other.
    assert!(delivered.peak < 400_000, "{} bytes", delivered.peak);
}

/// Pipes of other processes are not touched, and their files need not be here.
#[test]
fn of_what_others_read_only_files_are_looked_at() {
    let files = Files::new();
    let own = files.parquet("0.parquet", &[numbers(0, 3)], 10);
    let (pipe, elsewhere) = (files.path("1.csv"), files.path("2.csv"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let paths = [own, pipe, elsewhere];
    let mut how = How::default();
    how.options.share = Share { index: 0, count: 3 };
    // Nobody writes into the pipe: to open it would be to wait for ever.
    assert_eq!(read(&paths, how.clone()).unwrap().text().join(" "), "0 1 2");
    how.options.share = Share { index: 2, count: 3 };
    let error = read(&paths, how.clone()).unwrap_err().to_string();
    assert!(error.contains("2.csv"), "{error}");
    how.options.share = Share { index: 3, count: 4 };
    let error = read(&paths[1..], how).unwrap_err().to_string();
    assert!(error.contains("reads none of the inputs"), "{error}");
}

#[test]
fn processes_take_inputs_in_turn_and_know_the_same_schema() {
    let files = Files::new();
    let paths: Vec<PathBuf> =
        (0..5).map(|i| files.parquet(&format!("{i}.parquet"), &[numbers(i * 10, i * 10 + 3)], 10)).collect();
    let rows = |index| {
        let mut how = How::default();
        how.options.share = Share { index, count: 2 };
        read(&paths, how).unwrap().text().join(" ")
    };
    assert_eq!(rows(0), "0 1 2 20 21 22 40 41 42");
    assert_eq!(rows(1), "10 11 12 30 31 32");
    let mut idle = every(2);
    idle.options.share = Share { index: 6, count: 7 };
    let delivered = read(&paths, idle).unwrap();
    assert_eq!((delivered.report.rows, delivered.marks()), (0, vec![0]));
}
