//! From files to results.

use std::process::Command;

use crate::harness::{Bench, Did, number};

const SALES: &str = "city,amount\nUlm,3\nBonn,5\nUlm,4\n,1\nBonn,-2\n";

#[test]
fn groups_of_a_csv_file_are_printed_as_csv_into_a_pipe() {
    let bench = Bench::new();
    bench.file("sales.csv", SALES);
    let did = bench.run("--by city --agg count --agg sum:amount,max:amount sales.csv").well();
    let expected = ["city,count,sum_amount,max_amount", ",1,1,1", "Bonn,2,3,5", "Ulm,2,7,4"];
    assert_eq!(did.sorted(), expected);
    assert_eq!(did.err, "");
}

#[test]
fn standard_input_is_read_and_rows_are_chosen() {
    let bench = Bench::new();
    let input = r#"{"user":"ada","page":1}
{"user":"bob","page":2}
{"user":"ada","page":2}
"#;
    let did = bench.feed("--by user --agg count --format ndjson", input).well();
    let mut lines: Vec<_> = did.out.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, [r#"{"user":"ada","count":2}"#, r#"{"user":"bob","count":1}"#]);
}

#[test]
fn what_is_written_as_parquet_is_read_again() {
    let bench = Bench::new();
    bench.file("sales.csv", SALES);
    bench.run("--by city --agg sum:amount sales.csv -o out.parquet").well();
    assert_eq!(bench.names(), ["out.parquet", "sales.csv"]);
    let did = bench.run("--by city --agg max:sum_amount out.parquet").well();
    assert_eq!(did.sorted(), ["city,max_sum_amount", ",1", "Bonn,3", "Ulm,7"]);
}

#[test]
fn a_table_shows_the_first_rows_and_says_how_many_there_are() {
    let bench = Bench::new();
    let rows: String = (0..1000).map(|n| format!("{n}\n")).collect();
    let did = bench.feed("--by n --agg count --format table", &format!("n\n{rows}")).well();
    let lines: Vec<_> = did.out.lines().collect();
    assert_eq!(lines.last(), Some(&"960 more rows, 1000 in all; -o FILE takes them all"));
    assert_eq!(lines.len(), 45, "{}", did.out);
    assert!(lines[1].contains("| n ") && lines[1].contains("| count |"), "{}", lines[1]);
}

#[test]
fn a_directory_gets_a_part() {
    let bench = Bench::new();
    bench.file("sales.csv", SALES);
    bench.run("--by city sales.csv -o out/ --format csv").well();
    assert_eq!(crate::harness::names(&bench.path("out")), ["part-0.csv"]);
    let again = bench.run("--by city sales.csv -o out/ --format csv");
    assert_eq!(again.code, Some(1));
    assert_eq!(again.err, "forebay: the directory out/ is not empty: choose another, or remove what is in it\n");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let bench = Bench::new();
    let rows: String = (0..200_000).map(|n| format!("{n}\n")).collect();
    bench.file("n.csv", &format!("n\n{rows}"));
    let mut child = bench.command(&["--by", "n", "n.csv"]).spawn().unwrap();
    drop(child.stdout.take());
    let did = crate::harness::end(child).well();
    assert_eq!(did.err, "");
}

/// Each row is made, sent, taken in and sealed; only changes are found commit by commit.
#[test]
fn the_statistics_say_what_each_operator_did() {
    let bench = Bench::new();
    let rows: String = (0..300_000).map(|n| format!("{n}\n")).collect();
    bench.file("n.csv", &format!("n\n{rows}"));
    for (more, reduces) in [("", false), (" --changes --commit-every 100000", true)] {
        let did = bench.run(&format!("--by n --agg count n.csv -o out.csv --stats{more}")).well();
        for operator in ["source", "partition", "accumulate", "seal", "reduce"] {
            let line = did.err.lines().find_map(|line| line.strip_prefix(&format!("forebay: {operator} ran ")));
            let (times, seconds) = line.expect(operator).split_once(" times, ").expect(operator);
            let seconds: f64 = seconds.strip_suffix(" seconds").expect(operator).parse().unwrap();
            let runs = operator != "reduce" || reduces;
            assert_eq!(times != "0", runs, "{}", did.err);
            assert!(operator != "source" || seconds > 0.0, "{}", did.err);
        }
    }
}

#[test]
fn the_statistics_add_up() {
    let bench = Bench::new();
    bench.file("sales.csv", SALES);
    let did = bench.run("--by city --agg count sales.csv -o out.csv --stats").well();
    assert_eq!(did.out, "");
    assert!(did.err.lines().all(|line| line.starts_with("forebay: ")), "{}", did.err);
    let first = did.err.lines().next().unwrap();
    assert_eq!(first, "forebay: 5 rows in, 0 malformed; 1 commits; 3 rows out");
    let written = std::fs::metadata(bench.path("out.csv")).unwrap().len();
    assert!(did.err.contains(&format!(" bytes read, {written} bytes written")), "{}", did.err);
}

/// What is resident beside what was given, at most: the program itself, and what is in hand and not waiting.
const BESIDE: f64 = 32.0;

/// That no more was resident than `memory` MiB and [`BESIDE`], and that not everything fit.
fn assert_kept_to(memory: f64, did: &Did, told: &str) {
    let peak = did.err.lines().find_map(|line| line.strip_prefix("forebay: peak memory ")?.strip_suffix(" MiB"));
    let peak: f64 = peak.unwrap().parse().unwrap();
    assert!(peak <= memory + BESIDE, "{told}: {peak} MiB of {memory}");
    assert!(spilled(did) > 0, "{told}: {}", did.err);
}

/// How many rows were spilled.
fn spilled(did: &Did) -> u64 {
    number(did.err.lines().find(|line| line.starts_with("forebay: spilled ")).unwrap(), "rows, ")
}

#[test]
fn memory_is_kept_to_when_keys_are_long() {
    for (keys, length, limit) in [(4_000, 30_000, 8), (60_000, 1_000, 8), (60_000, 1_000, 16)] {
        let bench = Bench::new();
        let rows: String = (0..keys).map(|row| format!("{}{row}\n", "x".repeat(length))).collect();
        bench.file("long.csv", &format!("k\n{rows}"));
        drop(rows);
        let did = bench.run(&format!("--by k --agg count long.csv -w 2 --memory {limit}M -o out.csv --stats")).well();
        assert_eq!(number(&did.err, "rows out"), keys);
        assert_kept_to(limit.into(), &did, &format!("{keys} keys of {length} bytes"));
        // Each row is written to disk, and some again when runs are merged.
        assert!(spilled(&did) <= 6 * keys, "{}", did.err);
    }
}

/// Rows of many lengths, in containers that are full with any number of them, and several aggregates of each.
#[test]
fn memory_is_kept_to_with_several_aggregates_of_strings() {
    let bench = Bench::new();
    let (rows, keys) = (1_600_000_u64, 800_000);
    let lines = (0..rows).map(|row| format!("key-{:016},{},{}.5\n", row * 7919 % keys, row % 1000, row % 7));
    bench.file("in.csv", &format!("k,n,f\n{}", lines.collect::<String>()));
    let aggregates = "--by k --agg count,sum:n,avg:f,min:n";
    for (memory, workers, out) in
        [(32, 2, "out.parquet"), (32, 1, "out.csv"), (48, 2, "out.ndjson"), (16, 2, "out.parquet")]
    {
        let args = format!("{aggregates} in.csv -w {workers} --memory {memory}M -o {out} --stats");
        let did = bench.run(&args).well();
        assert_eq!(number(&did.err, "rows out"), keys);
        assert_kept_to(memory.into(), &did, &args);
    }
    // What comes of Parquet is decoded in larger parts.
    let args = "--by k --agg sum:count,min:min_n,max:avg_f out.parquet -w 2 --memory 16M -o again.parquet --stats";
    let did = bench.run(args).well();
    assert_eq!(number(&did.err, "rows out"), keys);
    assert_kept_to(16.0, &did, args);
}

#[test]
fn names_with_commas_are_in_quotes() {
    let bench = Bench::new();
    bench.file("in.ndjson", "{\"a,b\":1,\"c\":2}\n{\"a,b\":1,\"c\":3}\n");
    let did = bench.run("--by \"a,b\" --agg max:\"a,b\",sum:c in.ndjson").well();
    assert_eq!(did.out, "\"a,b\",\"max_a,b\",sum_c\n1,1,5\n");
}

#[test]
fn a_dash_is_standard_output() {
    let bench = Bench::new();
    bench.file("sales.csv", SALES);
    let did = bench.run("--by city --agg count sales.csv -o -").well();
    assert_eq!(did.sorted(), ["city,count", ",1", "Bonn,2", "Ulm,2"]);
    assert_eq!(bench.names(), ["sales.csv"]);
}

#[test]
fn an_open_descriptor_is_written_to_where_it_stands() {
    for (output, to) in [("/dev/stdout", ">"), ("/dev/fd/1", ">"), ("/proc/self/fd/3", ">>")] {
        let bench = Bench::new();
        bench.file("in.csv", "city\nUlm\n");
        let script = format!(
            "(echo first; $0 aggregate --by city --agg count in.csv --format csv -o {output} 3>&1; echo last) {to} out.txt"
        );
        let program = env!("CARGO_BIN_EXE_forebay");
        let dir = bench.path("");
        let status = Command::new("sh").args(["-c", &script, program]).current_dir(dir).status().unwrap();
        assert!(status.success());
        let text = std::fs::read_to_string(bench.path("out.txt")).unwrap();
        assert_eq!(text, "first\ncity,count\nUlm,1\nlast\n", "{output}");
        assert_eq!(bench.names(), ["in.csv", "out.txt"]);
    }
}

#[test]
fn each_file_has_the_delimiter_of_its_name() {
    let bench = Bench::new();
    bench.file("1.tsv", "city\tn\nUlm\t1\n");
    bench.file("2.csv", "city,n\nUlm,2\n");
    assert_eq!(bench.run("--by city --agg sum:n 1.tsv 2.csv").well().out, "city,sum_n\nUlm,3\n");
}
