//! What is said when rows or places are not as they should be.

use crate::harness::{Bench, end};

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
    assert_eq!(bench.run("-q --by city sales.csv").well().err, "forebay: 1 malformed row was left out\n");
}

/// A quote that nobody closes takes all rows up to the next one, or to the end.
#[test]
fn rows_within_a_quote_are_not_lost_in_silence() {
    let bench = Bench::new();
    let rows = "Ulm,1\n".repeat(3_000);
    bench.file("end.csv", &format!("city,n\n{rows}\"Bonn,2\n{rows}"));
    let did = bench.run("--by city --agg sum:n end.csv -o out.csv");
    let said = "forebay: end.csv:3002: a quote in this line is not closed, and all 3001 lines from there to the end would be in it\n";
    assert_eq!((did.code, did.err.as_str()), (Some(1), said));
    assert_eq!(bench.names(), ["end.csv"]);

    bench.file("next.csv", &format!("city,n\n{rows}\"Bonn,2\n{rows}\"Bonn\",3\nUlm,1\n"));
    let did = bench.run("--by city --agg sum:n next.csv").well();
    assert_eq!(did.sorted(), ["city,sum_n", "Ulm,3001"]);
    let said = "forebay: next.csv:3002: text behind the closing quote of a field of several lines; a quote makes it 3002 lines long
forebay: 1 malformed row was left out, of 3,002 lines together
";
    assert_eq!(did.err, said);
}

#[test]
fn a_type_that_the_first_rows_gave_is_named_where_a_later_row_does_not_fit() {
    let bench = Bench::new();
    let rows: String = (0..1001).map(|n| if n == 1000 { "a,1.5\n".to_owned() } else { format!("a,{n}\n") }).collect();
    bench.file("n.csv", &format!("k,n\n{rows}"));
    let did = bench.run("--by k --agg sum:n n.csv").well();
    let said = "forebay: n.csv:1002: column n: '1.5' is no integer (Int64)
forebay: 1 malformed row was left out
forebay: the type of column n: as in the first 1,000 rows (--sample-rows looks at more)
";
    assert_eq!((did.out.as_str(), did.err.as_str()), ("k,sum_n\na,499500\n", said));
    let did = bench.run("--by k --agg sum:n n.csv --sample-rows 1001").well();
    assert_eq!((did.out.as_str(), did.err.as_str()), ("k,sum_n\na,499501.5\n", ""));
}

#[test]
fn the_row_that_makes_numbers_strings_is_named() {
    let bench = Bench::new();
    bench.file("n.csv", "k,n\na,1\n\"b\nc\",2\na,\na,n/a\na,-\n");
    bench.file("n.ndjson", "{\"k\":\"a\",\"n\":1}\n\n{\"k\":\"a\",\"n\":null}\n{\"k\":\"a\",\"n\":\"two\"}\n");
    for (args, row) in [
        ("--by k --agg sum:n n.csv", "n.csv:6: 'n/a' is no number"),
        ("--by k --agg avg:n n.ndjson", "n.ndjson:4: 'two' is no number"),
    ] {
        let did = bench.run(args);
        assert_eq!(did.code, Some(2), "{}", did.err);
        let ends = format!("that takes integers, floats and decimals; {row}\n");
        assert!(did.err.starts_with("forebay: column n is Utf8, which ") && did.err.ends_with(&ends), "{}", did.err);
    }
    let did = bench.feed("--by k --agg sum:n", "k,n\na,1\na,x\n");
    assert!(did.err.ends_with("; standard input:3: 'x' is no number\n"), "{}", did.err);
}

#[test]
fn inputs_without_a_row_say_so_alike() {
    let bench = Bench::new();
    for name in ["empty.csv", "empty.ndjson", "empty"] {
        bench.file(name, "");
        let did = bench.run(&format!("--by k {name}"));
        assert_eq!(did.code, Some(1), "{}", did.err);
    }
    let did = bench.run("--by k empty.ndjson");
    assert_eq!(did.err, "forebay: empty.ndjson: no row in it says which columns there are\n");
}

#[test]
fn too_little_memory_says_how_much_is_enough() {
    let bench = Bench::new();
    bench.file("sales.csv", ROWS);
    let did = bench.run("--by city sales.csv -w 3 --memory 200K");
    assert_eq!(did.code, Some(1), "{}", did.err);
    assert!(did.err.ends_with("; 3 workers need 832K at least\n"), "{}", did.err);
    for workers in 1..6 {
        let args = format!("--by city --agg sum:amount sales.csv -q -w {workers} --memory {}K", 64 + 256 * workers);
        bench.run(&args).well();
    }
}

#[test]
fn where_nothing_can_be_spilled_the_reason_is_given() {
    let bench = Bench::new();
    let rows: String = (0..300_000).map(|n| format!("{n}\n")).collect();
    bench.file("n.csv", &format!("n\n{rows}"));
    let mut command =
        bench.command(&["--by", "n", "--agg", "count", "n.csv", "-o", "out.csv", "-w", "1", "--memory", "1M"]);
    let did = end(command.env("TMPDIR", bench.path("none")).spawn().unwrap());
    assert_eq!(did.code, Some(1), "{}", did.err);
    assert!(did.err.contains("; nothing can be spilled: ") && did.err.contains("none"), "{}", did.err);
    assert!(did.err.ends_with("; --spill-dir names another directory\n"), "{}", did.err);
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
        ("--by city sales.csv -o none/out.csv", 1, "none/out.csv: No such file or directory (os error 2)\n"),
        ("--by city sales.csv -o out.txt", 2, "the name out.txt says no format: --format says it"),
    ] {
        let did = bench.run(args);
        assert_eq!(did.code, Some(code), "{args}: {}", did.err);
        assert!(did.err.starts_with("forebay: ") && did.err.contains(text), "{args}: {}", did.err);
        assert_eq!(bench.names(), ["dir", "sales.csv"], "{args}");
    }
}

#[test]
fn columns_that_differ_between_files_matter_to_who_names_them() {
    let bench = Bench::new();
    bench.file("1.csv", "k,n,note\na,1,x\n");
    bench.file("2.csv", "note,k,n\n7,a,two\n");
    bench.file("3.csv", "n,k\n3,b\n");
    let did = bench.run("--by k --agg count 1.csv 2.csv 3.csv").well();
    assert_eq!((did.sorted(), did.err.as_str()), (vec!["k,count", "a,2", "b,1"], ""));
    let missing = "forebay: 3.csv has no column note, which 1.csv has\n";
    for args in ["--by note", "--by k --agg min:note", "--by k --diff note"] {
        let did = bench.run(&format!("{args} 1.csv 2.csv 3.csv"));
        assert_eq!((did.code, did.err.as_str()), (Some(1), missing), "{args}");
    }
    let args = ["--by", "k", "--where", "k = 'a' AND note IS NULL", "1.csv", "2.csv", "3.csv"];
    let did = end(bench.command(&args).spawn().unwrap());
    assert_eq!((did.code, did.err.as_str()), (Some(1), missing));
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
