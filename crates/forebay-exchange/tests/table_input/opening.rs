//! What cannot be opened, and pipes.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use forebay::{Budget, CancelToken};
use forebay_exchange::table::{InputOptions, Inputs, Piece, Reading, TableError};

use crate::support::{Files, How, error, numbers, read};

#[test]
fn what_cannot_be_read_is_named_with_the_operation() {
    let files = Files::new();
    let missing = files.path("missing.csv");
    let found = read(&[&missing], How::default()).unwrap_err();
    assert!(matches!(&found, TableError::Io { path, operation: "open", .. } if *path == missing), "{found:?}");
    let dir = files.path("dir.parquet");
    fs::create_dir(&dir).unwrap();
    assert!(error(&[dir], How::default()).ends_with("dir.parquet: a directory"));
    assert!(error(&[files.write("1.parquet", "hello, world")], How::default()).contains("not Parquet"));
    assert!(error(&[files.write("1", "")], How::default()).ends_with("1: empty"));
    assert!(error(&["-", "-"], How::default()).starts_with("standard input: named more than once"));
}

#[test]
fn compressed_files_are_refused_with_what_to_do() {
    let files = Files::new();
    let said = error(&[files.write("1.csv.gz", b"\x1f\x8b\x08\0\0\0")], How::default());
    assert!(said.contains("compressed with gzip") && said.contains("gzip -dc"), "{said}");
    assert!(error(&[files.write("1.csv", b"\x28\xb5\x2f\xfd\0\0")], How::default()).contains("zstd"));
    for (start, tool) in [
        (&b"\xfd7zXZ\0\0\x04"[..], "xz -dc"),
        (&b"BZh91AY&SY"[..], "bzip2 -dc"),
        (&b"\x04\x22\x4d\x18\x64"[..], "lz4 -dc"),
        (&b"PK\x03\x04\x14\0"[..], "unzip -p"),
        (&b"7z\xbc\xaf\x27\x1c\0\x04"[..], "7z x -so"),
    ] {
        let said = error(&[files.write("1.csv", start)], How::default());
        assert!(said.contains(&format!("pipe it through `{tool}`")), "{said}");
    }
}

#[test]
fn a_commit_of_no_rows_is_refused() {
    let options = InputOptions { commit_every: Some(0), ..InputOptions::default() };
    assert!(error(&["-"], How { options, ..How::default() }).starts_with("commit-every: "));
}

/// Makes a named pipe that `write` writes into.
fn pipe_of(files: &Files, name: &str, write: impl FnOnce(File) + Send + 'static) -> (PathBuf, thread::JoinHandle<()>) {
    let path = files.path(name);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let pipe = path.clone();
    let writer = thread::spawn(move || write(OpenOptions::new().write(true).open(pipe).unwrap()));
    (path, writer)
}

/// Makes a named pipe that `contents` are written into.
fn fifo(files: &Files, name: &str, contents: Vec<u8>) -> (PathBuf, thread::JoinHandle<()>) {
    // The reader may refuse what it sees, and close.
    pipe_of(files, name, move |mut pipe| drop(pipe.write_all(&contents)))
}

/// Reads the first column of `path`, and calls `seen` with the number of rows that have come.
fn count(path: PathBuf, options: InputOptions, mut seen: impl FnMut(usize)) -> u64 {
    let inputs = Inputs::open(&[path], options).unwrap();
    let reading = Reading { workers: 2, budget: Budget::new(16 << 20), cancel: CancelToken::new() };
    let mut rows = 0;
    let report = inputs.read(&[0], reading, |piece| {
        if let Piece::Rows { batch, .. } = piece {
            rows += batch.num_rows();
        }
        seen(rows);
        Ok(())
    });
    report.unwrap().rows
}

#[test]
fn a_named_pipe_is_read_once_sample_included() {
    let files = Files::new();
    let body: String = (0..100_000).map(|i| format!("{i}\n")).collect();
    let (path, writer) = fifo(&files, "pipe", format!("n\n{body}").into_bytes());
    let delivered = read(&[path], How::default()).unwrap();
    writer.join().unwrap();
    assert_eq!(delivered.all(), numbers(0, 100_000));

    let body: String = (0..3_000).map(|i| format!("{{\"n\":{i}}}\n")).collect();
    let (path, writer) = fifo(&files, "json", body.into_bytes());
    let delivered = read(&[path], How::default()).unwrap();
    writer.join().unwrap();
    assert_eq!(delivered.all(), numbers(0, 3_000));
}

