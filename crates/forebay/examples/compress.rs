//! A file through zstd in parallel. What it writes is a plain zstd file: one frame for each MiB, in order.
//!
//! Each worker has a compression context of its own (`worker_init`). With `--slow-head`, whoever gets the first MiB
//! waits until others have been spilled (for two seconds at most): everything behind it is compressed meanwhile, most
//! of it goes to disk, and the output is the same. An input that cannot be read, or becomes shorter meanwhile, is an
//! error, and what was at the output's name stays there. Without a file, its own executable, repeated, is compressed,
//! and the output read back and compared.
//!
//! How to read the figures: *stalls at the head* are the times the writer waited for the next frame in line;
//! *spilled* is more than nothing only if frames waited that did not fit into the budget of 16 MiB.
//!
//! ```sh
//! cargo run --release --example compress -- [--slow-head] [--quick] [INPUT OUTPUT]
//! ```

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, iter, thread};

use forebay::{Budget, Pipeline, SegmentStore, Snapshot};
use zstd::bulk::Compressor;

const BLOCK: usize = 1 << 20;

fn main() -> ExitCode {
    run().map_or_else(
        |error| {
            eprintln!("compress: {error}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn run() -> Result<(), Box<dyn Error>> {
    let (flags, files): (Vec<String>, Vec<String>) = env::args().skip(1).partition(|arg| arg.starts_with("--"));
    let slow_head = flags.iter().any(|flag| flag == "--slow-head");
    match files.as_slice() {
        [input, output] => report(input.as_ref(), output.as_ref(), slow_head),
        [] => {
            let quick = flags.iter().any(|flag| flag == "--quick");
            let dir = tempfile::tempdir()?;
            let (input, output) = (dir.path().join("input"), dir.path().join("output.zst"));
            let program = fs::read(env::current_exe()?)?;
            let bytes: Vec<u8> = program.into_iter().cycle().take(if quick { 48 } else { 256 } * BLOCK + 1).collect();
            fs::write(&input, &bytes)?;
            for slow_head in [false, true] {
                report(&input, &output, slow_head)?;
                let mut back = Vec::new();
                zstd::Decoder::new(File::open(&output)?)?.read_to_end(&mut back)?;
                assert!(back == bytes, "the output unpacks to the input");
            }
            Ok(())
        }
        _ => Err("usage: compress [--slow-head] [--quick] [INPUT OUTPUT]".into()),
    }
}

fn report(input: &Path, output: &Path, slow_head: bool) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    // Under its name there is a whole file or the one that was there before.
    let partial = PathBuf::from(format!("{}.partial", output.display()));
    let done = compress(input, &partial, slow_head).and_then(|done| Ok((done, fs::rename(&partial, output)?)));
    let (did, ()) = done.inspect_err(|_| drop(fs::remove_file(&partial)))?;
    let (from, to) = (fs::metadata(input)?.len(), fs::metadata(output)?.len());
    let seconds = start.elapsed().as_secs_f64();
    println!("{}: {from} bytes to {to} in {seconds:.2} s, {:.0} MB/s", input.display(), from as f64 / seconds / 1e6);
    println!("  {} frames by {} workers, {} stalls at the head", did.delivered, did.workers_used, did.head_stalls);
    println!(
        "  spilled {} frames, {} bytes; read back {} frames",
        did.spilled_items, did.spilled_bytes, did.reloaded_items
    );
    Ok(())
}

fn compress(input: &Path, output: &Path, slow_head: bool) -> Result<Snapshot, Box<dyn Error>> {
    let named = |what: &str, path: &Path, error: io::Error| format!("{what} {}: {error}", path.display());
    // Before it is opened: to open a pipe that nobody writes to is to wait.
    let size = fs::metadata(input).map_err(|error| named("open", input, error))?;
    if !size.is_file() {
        return Err(format!("open {}: not a regular file", input.display()).into());
    }
    let file = File::open(input).map_err(|error| named("open", input, error))?;
    let mut out = File::create(output).map_err(|error| named("create", output, error))?;

    let workers = thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
    let pipeline = Pipeline::new().workers(workers).budget(&Budget::new(16 << 20)).spill(SegmentStore::temp()?);
    let monitor = pipeline.monitor();
    let deadline = Instant::now() + Duration::from_secs(2);
    let withheld = || slow_head && monitor.snapshot().spilled_items < 8 && Instant::now() < deadline;
    let done = pipeline.worker_init(|| Compressor::new(3)).run(
        blocks(file, size.len()).map(|block| block.map_err(|error| named("read", input, error))),
        |compressor, (number, block)| {
            while number == 0 && withheld() {
                thread::sleep(Duration::from_millis(1));
            }
            let compressor = compressor.as_mut().map_err(|error| format!("start zstd: {error}"))?;
            let mut frame = compressor.compress(&block).map_err(|error| format!("zstd: {error}"))?;
            frame.shrink_to_fit(); // Made for the worst case, and the budget counts what is allocated.
            Ok(frame)
        },
        |frame| out.write_all(&frame).map_err(|error| named("write", output, error)),
    );
    Ok(done.map_err(|error| error.to_string())?)
}

/// `file` in numbered blocks. An error if it has not as many bytes as it should have.
fn blocks(file: File, size: u64) -> impl Iterator<Item = io::Result<(u64, Vec<u8>)>> + Send {
    let (mut number, mut total) = (0, 0);
    iter::from_fn(move || {
        let mut block = Vec::new();
        match (&file).take(BLOCK as u64).read_to_end(&mut block) {
            Err(error) => Some(Err(error)),
            Ok(0) => {
                let changed = || io::Error::other(format!("it ended after {total} bytes of {size}"));
                (total != size).then(|| Err(changed()))
            }
            Ok(read) => {
                (number, total) = (number + 1, total + read as u64);
                Some(Ok((number - 1, block)))
            }
        }
    })
}
