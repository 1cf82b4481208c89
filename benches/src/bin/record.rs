//! Writers of sharded Zarr v3 that take frames from a camera: forebay, acquire-zarr, TensorStore, zarr-python and zarrs
//! (its codec pipeline for zarr-python). Noisy frames of 2048 x 2048 elements of 16 bits ([`frames`]); two threads each.
//!
//! ```text
//! record [--dir DIR] [--rounds N] [--only TABLE]...
//! ```
//!
//! `DIR` is a directory on the disk to be measured (default: this workspace's `target/`), of which nothing is left.
//! What every run has written is compared once, in the first round, with what it should have written.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use forebay_benches::contest::{self, Job, Outcome, Rounds, Writer};
use forebay_benches::frames;
use forebay_benches::harness::heading;
use forebay_zarr::store::Files;
use forebay_zarr::{ArraySpec, ArrayWriter, Codec, DataType, WriterOptions};

const FOREBAY: &str = "forebay";
const BUFFERED: &str = "forebay, page cache";
const PLAIN: &str = "write + fsync";
const ACQUIRE: &str = "acquire-zarr";
const TENSORSTORE: &str = "TensorStore";
const ALL: &[&str] = &[FOREBAY, ACQUIRE, TENSORSTORE, "zarr-python", "zarrs"];

/// Two shards of 512 MiB.
const FRAMES: u64 = 128;

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    if let [run, job] = args.as_slice()
        && run == "run"
    {
        let outcome = contest::run(&serde_json::from_str(job)?, create)?;
        println!("{}", serde_json::to_string(&outcome)?);
        return Ok(());
    }
    let (bench, only) = Bench::new(&args)?;
    for (name, table) in TABLES {
        if only.is_empty() || only.iter().any(|wanted| wanted == name) {
            table(&bench)?;
        }
    }
    Ok(())
}

type Table = fn(&Bench) -> Result<()>;

const TABLES: &[(&str, Table)] = &[
    ("blosc", |bench| bench.camera("Blosc with zstd 1 and byte shuffle", "blosc", &[32, 256, 256], ALL)),
    ("zstd", |bench| bench.camera("zstd 1", "zstd", &[32, 256, 256], ALL)),
    ("none", |bench| bench.camera("No codec", "none", &[32, 256, 256], &[&[BUFFERED, PLAIN], ALL].concat())),
    ("flat", |bench| bench.camera("Blosc with zstd 1 and byte shuffle", "blosc", &[1, 512, 512], ALL)),
    ("tiny", tiny),
    ("paced", paced),
    ("longer", longer),
];

/// 512 bytes at a time; 16384 frames at a time for the peers that want whole shards, which spares them the calls. (To
/// acquire-zarr that would be no favour: it takes twice as long then.) acquire-zarr gets a quarter of the frames: it
/// takes seconds for each of its two shards.
fn tiny(bench: &Bench) -> Result<()> {
    let job = Job {
        frame: vec![16, 16],
        frames: 1 << 21,
        timed_appends: false,
        chunk: vec![4096, 16, 16],
        shard: vec![1 << 18, 16, 16],
        ..bench.job("none", &[1, 1, 1])
    };
    heading("Frames of 16 x 16, no codec, chunk 4096x16x16, shard 262144x16x16");
    let contestant = |writer: &str, batch: u64| {
        let frames = if writer == ACQUIRE { job.frames / 4 } else { job.frames };
        let name = format!("{writer}, {} MiB, {batch} a time", frames >> 11);
        (name, Job { writer: writer.into(), frames, frames_per_append: batch, ..job.clone() })
    };
    let contestants: Vec<_> = ALL
        .iter()
        .map(|&writer| contestant(writer, if [FOREBAY, ACQUIRE].contains(&writer) { 1 } else { 1 << 14 }))
        .collect();
    println!("{}", contest::table(&bench.rounds(&contestants)?));
    Ok(())
}

