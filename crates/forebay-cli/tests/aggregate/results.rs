//! From files to results.

use crate::harness::Bench;

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
