//! DuckDB, asked whether groups are what they should be.
//!
//! It runs in a Python process that makes random tables too: see `oracle.py`. The interpreter is the one that
//! `FOREBAY_PYTHON` names, else that of `target/python`; without one the tests fail. `FOREBAY_ROUNDS` says how many tables a
//! test tries, `FOREBAY_SEED` which is the first: a failure names the seed of its table.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::harness::Bench;

/// It runs until this is dropped.
pub(crate) struct Oracle {
    python: Child,
    jobs: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// A table in files and what is asked of it.
#[derive(Debug)]
pub(crate) struct Table {
    /// The query and the files.
    pub(crate) args: Vec<String>,
    pub(crate) rows: u64,
}

impl Oracle {
    pub(crate) fn start() -> Self {
        let interpreter = interpreter();
        let mut python = Command::new(&interpreter)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aggregate/oracle.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask python`", interpreter.display()));
        let jobs = python.stdin.take().unwrap();
        let answers = BufReader::new(python.stdout.take().unwrap());
        Oracle { python, jobs, answers }
    }

    /// A random table in `bench`. `wishes` narrow the choice.
    pub(crate) fn table(&mut self, bench: &Bench, seed: u64, format: &str, wishes: Value) -> Table {
        let mut job = json!({ "do": "make", "seed": seed, "dir": bench.path(""), "format": format });
        job.as_object_mut().unwrap().extend(wishes.as_object().unwrap().clone());
        let made = self.ask(&job).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let args = made["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap().to_owned()).collect();
        Table { args, rows: made["rows"].as_u64().unwrap() }
    }

    /// Makes `in.parquet` in `bench`: two rows, `k` and `n`, of each of so many keys. What is asked of it is the count and
    /// the sum of `n` of each `k`.
    pub(crate) fn pairs(&mut self, bench: &Bench, keys: u64) {
        self.ask(&json!({ "do": "pairs", "dir": bench.path(""), "keys": keys })).unwrap();
    }

    /// Whether the groups in these files are those of the last table. How many there are.
    pub(crate) fn check(&mut self, paths: &[PathBuf]) -> Result<u64, String> {
        Ok(self.ask(&json!({ "do": "check", "paths": paths }))?["groups"].as_u64().unwrap())
    }

    /// Whether the changes in `path`, added up after each commit of `every` rows, are the groups so far. How many commits
    /// changed anything.
    pub(crate) fn check_changes(&mut self, path: PathBuf, every: u64) -> Result<u64, String> {
        let job = json!({ "do": "changes", "paths": [path], "every": every });
        Ok(self.ask(&job)?["commits"].as_u64().unwrap())
    }

    fn ask(&mut self, job: &Value) -> Result<Value, String> {
        writeln!(self.jobs, "{job}").map_err(|error| error.to_string())?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&answer)
            .map_err(|_| "DuckDB's process has ended; `cargo xtask python` makes its environment")?;
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer),
        }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.python.kill();
        let _ = self.python.wait();
    }
}

fn interpreter() -> PathBuf {
    match env::var_os("FOREBAY_PYTHON") {
        Some(path) if !path.is_empty() => path.into(),
        // `CARGO_TARGET_TMPDIR` is a directory in the target directory.
        _ => Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("python").join("bin/python"),
    }
}

/// Splitmix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0xD134_2543_DE82_EF95))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[(self.next() % of.len() as u64) as usize]
    }
}

/// The seeds of as many tables as a test should try: `FOREBAY_ROUNDS` of them, else `rounds`.
pub(crate) fn seeds(rounds: u64) -> impl Iterator<Item = u64> {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let first = number("FOREBAY_SEED").unwrap_or(1);
    first..first + number("FOREBAY_ROUNDS").unwrap_or(rounds)
}