/// At 60 % of what each can do, which an unpaced run tells first: how long does the longest append take?
fn paced(bench: &Bench) -> Result<()> {
    heading("Paced at 60 % of the own maximum: Blosc, chunk 32x256x256");
    let mut contestants = Vec::new();
    for &writer in &[FOREBAY, ACQUIRE, TENSORSTORE] {
        let job = Job { writer: writer.into(), ..bench.job("blosc", &[32, 256, 256]) };
        let outcome = bench.run(&job, true)?;
        let bytes_per_second = 0.6 * job.bytes() as f64 / outcome.wall;
        contestants.push((format!("{writer}, {:.0} MB/s", bytes_per_second / 1e6), Job { bytes_per_second, ..job }));
    }
    println!("{}", contest::table(&bench.rounds(&contestants)?));
    Ok(())
}

/// Twice and ten times the frames: ten times the seconds in the same memory.
fn longer(bench: &Bench) -> Result<()> {
    heading("More frames: Blosc, chunk 32x256x256");
    let contestants: Vec<_> = [1, 2, 10]
        .map(|times| {
            let job = bench.job("blosc", &[32, 256, 256]);
            (format!("{FOREBAY}, {times} GiB"), Job { frames: times * FRAMES, ..job })
        })
        .to_vec();
    println!("{}", contest::table(&bench.rounds(&contestants)?));
    Ok(())
}

struct Bench {
    room: tempfile::TempDir,
    frames_file: PathBuf,
    rounds: usize,
    python: PathBuf,
}

impl Bench {
    /// Reads the command line; gives the names of the tables besides.
    fn new(args: &[String]) -> Result<(Self, Vec<String>)> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let target = here.join("target");
        let (mut dir, mut rounds, mut only) = (target.clone(), 7, Vec::new());
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let value = args.next().with_context(|| format!("`{arg}` needs a value"))?;
            match arg.as_str() {
                "--dir" => dir = value.into(),
                "--rounds" => rounds = value.parse().context("--rounds takes a number")?,
                "--only" if TABLES.iter().any(|(name, _)| name == value) => only.push(value.clone()),
                _ => {
                    let tables: Vec<_> = TABLES.iter().map(|&(name, _)| name).collect();
                    bail!("usage: [--dir DIR] [--rounds N] [--only TABLE]...; tables: {}", tables.join(", "))
                }
            }
        }
        ensure!(rounds % 2 == 1, "an odd number of rounds has a median");
        let python =
            env::var_os("FOREBAY_PYTHON").context("FOREBAY_PYTHON is not set: use `cargo xtask bench record`")?;
        let room = tempfile::Builder::new()
            .prefix("forebay-record-")
            .tempdir_in(&dir)
            .with_context(|| format!("make a directory in {}", dir.display()))?;
        Ok((Bench { room, frames_file: frames::file(&target)?, rounds, python: python.into() }, only))
    }

    /// Frames of a camera, in shards of 64 frames.
    fn job(&self, codec: &str, chunk: &[u64]) -> Job {
        let side = frames::SIDE as u64;
        Job {
            writer: FOREBAY.into(),
            path: self.room.path().join("out.zarr"),
            frames_file: self.frames_file.clone(),
            frame: vec![side, side],
            frames: FRAMES,
            frames_per_append: 1,
            timed_appends: true,
            chunk: chunk.to_vec(),
            shard: vec![64, side, side],
            codec: codec.into(),
            bytes_per_second: 0.0,
        }
    }

    fn camera(&self, title: &str, codec: &str, chunk: &[u64], writers: &[&str]) -> Result<()> {
        let job = self.job(codec, chunk);
        heading(&format!("1 GiB of frames: {title}, chunk {chunk:?}, shard {:?}", job.shard));
        let contestants: Vec<_> =
            writers.iter().map(|&writer| (writer.to_owned(), Job { writer: writer.into(), ..job.clone() })).collect();
        let rows = self.rounds(&contestants)?;
        println!("{}", contest::table(&rows));
        let of = |name: &str| rows.iter().find(|row| row.writer == name);
        let peers = || rows.iter().filter(|row| !row.writer.starts_with(FOREBAY) && row.writer != PLAIN);
        let best = |figure: fn(&Rounds) -> f64| peers().max_by(|a, b| figure(a).total_cmp(&figure(b)));
        if let (Some(forebay), Some(fastest), Some(thriftiest)) =
            (of(FOREBAY), best(Rounds::speed), best(Rounds::thrift))
        {
            println!(
                "forebay: {} the MB/s of {}; {} the MB per CPU-second of {}\n",
                forebay.ratios(fastest, |outcome| outcome.wall),
                fastest.writer,
                forebay.ratios(thriftiest, |outcome| outcome.cpu),
                thriftiest.writer
            );
        }
        Ok(())
    }

    /// All contestants, turn by turn, in an order that rotates.
    fn rounds(&self, contestants: &[(String, Job)]) -> Result<Vec<Rounds>> {
        let mut rows: Vec<_> = contestants
            .iter()
            .map(|(name, job)| Rounds { writer: name.clone(), bytes: job.bytes(), outcomes: Vec::new() })
            .collect();
        for round in 0..self.rounds {
            for turn in 0..contestants.len() {
                let at = (round + turn) % contestants.len();
                let (name, job) = &contestants[at];
                let outcome = self.run(job, round == 0).with_context(|| name.clone())?;
                rows[at].outcomes.push(outcome);
            }
        }
        Ok(rows)
    }

    fn run(&self, job: &Job, compare: bool) -> Result<Outcome> {
        let text = serde_json::to_string(job)?;
        let ours = job.writer.starts_with(FOREBAY) || job.writer == PLAIN;
        let mut command = if ours {
            let mut command = Command::new(env::current_exe()?);
            command.arg("run");
            command
        } else {
            self.peers()
        };
        let outcome = contest::outcome(command.arg(&text))?;
        if compare && job.writer != PLAIN {
            let status = self.peers().args(["check", &text]).status().context("compare")?;
            ensure!(status.success(), "{} wrote something else", job.writer);
        }
        fs::remove_dir_all(&job.path).with_context(|| format!("remove {}", job.path.display()))?;
        Ok(outcome)
    }

    fn peers(&self) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/writers.py"));
        command
    }
}