/// The writer goes on only once everything that it has written is delivered: what waits for more would hang here.
#[test]
fn a_pipe_that_pauses_holds_nothing_back() {
    let files = Files::new();
    let (arrived, wait) = mpsc::channel::<()>();
    let (path, writer) = pipe_of(&files, "pipe", move |mut pipe| {
        let line = "1\n";
        pipe.write_all(format!("n\n{}", line.repeat(1_100)).as_bytes()).unwrap();
        for _ in 0..3 {
            wait.recv().unwrap();
            pipe.write_all(line.repeat(10).as_bytes()).unwrap();
        }
    });
    let mut next = 1_100;
    let rows = count(path, InputOptions::default(), |rows| {
        if rows >= next {
            next += 10;
            // After the third time nobody waits any more.
            let _ = arrived.send(());
        }
    });
    writer.join().unwrap();
    assert_eq!(rows, 1_130);
}

/// The writer goes on only once each row is there.
#[test]
fn a_pipe_is_waited_for_until_there_are_as_many_rows_as_are_looked_at() {
    for (head, line) in [("n\n", "1\n"), ("", "{\"n\":1}\n")] {
        let files = Files::new();
        let (arrived, wait) = mpsc::channel::<()>();
        let (path, writer) = pipe_of(&files, "pipe", move |mut pipe| {
            pipe.write_all(format!("{head}{line}{line}").as_bytes()).unwrap();
            wait.recv().unwrap();
            pipe.write_all(line.as_bytes()).unwrap();
        });
        let options = InputOptions { sample_rows: 2, ..InputOptions::default() };
        let rows = count(path, options, |rows| {
            if rows == 2 {
                let _ = arrived.send(());
            }
        });
        writer.join().unwrap();
        assert_eq!(rows, 3);
    }
}

/// Cancelled from the caller's side, and from outside.
#[test]
fn reading_ends_with_the_callers_error_or_when_it_is_cancelled() {
    let files = Files::new();
    let path = files.parquet("1.parquet", &[numbers(0, 10_000)], 100);
    let cancel = CancelToken::new();
    let reading = Reading { workers: 2, budget: Budget::new(16 << 20), cancel: cancel.clone() };
    let open = || Inputs::open(std::slice::from_ref(&path), InputOptions::default()).unwrap();
    let refuse = |_| Err(TableError::Apply { cause: "enough".to_owned() });
    let found = open().read(&[0], reading.clone(), refuse).unwrap_err();
    assert!(found.to_string().contains("enough"), "{found}");
    let mut pieces = 0;
    let found = open().read(&[0], reading, |_| {
        pieces += 1;
        cancel.cancel();
        Ok(())
    });
    assert!(matches!(found, Err(TableError::Cancelled)), "{found:?}");
    assert!(pieces < 100, "{pieces}");
}

#[test]
fn parquet_in_a_pipe_is_refused_with_what_to_do() {
    let files = Files::new();
    let contents = fs::read(files.parquet("1.parquet", &[numbers(0, 10)], 10)).unwrap();
    let (path, writer) = fifo(&files, "pipe", contents);
    let said = error(&[path], How::default());
    writer.join().unwrap();
    assert!(said.contains("cannot be read from a pipe") && said.contains("file"), "{said}");
}

/// What the test below runs in a process of its own, with rows on its standard input.
#[test]
#[ignore = "reads standard input"]
fn child_that_reads_standard_input() {
    let none: [&Path; 0] = [];
    for row in read(&none, How::default()).unwrap().text() {
        println!("row:{row}");
    }
}

#[test]
fn without_paths_standard_input_is_read() {
    for (contents, rows) in [("a,b\n1,x\n2,y", ["1|x", "2|y"]), ("{\"a\":1}\n{\"a\":2}\n", ["1", "2"])] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "opening::child_that_reads_standard_input", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(contents.as_bytes()).unwrap();
        let mut printed = String::new();
        child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
        assert!(child.wait().unwrap().success(), "{printed}");
        let found: Vec<_> = printed.lines().filter_map(|line| line.split_once("row:")).map(|(_, row)| row).collect();
        assert_eq!(found, rows);
    }
}
