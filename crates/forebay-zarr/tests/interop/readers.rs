//! zarrs, zarr-python and TensorStore, asked whether an array holds what it should.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;
use zarrs::array::{Array, ArrayBytes, ArrayShardedExt};
use zarrs::filesystem::FilesystemStore;
use zarrs::metadata::ArrayMetadata;

use crate::content::Content;

/// All readers. Those in Python run until this is dropped.
pub(crate) struct Readers {
    python: Child,
    jobs: ChildStdin,
    answers: BufReader<ChildStdout>,
    room: TempDir,
}

impl Readers {
    pub(crate) fn start() -> Self {
        let interpreter = interpreter();
        let mut python = Command::new(&interpreter)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/readers.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask python`", interpreter.display()));
        let jobs = python.stdin.take().expect("its input is a pipe");
        let answers = BufReader::new(python.stdout.take().expect("its output is a pipe"));
        Readers { python, jobs, answers, room: TempDir::new().expect("a directory for expected elements") }
    }

    /// Opens the array at `path` with each reader and compares everything that `content` has.
    pub(crate) fn check(&mut self, path: &Path, content: &Content) -> Result<(), String> {
        zarrs_agrees(path, content).map_err(|error| format!("zarrs: {error}"))?;
        self.python_agrees(path, content)
    }

    pub(crate) fn python_agrees(&mut self, path: &Path, content: &Content) -> Result<(), String> {
        let expected = self.room.path().join("expected");
        fs::write(&expected, &content.elements).map_err(|error| error.to_string())?;
        writeln!(self.jobs, "{}", content.job(path, &expected)).map_err(|error| error.to_string())?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&answer).map_err(|_| "the readers in Python have ended")?;
        answer.get("error").map_or(Ok(()), |error| Err(error.as_str().unwrap_or_default().to_owned()))
    }
}

impl Drop for Readers {
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

pub(crate) fn zarrs_agrees(path: &Path, content: &Content) -> Result<(), String> {
    let store = FilesystemStore::new(path).map_err(|error| error.to_string())?;
    let array = Array::open(Arc::new(store), "/").map_err(|error| error.to_string())?;
    let ArrayMetadata::V3(metadata) = array.metadata() else {
        return Err("the array is of another version".into());
    };
    let names = |names: &[Option<String>]| names.iter().map(|name| name.clone().unwrap_or_default()).collect();
    same("shape", array.shape(), &content.shape)?;
    same("dtype", metadata.data_type.name(), content.dtype)?;
    same("shard", &array.chunk_shape(&vec![0; content.shape.len()]).map(extents).ok(), &Some(content.shard.clone()))?;
    same("chunk", &array.subchunk_shape().map(extents), &Some(content.chunk.clone()))?;
    same("names", &array.dimension_names().as_deref().map(names), &content.names)?;
    same("attributes", array.attributes(), &content.attributes)?;
    same("fill", array.fill_value().as_ne_bytes(), &content.fill)?;
    let elements: ArrayBytes<'_> =
        array.retrieve_array_subset(&array.subset_all()).map_err(|error| error.to_string())?;
    let elements = elements.into_fixed().map_err(|error| error.to_string())?;
    if *elements != *content.elements {
        let first = elements.iter().zip(&content.elements).position(|(got, want)| got != want);
        return Err(format!("other elements from byte {first:?} on"));
    }
    Ok(())
}

fn extents(shape: zarrs::array::ChunkShape) -> Vec<u64> {
    shape.iter().map(|extent| extent.get()).collect()
}

fn same<T: PartialEq + std::fmt::Debug + ?Sized>(what: &str, got: &T, want: &T) -> Result<(), String> {
    if got == want { Ok(()) } else { Err(format!("{what}: got {got:?}, wanted {want:?}")) }
}
