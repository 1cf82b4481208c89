//! Groups and changes are those that DuckDB finds, whatever the types, workers and memory.

use serde_json::json;

use crate::harness::{Bench, Did, end, number};
use crate::oracle::{Oracle, Random, Table, seeds};

/// `--workers` and `--memory`, at random.
fn resources(random: &mut Random) -> Vec<&'static str> {
    let mut args = vec!["-w", random.pick(&["1", "2", "3", "4"])];
    args.extend(random.pick(&[&["--memory", "8M"][..], &["--memory", "64M"], &[]]));
    args
}

/// Groups `table` into `out.parquet`.
fn group(bench: &Bench, table: &Table, more: &[&str]) -> Did {
    let mut args: Vec<&str> = table.args.iter().map(String::as_str).collect();
    args.extend(["-o", "out.parquet"]);
    args.extend(more);
    end(bench.command(&args).spawn().unwrap())
}

fn random_tables(format: &str, rounds: u64) {
    let mut oracle = Oracle::start();
    for seed in seeds(rounds) {
        let bench = Bench::new();
        let table = oracle.table(&bench, seed, format, json!({}));
        let more = resources(&mut Random::new(seed));
        let did = group(&bench, &table, &more);
        let told = || format!("seed {seed} of {format}: {} {}", table.args.join(" "), more.join(" "));
        assert!(did.code == Some(0) && did.err.is_empty(), "{}: {:?} {}", told(), did.code, did.err);
        oracle.check(&[bench.path("out.parquet")]).unwrap_or_else(|error| panic!("{}: {error}", told()));
    }
}

#[test]
fn groups_of_random_parquet_are_duckdbs() {
    random_tables("parquet", 20);
}

#[test]
fn groups_of_random_csv_are_duckdbs() {
    random_tables("csv", 10);
}

#[test]
fn groups_of_random_ndjson_are_duckdbs() {
    random_tables("ndjson", 10);
}

#[test]
fn changes_add_up_to_duckdbs_groups_after_each_commit() {
    let mut oracle = Oracle::start();
    for seed in seeds(16) {
        let bench = Bench::new();
        let mut random = Random::new(seed);
        let format = random.pick(&["parquet", "csv", "ndjson"]);
        let every = random.pick(&[50, 333, 1000, 100_000]);
        let table = oracle.table(&bench, seed, format, json!({ "diff": true, "rows": random.pick(&[300, 3000]) }));
        let every_text = every.to_string();
        let mut more = vec!["--changes", "--commit-every", &every_text];
        more.extend(resources(&mut random));
        let did = group(&bench, &table, &more);
        let told = || format!("seed {seed} of {format}: {} {}", table.args.join(" "), more.join(" "));
        assert!(did.code == Some(0) && did.err.is_empty(), "{}: {:?} {}", told(), did.code, did.err);
        let checked = oracle.check_changes(bench.path("out.parquet"), every);
        checked.unwrap_or_else(|error| panic!("{}: {error}", told()));
    }
}

/// Two columns of a CSV of `rows` rows in `bench`; keys come in no order that has to do with who owns them.
fn scattered(bench: &Bench, rows: u64, keys: u64) {
    let mut random = Random::new(7);
    let lines: String = (0..rows).map(|n| format!("{},{n}\n", random.next() % keys)).collect();
    bench.file("in.csv", &format!("k,n\n{lines}"));
}

#[test]
fn rows_stream_to_the_workers_that_own_them() {
    let bench = Bench::new();
    scattered(&bench, 300_000, 250_000);
    let did = bench.run("--by k --agg count,sum:n in.csv -w 3 -o out.parquet --stats").well();
    assert_eq!(number(&did.err, "workers,"), 3);
    assert_eq!(number(&did.err, "used;"), 3);
    // Hardly any key is there twice in what a worker sees at a time, so hardly anything is added up before.
    let (sent, moved) = (number(&did.err, "rows, "), number(&did.err, "rows went to another worker"));
    assert!((200_000..=300_000).contains(&sent), "{}", did.err);
    assert!((sent / 2..sent).contains(&moved), "{}", did.err);
}

#[test]
fn what_exceeds_the_memory_is_spilled_and_read_back() {
    let (bench, mut oracle) = (Bench::new(), Oracle::start());
    for workers in ["1", "3"] {
        oracle.pairs(&bench, 500_000);
        let args = format!("--by k --agg count,sum:n in.parquet -w {workers} --memory 8M -o out.parquet --stats");
        let did = bench.run(&args).well();
        let line = did.err.lines().find(|line| line.starts_with("forebay: spilled ")).unwrap();
        let (spilled, reloaded) = line.split_once("; ").unwrap();
        assert!(!spilled.contains(" 0 bytes") && !reloaded.contains(" 0 bytes"), "{line}");
        assert_eq!(oracle.check(&[bench.path("out.parquet")]), Ok(500_000));
    }
}

/// Tables of any types that do not fit the memory.
#[test]
fn groups_of_random_tables_that_are_spilled_are_duckdbs() {
    let mut oracle = Oracle::start();
    for seed in seeds(6) {
        let bench = Bench::new();
        let format = ["parquet", "parquet", "csv", "ndjson"][(seed % 4) as usize];
        let table = oracle.table(&bench, seed, format, json!({ "rows": 100_000, "spread": true }));
        let workers = Random::new(seed).pick(&["1", "2", "3"]);
        let did = group(&bench, &table, &["-w", workers, "--memory", "8M", "--stats"]);
        let told = || format!("seed {seed} of {format}: {} -w {workers}", table.args.join(" "));
        assert_eq!(did.code, Some(0), "{}: {}", told(), did.err);
        let spilled = did.err.lines().find(|line| line.starts_with("forebay: spilled "));
        assert!(spilled.is_some_and(|line| number(line, "rows, ") > 0), "{}: {}", told(), did.err);
        oracle.check(&[bench.path("out.parquet")]).unwrap_or_else(|error| panic!("{}: {error}", told()));
    }
}

#[test]
fn commits_without_changes_make_the_same_groups() {
    let (bench, mut oracle) = (Bench::new(), Oracle::start());
    oracle.pairs(&bench, 20_000);
    let did = bench.run("--by k --agg count,sum:n in.parquet -w 2 --commit-every 1000 -o out.parquet --stats").well();
    assert_eq!(oracle.check(&[bench.path("out.parquet")]), Ok(20_000));
    assert_eq!(number(&did.err, "commits;"), 1);
}
