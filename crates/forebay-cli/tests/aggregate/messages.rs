//! What is said when rows or places are not as they should be.

use crate::harness::Bench;

const ROWS: &str = "city,amount\nUlm,3\nUlm,4,9\nBonn,5\n";

#[test]
fn malformed_rows_are_counted_and_shown() {
    let bench = Bench::new();
    bench.file("sales.csv", ROWS);
    let did = bench.run("--by city --agg sum:amount sales.csv").well();
    assert_eq!(did.sorted(), ["city,sum_amount", "Bonn,5", "Ulm,3"]);
    let lines: Vec<_> = did.err.lines().collect();
    assert!(lines[0].starts_with("forebay: sales.csv:3: "), "{}", did.err);
    assert_eq!(lines[1], "forebay: 1 malformed row was left out");
    assert_eq!(bench.run("-q --by city sales.csv").well().err, "");
}

#[test]
fn under_strict_the_first_malformed_row_ends_it() {
    let bench = Bench::new();
    bench.file("sales.csv", ROWS);
    let did = bench.run("--by city --agg sum:amount sales.csv --strict -o out.csv");
    assert_eq!(did.code, Some(1), "{}", did.err);
    assert!(did.err.starts_with("forebay: sales.csv:3: ") && did.err.contains("--strict"), "{}", did.err);
    assert_eq!(bench.names(), ["sales.csv"]);
}

#[test]
fn files_and_places_are_named() {
    let bench = Bench::new();
    bench.file("sales.csv", ROWS);
    std::fs::create_dir(bench.path("dir")).unwrap();
    for (args, code, text) in [
        ("--by city none.csv", 1, "none.csv"),
        ("--by town sales.csv", 2, "there is no column town; there are city, amount"),
        ("--by city --agg sum:city sales.csv", 2, "column city is Utf8, which cannot be used for sum"),
        ("--by city sales.csv -o dir", 1, "dir is a directory: with / at its end"),
        ("--by city sales.csv -o dir --format csv", 1, "dir is a directory: with / at its end"),
        ("--by city sales.csv -o none/out.csv", 1, "cannot create none/out.csv"),
        ("--by city sales.csv -o out.txt", 2, "the name out.txt says no format: --format says it"),
    ] {
        let did = bench.run(args);
        assert_eq!(did.code, Some(code), "{args}: {}", did.err);
        assert!(did.err.starts_with("forebay: ") && did.err.contains(text), "{args}: {}", did.err);
        assert_eq!(bench.names(), ["dir", "sales.csv"], "{args}");
    }
}

#[test]
fn a_sum_that_overflows_says_what_helps() {
    let bench = Bench::new();
    bench.file("large.csv", "k,n\n1,9223372036854775807\n1,1\n");
    let did = bench.run("--by k --agg sum:n large.csv -o out.csv");
    assert_eq!(did.code, Some(1), "{}", did.err);
    assert!(did.err.contains("does not fit Int64 in the group k=1") && did.err.contains("--wide-sums"), "{}", did.err);
    assert_eq!(bench.names(), ["large.csv"]);
    let did = bench.run("--by k --agg sum:n large.csv --wide-sums").well();
    assert_eq!(did.sorted(), ["k,sum_n", "1,9223372036854775808"]);
}
