//! The command line of `forebay aggregate`.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueHint};
use forebay_exchange::table::{Aggregate, Format, OutputFormat};

use crate::size;

/// Group the rows of Parquet, CSV and NDJSON, with more groups than fit in memory
#[derive(Args, Debug)]
#[command(after_help = "See `forebay aggregate --help` for examples and exit codes.", after_long_help = AFTER)]
pub(crate) struct Options {
    /// Files to read; none or - is standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// Columns whose values make a group, separated by commas. May be repeated
    ///
    /// A name with a comma in it is written in double quotes, as in CSV: --by '"last, first",city'.
    #[arg(long, value_name = "COLUMNS", value_parser = columns, required = true, help_heading = "Query")]
    pub(crate) by: Vec<List<String>>,
    /// count, count:COL, sum:COL, min:COL, max:COL, avg:COL or distinct:COL. May be repeated
    ///
    /// The columns of the result are the keys and then these, in the order given: `count`, `sum_amount`, ... Without
    /// any, the result is the groups alone. Several are separated by commas; COL may be in double quotes, as in --by.
    #[arg(long, value_name = "AGG", value_parser = aggregates, help_heading = "Query")]
    pub(crate) agg: Vec<List<Aggregate>>,
    /// Which rows count, such as "amount >= 10"
    #[arg(long = "where", value_name = "CONDITION", help_heading = "Query")]
    pub(crate) filter: Option<String>,
    /// Sums of integers are decimals of 38 digits instead of 64-bit integers, which end the run when they overflow
    #[arg(long, help_heading = "Query")]
    pub(crate) wide_sums: bool,
    /// A column that says whether a row comes (+1) or goes again (-1)
    #[arg(long, value_name = "COLUMN", help_heading = "Query")]
    pub(crate) diff: Option<String>,

    /// parquet, csv or ndjson [default: by each file's first bytes and name]
    #[arg(long, value_name = "FORMAT", value_parser = input_format, help_heading = "Input")]
    pub(crate) input_format: Option<Format>,
    /// What is between the fields of CSV: a character, or `tab` [default: a tab in files called .tsv, else a comma]
    #[arg(long, value_name = "CHAR", value_parser = delimiter, help_heading = "Input")]
    pub(crate) delimiter: Option<u8>,
    /// Rows of CSV and NDJSON from which the types of columns are taken [default: 1000]
    ///
    /// The first N rows of each file, of 1 MiB at most for every thousand, say whether a column is integers, numbers, booleans,
    /// dates, timestamps or else strings. A later row that does not fit is malformed. Of a pipe, nothing is grouped before N
    /// rows or its end have come: one that is slow wants a small N.
    #[arg(long, value_name = "N", help_heading = "Input")]
    pub(crate) sample_rows: Option<NonZeroUsize>,
    /// End at the first malformed row; otherwise they are left out, counted, and the first ones reported
    ///
    /// A row is as long as its quotes make it: more than a line is told. A quote that is not closed before the file ends, with lines
    /// behind it, ends the run in any case: the lines would be rows, were it not for the quote.
    #[arg(long, help_heading = "Input")]
    pub(crate) strict: bool,
    /// With --changes: commit after every N rows of each input [default: once, at the end]
    #[arg(long, value_name = "N", help_heading = "Input")]
    pub(crate) commit_every: Option<NonZeroU64>,

    /// Write to this file, whole or not at all; with / at its end, to a directory [default: standard output]
    ///
    /// A file is written under a temporary name and gets its own when everything is in it; one that is there is
    /// replaced then, and hands on its mode. A directory is made, or must be empty, and gets a file `part-N` of each process
    /// N. What is no file, such as a pipe or /dev/stdout, is written to as it is; - is standard output.
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::AnyPath, help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,
    /// parquet, csv, tsv, ndjson or table [default: by the name of FILE]
    ///
    /// Without a file, the first rows as a table if standard output is a terminal, and else CSV. In a directory,
    /// Parquet. CSV does not tell a null from an empty string.
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    pub(crate) format: Option<OutputFormat>,
    /// Write what each commit changes: a column `commit`, the result's columns, a column `change` of +1 or -1
    ///
    /// On standard output the rows of a commit appear when it is complete, all at once, but not before the types of the
    /// columns are known (--sample-rows). A file gets its name at the end.
    #[arg(long, help_heading = "Output")]
    pub(crate) changes: bool,
    /// Print what was done at the end, on standard error
    ///
    /// Rows, bytes, what was waited for, what was spilled, memory; and how often the operators of the workers ran, and how long of all
    /// workers together: `source` (filter, keys, pre-aggregation), `partition` (to the workers that own the keys), `accumulate` (sorts
    /// what has come), and on threads of their own `seal` (the end of a commit) and `reduce` (what it changes).
    #[arg(long, help_heading = "Output")]
    pub(crate) stats: bool,
    /// Print errors only, and how many rows were left out
    #[arg(long, short, help_heading = "Output")]
    pub(crate) quiet: bool,

