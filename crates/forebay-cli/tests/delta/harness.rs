//! A directory with two files, and two programs.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub(crate) const FOREBAY: &str = env!("CARGO_BIN_EXE_forebay");
pub(crate) const RDIFF: &str = "rdiff";

pub(crate) struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Place { dir: tempfile::tempdir().expect("a temporary directory") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect(name);
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect(name)
    }

    /// All names that are there.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).expect("a directory");
        let mut names: Vec<_> =
            entries.map(|e| e.expect("an entry").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }

    /// Runs `program ARGS` here.
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.dir.path());
        command.output().unwrap_or_else(|error| panic!("{program}: {error}"))
    }

    /// Runs `program ARGS` here, which must succeed, and returns standard output and standard error.
    pub(crate) fn done(&self, program: &str, args: &[&str]) -> (Vec<u8>, String) {
        let output = self.run(program, args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{program} {args:?}: {text}");
        (output.stdout, text)
    }

    /// Runs `program ARGS` here with `input` in a pipe, and returns what it writes.
    pub(crate) fn piped(&self, program: &str, args: &[&str], input: &[u8]) -> Vec<u8> {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        let mut stdin = child.stdin.take().expect("a pipe");
        let input = input.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().expect("an end");
        writer.join().expect("a writer").expect("all is read");
        assert!(output.status.success(), "{program} {args:?}");
        output.stdout
    }

    /// Runs `forebay ARGS` here, which must fail with exit code 1 and leave nothing behind, and returns what it says.
    pub(crate) fn refused(&self, args: &[&str]) -> String {
        let names = self.names();
        let output = self.run(FOREBAY, args);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(self.names(), names, "{args:?} left something behind");
        String::from_utf8(output.stderr).expect("text")
    }
}

/// Bytes that do not repeat.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let words = std::iter::from_fn(|| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        Some((state ^ (state >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16)
    });
    words.flat_map(|word| word.to_le_bytes()[..4].to_vec()).take(len).collect()
}

/// Pairs of an old and a new file.
pub(crate) fn pairs() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let basis = noise(3_000_000, 1);
    let mut edited = basis.clone();
    for n in 0..40 {
        edited[n * 70_000] ^= 0x55;
    }
    edited.splice(1_000_000..1_000_000, noise(12_345, 2));
    edited.drain(2_000_000..2_001_000);
    let mut turned = basis[1_500_000..].to_vec();
    turned.extend(&basis[..1_500_000]);
    let real = fs::read(FOREBAY).expect("the program").into_iter().take(30 << 20).collect::<Vec<_>>();
    let mut other = real.clone();
    other.splice(5_000_000..5_000_100, *b"another version of the program");
    let text: Vec<u8> = (0..60_000).flat_map(|n| format!("line {}\n", n % 977).into_bytes()).collect();
    vec![
        ("both empty", vec![], vec![]),
        ("from nothing", vec![], noise(100_000, 3)),
        ("to nothing", basis.clone(), vec![]),
        ("one byte", vec![7], vec![7]),
        ("the same", basis.clone(), basis.clone()),
        ("edited", basis.clone(), edited),
        ("turned around", basis.clone(), turned),
        ("all new", basis, noise(2_500_000, 4)),
        ("a short tail at the end", noise(10_100, 5), [noise(33, 6), noise(10_100, 5)].concat()),
        ("text with repetitions", text.clone(), [b"in front\n".to_vec(), text].concat()),
        ("zeros", vec![0; 1_000_000], vec![0; 1_300_001]),
        ("a program", real, other),
    ]
}

/// Whether a path is there.
pub(crate) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