fn create(job: &Job) -> Result<Box<dyn Writer>> {
    match job.writer.as_str() {
        FOREBAY | BUFFERED => {
            let mut spec = ArraySpec::new(DataType::UInt16, &job.frame, &job.chunk, &job.shard);
            spec.codec = match job.codec.as_str() {
                "none" => Codec::None,
                "zstd" => Codec::Zstd { level: 1 },
                "blosc" => Codec::default(),
                other => bail!("no codec is called `{other}`"),
            };
            let store = Files::create(&job.path, false)?;
            let store = if job.writer == BUFFERED { store.unbuffered(false) } else { store };
            Ok(Box::new(Forebay(WriterOptions::new().workers(2).create(store, spec)?)))
        }
        PLAIN => {
            fs::create_dir(&job.path)?;
            let frames_per_file = job.shard[0];
            Ok(Box::new(Plain { dir: job.path.clone(), frames_per_file, frames: 0, file: None }))
        }
        other => bail!("no writer is called `{other}`"),
    }
}

struct Forebay(ArrayWriter);

impl Writer for Forebay {
    fn append(&mut self, frames: &[u8]) -> Result<()> {
        Ok(self.0.append(frames)?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.0.close()?;
        Ok(())
    }
}

/// The same bytes in files as large as shards, each synced when it is full.
struct Plain {
    dir: PathBuf,
    frames_per_file: u64,
    frames: u64,
    file: Option<File>,
}

impl Writer for Plain {
    fn append(&mut self, frames: &[u8]) -> Result<()> {
        if self.frames % self.frames_per_file == 0 {
            self.sync()?;
            self.file = Some(File::create(self.dir.join(self.frames.to_string()))?);
        }
        self.frames += 1;
        Ok(self.file.as_ref().context("a file is open")?.write_all(frames)?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.sync()
    }
}

impl Plain {
    fn sync(&self) -> Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| Ok(file.sync_all()?))
    }
}