    /// Threads that group, up to 256; as many read, and as many write [default: one per core]
    #[arg(long, short, value_name = "N", value_parser = workers, help_heading = "Resources")]
    pub(crate) workers: Option<NonZeroUsize>,
    /// The most memory for what waits, in each process [default: 1G, or a quarter of what the control group allows]
    ///
    /// 64K and 256K for each worker is the least; long rows need more. Several processes say what they need themselves.
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = "Resources")]
    pub(crate) memory: Option<u64>,
    /// Where what does not fit into memory goes [default: the directory for temporary files]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Resources")]
    pub(crate) spill_dir: Option<PathBuf>,
    /// The most that is there at a time [default: a quarter of the free space]
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = "Resources")]
    pub(crate) spill_limit: Option<u64>,

    /// The processes of this run: a file with host:port of each, one a line, the same everywhere
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "process", requires = "output",
          help_heading = "Several processes")]
    pub(crate) processes: Option<PathBuf>,
    /// Which of them this one is, from 0: its line in the file
    #[arg(long, value_name = "N", requires = "processes", help_heading = "Several processes")]
    pub(crate) process: Option<usize>,
    /// A file with a secret that all of them know; without it, anybody who reaches the ports may take part
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "processes",
          help_heading = "Several processes")]
    pub(crate) secret_file: Option<PathBuf>,
    /// How long one may be silent, or take to connect, before it counts as lost [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, requires = "processes",
          help_heading = "Several processes")]
    pub(crate) deadline: Option<Duration>,
}

/// What a list on the command line names.
#[derive(Clone, Debug)]
pub(crate) struct List<T>(Vec<T>);

impl Options {
    /// The columns whose values make a group.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.by.iter().flat_map(|list| list.0.iter().cloned()).collect()
    }

    /// What is told about each group.
    pub(crate) fn aggregates(&self) -> Vec<Aggregate> {
        self.agg.iter().flat_map(|list| list.0.iter().cloned()).collect()
    }

    /// Where results go; none: standard output.
    pub(crate) fn target(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| *path != Path::new("-"))
    }
}

