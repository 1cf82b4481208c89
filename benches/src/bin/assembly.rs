//! The receiving side by itself: files that are put together by the thread that brings their chunks, and by workers. Each is
//! begun under a temporary name when its first bytes are applied, summed, and renamed, in memory (`/dev/shm`), a hundred in a
//! directory. As when files come over the wire, those of one chunk are brought whole, and each directory is a group.
//!
//! `Strategy::Auto` begins without workers, and takes them after a hundred files or 64 MiB: the tables say whether it should.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use forebay_benches::files::{MEMORY, Room};
use forebay_benches::harness::{Cost, alternate, heading, measure, variant};
use forebay_benches::items;
use forebay_delta::{Chunk, Error, Hasher, Patch, Settings, Strategy, Strong, Target, Token, assemble};

/// Bytes of a chunk.
const CHUNK: usize = 128 << 10;
/// Files in a directory.
const TOGETHER: usize = 100;
/// Files with more bytes are large.
const LARGE: usize = 64 << 20;
const BASE: &str = "sequential";

fn main() -> Result<()> {
    let room = Room::new(Path::new(MEMORY))?;
    for (title, lens) in [
        ("10,000 files of 4 KiB", vec![4096; 10_000]),
        // Ten doublings from 4 KiB on, spread evenly.
        (
            "1,000 files of 4 KiB to 4 MiB",
            (0..1000).map(|seq| (4096.0 * (f64::from(seq) / 99.9).exp2()) as usize).collect(),
        ),
        ("10 files of 256 MiB", vec![256 << 20; 10]),
    ] {
        heading(title);
        let run = |strategy| {
            let (lens, room) = (&lens, &room);
            move |round: usize| put_together(lens, strategy, &room.path().join(format!("{round}")))
        };
        let results = alternate(vec![
            variant(BASE, run(Strategy::Sequential)),
            variant("two workers", run(Strategy::Parallel)),
            variant("automatic", run(Strategy::Auto)),
        ])?;
        println!("{}", results.table(BASE));
    }
    Ok(())
}

/// A file that is summed while it is written.
struct Draft {
    file: Option<File>,
    sum: Hasher,
    temporary: PathBuf,
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::create_new(&self.temporary)?),
        };
        let written = file.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Draft {
    fn new(path: &Path) -> Self {
        Draft { file: None, sum: Hasher::new(Strong::Xxh128(0)), temporary: path.with_extension("temporary") }
    }

    /// Gives a file of `len` bytes its name. A large one goes at once, so that the next one gets its memory: what the host of a
    /// virtual machine has to give anew takes longer than everything that is compared here.
    fn commit(self, path: &Path, len: usize) -> io::Result<()> {
        assert_ne!(self.sum.finish().as_ref(), [0; 16]);
        fs::rename(self.temporary, path)?;
        if len > LARGE { fs::remove_file(path) } else { Ok(()) }
    }
}

/// A file, and the number of its directory.
struct Member<'b>(Patch<&'b Vec<u8>, Draft>, usize);

impl Target for Member<'_> {
    type Error = Error;

    fn apply(&mut self, token: Token<'_>) -> Result<(), Error> {
        self.0.apply(token)
    }

    fn group(&self) -> Option<usize> {
        Some(self.1)
    }
}

fn put_together(lens: &[usize], strategy: Strategy, dir: &Path) -> Result<Cost> {
    (0..lens.len().div_ceil(TOGETHER)).try_for_each(|group| fs::create_dir_all(dir.join(format!("{group}"))))?;
    let (settings, content) = (Settings { workers: 2, ..Settings::default() }, items::generate(1, CHUNK));
    let basis = Vec::new();
    let (cost, assembled) = measure(|| {
        Ok(assemble(&settings, strategy, |assembly| -> Result<()> {
            assembly.more_follows(true);
            for (file, &len) in lens.iter().enumerate() {
                let group = file / TOGETHER;
                let path = dir.join(format!("{group}")).join(format!("{file}"));
                let member = Member(Patch::new(&basis, Draft::new(&path)), group);
                let done = move |Member(patch, _): Member<'_>, result: Result<(), Error>| {
                    assert!(result.is_ok() && patch.into_new().commit(&path, len).is_ok());
                };
                let chunk = |begin: usize| -> Chunk {
                    let mut chunk = assembly.chunk();
                    chunk.push(Token::Literal { offset: 0, bytes: &content[..CHUNK.min(len - begin)] });
                    chunk
                };
                if len <= CHUNK {
                    assembly.whole(file, 0, member, chunk(0), done)?;
                    continue;
                }
                assembly.open(file, 0, member)?;
                for (number, begin) in (0..).zip((0..len).step_by(CHUNK)) {
                    assembly.submit(&file, number, chunk(begin))?;
                }
                assembly.finish(&file, len.div_ceil(CHUNK) as u64, done)?;
            }
            Ok(())
        })?)
    })?;
    assembled.value?;
    let mut made = 0;
    for group in fs::read_dir(dir)? {
        made += fs::read_dir(group?.path())?.count();
    }
    ensure!(made == lens.iter().filter(|len| **len <= LARGE).count());
    fs::remove_dir_all(dir)?;
    Ok(cost)
}
