//! `ordered_map`: an ordinary `map` over an iterator, made parallel.
//!
//! Counts lines, words and bytes of the files under `/usr/share` (or under the directory given), as `wc` does, first
//! with `Iterator::map`, then with `ordered_map`, and compares the two outputs: same lines, same order.
//!
//! How to read the figures: the work is one pass over files that are in the page cache (both passes come after one
//! that warmed it), so the best to expect is the number of cores. *Stalls* are the times when the reader had to wait
//! for the next file in line although others were finished; a large file does that. *Peak* is what waited in memory
//! at most, queue and results together.
//!
//! ```sh
//! cargo run --release --example ordered_map [DIRECTORY] [--quick]
//! ```

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{env, fs, io};

use forebay::{OrderedMapExt, Pipeline, Weigh};

/// An item says what it costs in memory. For the path of a file that is the buffer of its name.
struct Found(PathBuf);

impl Weigh for Found {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.0.capacity()
    }
}

/// `LINES WORDS BYTES PATH`.
fn count(Found(path): Found) -> String {
    match fs::read(&path) {
        Ok(bytes) => {
            let lines = bytes.iter().filter(|&&byte| byte == b'\n').count();
            let words = bytes.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            format!("{lines} {} {} {}", words.count(), bytes.len(), path.display())
        }
        Err(error) => format!("{}: {error}", path.display()),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let quick = env::args().any(|arg| arg == "--quick");
    let root = env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let root = root.unwrap_or_else(|| "/usr/share".into());
    let mut files = Vec::new();
    find(Path::new(&root), if quick { 2_000 } else { usize::MAX }, &mut files)
        .map_err(|error| format!("list {root}: {error}"))?;
    let paths = || files.clone().into_iter().map(Found);
    paths().map(count).for_each(drop); // Warms the page cache.

    let start = Instant::now();
    let plain: Vec<String> = paths().map(count).collect();
    let one = start.elapsed();

    let pipeline = Pipeline::new();
    let monitor = pipeline.monitor();
    let start = Instant::now();
    // `paths().ordered_map(count)` is the same with the defaults; this form keeps a view on the counters.
    let parallel: Vec<String> = paths().ordered_map_with(pipeline, count).collect();
    let all = start.elapsed();

    assert_eq!(plain, parallel, "the same lines in the same order");
    let did = monitor.snapshot();
    assert_eq!(did.delivered, files.len() as u64);
    println!("{} files under {root}", files.len());
    println!("map          {one:.1?}");
    println!("ordered_map  {all:.1?}, {:.2} times as fast", one.as_secs_f64() / all.as_secs_f64());
    println!("             {} of {} workers used, {} batches", did.workers_used, did.workers, did.batches);
    println!("             {} stalls at the head, peak {} KiB", did.head_stalls, did.peak_resident >> 10);
    Ok(())
}

/// The regular files beneath `dir`, at most `most`. Directories that may not be read are passed over, except the first.
fn find(dir: &Path, most: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type()?;
        if kind.is_dir() {
            let _ = find(&entry.path(), most, files);
        } else if kind.is_file() && files.len() < most {
            files.push(entry.path());
        }
    }
    Ok(())
}