const AFTER: &str = "\
Examples:
  forebay aggregate --by city --agg count --agg sum:amount --agg max:amount data/*.parquet -o out.parquet
  forebay aggregate --by country,city --agg avg:price --where \"price > 0\" sales.csv
  forebay aggregate --by user --agg count --commit-every 100000 --changes < events.ndjson
  forebay aggregate --by user --agg distinct:page logs/*.ndjson --memory 256M --spill-dir /scratch -o out.csv
  forebay aggregate --by key --agg count data/*.parquet --processes hosts.txt --process 0 -o outdir/

Columns of several files belong together by name. One that is named in the query must be in all of them, with types that agree;
lines of NDJSON may lack any. The others may differ, and are not read.

Nulls are as in SQL: they are a group of their own as keys, and are left out of aggregates other than count. Integer and
decimal results are exact. Rows of the result are in no particular order.

Several processes are started with the same command line but for --process. They take the files round-robin; what one of them
reads, a pipe perhaps, need not be there for the others. Columns must be the same everywhere. Each writes a part of the
result, and none does if one fails. A process that has published its part when another one is lost takes it back and says so;
process 0 decides when it is too late for that.

Exit codes:
  0    the result is written, or whoever read standard output has gone
  1    a file, a row under --strict, a quote that is not closed, memory, the spill directory or the output is not as it should be
  2    the command line makes no sense, or not for these files: there is no such column, for example
  3    another process of the run is lost, has failed or has not come
  129, 130, 143
       SIGHUP, SIGINT or SIGTERM came
";

fn columns(text: &str) -> Result<List<String>, String> {
    let names = fields(text, false)?;
    if names.iter().any(String::is_empty) { Err("a column has a name".into()) } else { Ok(List(names)) }
}

fn aggregates(text: &str) -> Result<List<Aggregate>, String> {
    let fields = fields(text, true)?;
    let parsed = fields.iter().map(|field| field.parse::<Aggregate>().map_err(|error| error.to_string()));
    parsed.collect::<Result<_, _>>().map(List)
}

/// What is between the commas of `text`. A quote at the beginning of a field, and if `behind_colon` behind its first colon,
/// hides commas until the next quote that is not doubled, and that ends the field.
fn fields(text: &str, behind_colon: bool) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let mut field = String::new();
        let plain = rest.find(',').unwrap_or(rest.len());
        if let Some(colon) = rest[..plain].find(':').filter(|_| behind_colon) {
            field.push_str(&rest[..=colon]);
            rest = &rest[colon + 1..];
        }
        if let Some(mut quoted) = rest.strip_prefix('"') {
            loop {
                let Some(end) = quoted.find('"') else { return Err("a quote does not end".into()) };
                field.push_str(&quoted[..end]);
                quoted = &quoted[end + 1..];
                let Some(more) = quoted.strip_prefix('"') else { break };
                field.push('"');
                quoted = more;
            }
            rest = quoted;
            if !rest.is_empty() && !rest.starts_with(',') {
                return Err("behind a name in quotes there is a comma, or nothing".into());
            }
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            field.push_str(&rest[..end]);
            rest = &rest[end..];
        }
        fields.push(field);
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Ok(fields),
        }
    }
}

fn input_format(text: &str) -> Result<Format, String> {
    match text {
        "parquet" => Ok(Format::Parquet),
        "csv" => Ok(Format::Csv),
        "ndjson" | "jsonl" => Ok(Format::Ndjson),
        _ => Err("it must be one of parquet, csv, ndjson".into()),
    }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [one] if one.is_ascii() => Ok(*one),
        _ => Err("it must be one ASCII character, or `tab`".into()),
    }
}

fn size(text: &str) -> Result<u64, String> {
    size::parse(text).ok_or_else(|| "a size is a number and a unit, such as 512M or 2G".into())
}

/// Each takes memory and threads, and every worker sends to every other one.
const MOST_WORKERS: usize = 256;

fn workers(text: &str) -> Result<NonZeroUsize, String> {
    let number = text.parse().ok().filter(|number: &NonZeroUsize| number.get() <= MOST_WORKERS);
    number.ok_or_else(|| format!("it must be a number from 1 to {MOST_WORKERS}"))
}

/// A peer that has said nothing for a day is lost.
const LONGEST_DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.parse().ok().and_then(|number: f64| Duration::try_from_secs_f64(number).ok());
    let number = number.filter(|time| !time.is_zero() && *time <= LONGEST_DEADLINE);
    number.ok_or_else(|| format!("it must be a number of seconds above 0, up to {}", LONGEST_DEADLINE.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delimiter_is_one_character() {
        assert_eq!([";", "tab", "\\t", "\t"].map(delimiter), [Ok(b';'), Ok(b'\t'), Ok(b'\t'), Ok(b'\t')]);
        for text in ["", ";;", "é", "comma"] {
            assert!(delimiter(text).is_err(), "{text}");
        }
    }

    #[test]
    fn commas_in_names_are_in_quotes() {
        let plain = |text: &str| fields(text, false).unwrap();
        assert_eq!(plain("city,year"), ["city", "year"]);
        assert_eq!(plain("\"last, first\",city"), ["last, first", "city"]);
        assert_eq!(plain("\"a \"\"b\"\", c\""), ["a \"b\", c"]);
        assert_eq!(plain("5\" disk,a:\"b"), ["5\" disk", "a:\"b"]);
        assert!(fields("\"a,b", false).is_err() && fields("\"a\"b,c", false).is_err());
        assert_eq!(fields("count,max:\"a,b\",sum:c:d", true).unwrap(), ["count", "max:a,b", "sum:c:d"]);
        assert!(columns("a,,b").is_err() && columns("").is_err() && aggregates("count,").is_err());
    }

    #[test]
    fn a_deadline_is_above_nothing() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["", "0", "-1", "1e300", "1e19", "86401", "NaN", "ten"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn workers_are_not_without_number() {
        assert_eq!(["1", "256"].map(|text| workers(text).map(NonZeroUsize::get)), [Ok(1), Ok(256)]);
        for text in ["0", "257", "18446744073709551615", "-1", "all"] {
            assert!(workers(text).is_err(), "{text}");
        }
    }
}
