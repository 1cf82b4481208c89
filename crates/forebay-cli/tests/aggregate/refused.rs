//! Command lines that make no sense, and help.

use crate::harness::Bench;

#[test]
fn contradictions_are_refused_with_the_code_for_usage() {
    for (args, text) in [
        ("in.csv", "--by"),
        ("--by city --agg median:amount in.csv", "median:amount is not an aggregate"),
        ("--by city --commit-every 0 in.csv", "--commit-every"),
        ("--by city --delimiter ;; in.csv", "it must be one ASCII character"),
        ("--by city --delimiter ; --input-format ndjson in.csv", "--delimiter is for CSV"),
        ("--by city --input-format xlsx in.csv", "it must be one of parquet, csv, ndjson"),
        ("--by city --format xlsx in.csv", "it must be one of parquet, csv, tsv, ndjson, table"),
        ("--by city --diff city in.csv", "--diff city: the column is a key"),
        ("--by city --memory much in.csv", "a size is a number and a unit"),
        ("--by city --workers 0 in.csv", "--workers"),
        ("--by city --process 0 in.csv", "--processes"),
        ("--by city --processes hosts.txt in.csv -o out", "--process"),
        ("--by city --processes hosts.txt --process 0 in.csv", "--output"),
        ("--by city --processes hosts.txt --process 0 -o out", "several processes read files"),
        ("--by city --secret-file key in.csv", "--processes"),
        ("--by city --deadline 5 in.csv", "--processes"),
        ("--by city --deadline 0 --processes hosts.txt --process 0 -o out in.csv", "a number of seconds above 0"),
        ("--by city --format table -o out in.csv", "a table goes to standard output only"),
        ("--by city --format table --changes in.csv", "a table goes to standard output only"),
        ("--by city --processes hosts.txt --process 0 in.csv -o -", "several processes write into a directory"),
        ("--by city --sample-rows 0 in.csv", "--sample-rows"),
        ("--by \"city in.csv", "a quote does not end"),
        ("--by city --agg max:\"amount in.csv", "a quote does not end"),
        ("--by city --processes hosts.txt --process 0 -o out.csv in.csv", "-o out.csv/ is one"),
        ("--by city --processes two.txt --process 7 -o out in.csv", "there is no process 7: 2 hosts"),
        ("--by city --processes two.txt --process 0 --deadline 0.05 -o out in.csv", "at least 100 ms"),
        ("--by city --processes in.csv --process 0 -o out in.csv", "in.csv, line 1: \"city,amount\": not host:port"),
        ("--by city - -", "standard input (-) can be read once only"),
    ] {
        let bench = Bench::new();
        bench.file("in.csv", "city,amount\nUlm,1\n");
        bench.file("two.txt", "127.0.0.1:1\n127.0.0.1:2\n");
        let did = bench.run(args);
        assert_eq!(did.code, Some(2), "{args}: {}", did.err);
        assert!(did.err.contains(text), "{args}: {}", did.err);
        assert_eq!(bench.names(), ["in.csv", "two.txt"], "{args}");
    }
}

#[test]
fn help_has_examples_and_exit_codes() {
    let did = Bench::new().run("--help").well();
    for text in ["Examples:", "--commit-every 100000 --changes", "Exit codes:", "distinct:COL", "--wide-sums"] {
        assert!(did.out.contains(text), "{text} is missing in:\n{}", did.out);
    }
}
