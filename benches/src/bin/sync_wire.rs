//! `forebay sync` over a pipe beside stock rsync: at both ends, at one, and not at all. What is pulled goes through a shell
//! that only drops the name of the host. In memory (`/dev/shm`).
//!
//! ```text
//! sync_wire [--rounds N] [--only TABLE]...
//! ```
//!
//! * 20,000 files of 4 KiB, copied for the first time;
//! * one file of 1 GiB, and ten of 256 MiB, of which a hundredth has changed;
//! * 1,000 files of 4 KiB to 4 MiB that compress, of which every other has changed, with zstd;
//! * 10,000 small files, more than the memory holds, behind one of 2 GiB: how long it takes until the last small one is
//!   there, what was spilled, and the memory;
//! * the memory of all processes while a million empty files are copied, once.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use forebay_benches::family;
use forebay_benches::files::{self, MEMORY, Room, same};
use forebay_benches::harness::{Cost, alternate_for, heading, measure_command, measure_commands, variant};
use forebay_benches::items;

const BASE: &str = "rsync at both ends";

fn main() -> Result<()> {
    let room = Room::new(Path::new(MEMORY))?;
    let (wire, only) = Wire::new(room.path())?;
    for (name, table) in TABLES {
        if only.is_empty() || only.iter().any(|wanted| wanted == name) {
            table(&wire)?;
        }
    }
    Ok(())
}

type Table = fn(&Wire) -> Result<()>;

const TABLES: &[(&str, Table)] = &[
    ("small", Wire::small_files),
    ("one", |wire| wire.changed_files("One file of 1 GiB, a hundredth changed", 1, 1 << 30)),
    ("ten", |wire| wire.changed_files("Ten files of 256 MiB, a hundredth of each changed", 10, 256 << 20)),
    ("zstd", Wire::compressed_files),
    ("behind", |wire| wire.within("64M").behind_a_large_file()),
    ("million", |wire| wire.within("64M").a_million_files()),
];

struct Wire {
    /// The program and its command.
    forebay: String,
    dir: PathBuf,
    rounds: usize,
}

impl Wire {
    /// What the command line says, and the tables that it names.
    fn new(dir: &Path) -> Result<(Self, Vec<String>)> {
        let (mut rounds, mut only) = (9, Vec::new());
        let mut args = env::args().skip(1);
        while let Some(arg) = args.next() {
            let value = args.next().with_context(|| format!("`{arg}` needs a value"))?;
            match arg.as_str() {
                "--rounds" => rounds = value.parse().context("--rounds takes a number")?,
                "--only" if TABLES.iter().any(|(name, _)| *name == value) => only.push(value),
                _ => {
                    let tables: Vec<_> = TABLES.iter().map(|&(name, _)| name).collect();
                    bail!("usage: [--rounds N] [--only TABLE]...; tables: {}", tables.join(", "))
                }
            }
        }
        let forebay = env::var("FOREBAY").context("FOREBAY names the program: use `cargo xtask bench sync_wire`")?;
        let wire = Wire { forebay: format!("{forebay} sync"), dir: dir.to_owned(), rounds };
        wire.prepare()?;
        Ok((wire, only))
    }

    /// The same with a budget.
    fn within(&self, memory: &str) -> Self {
        Wire { forebay: format!("{} --memory={memory}", self.forebay), dir: self.dir.clone(), rounds: self.rounds }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Writes the shell.
    fn prepare(&self) -> Result<()> {
        let shell = self.path("shell");
        fs::write(&shell, "#!/bin/sh\nshift\nexec sh -c \"$*\"\n")?;
        Ok(fs::set_permissions(&shell, fs::Permissions::from_mode(0o755))?)
    }

    /// A pull of `source` to `copy`: who receives, and who sends.
    fn pull(&self, [receiver, sender]: [&str; 2], args: &[&str]) -> Command {
        let mut command = self.client(receiver, sender, args);
        command.arg(format!("host:{}/", self.path("source").display())).arg(self.path("copy"));
        command
    }

    /// A push of `source` to `copy`.
    fn push(&self, [receiver, sender]: [&str; 2], args: &[&str]) -> Command {
        let mut command = self.client(sender, receiver, args);
        command.arg(self.path("source/")).arg(format!("host:{}", self.path("copy").display()));
        command
    }

    /// The command `client`, which starts `server` and has still to be told what is copied to where.
    fn client(&self, client: &str, server: &str, args: &[&str]) -> Command {
        let mut command = files::command_line(client);
        command.arg("-e").arg(self.path("shell")).arg(format!("--rsync-path={server}")).arg("-a").args(args);
        command
    }

    /// Who receives and who sends.
    fn pairs(&self) -> [(&str, [&str; 2]); 4] {
        [
            (BASE, ["rsync", "rsync"]),
            ("forebay at both ends", [&self.forebay; 2]),
            ("forebay sends to rsync", ["rsync", &self.forebay]),
            ("forebay receives from rsync", [&self.forebay, "rsync"]),
        ]
    }

    /// Lets all pairs take turns. The copy begins as `old`, if there is that.
    fn table(&self, title: &str, args: &[&str], run: impl Fn(&mut Command) -> Result<Cost>) -> Result<()> {
        let (source, copy, old) = (self.path("source"), self.path("copy"), self.path("old"));
        heading(title);
        let variants = self.pairs().map(|(name, pair)| {
            let (source, copy, old, run) = (&source, &copy, &old, &run);
            variant(name, move |round| {
                if old.exists() {
                    let mut command = Command::new("cp");
                    measure_command(command.arg("-a").args([old, copy]))?;
                }
                let cost = run(&mut self.pull(pair, args))?;
                if round == 0 {
                    same(source, copy)?;
                }
                fs::remove_dir_all(copy)?;
                Ok(cost)
            })
        });
        println!("{}", alternate_for(self.rounds, variants.into())?.table(BASE));
        self.tell_engine(args)?;
        fs::remove_dir_all(&source)?;
        if old.exists() {
            fs::remove_dir_all(&old)?;
        }
        Ok(())
    }

    /// What forebay's engines did when the files were copied twice more, as the client says: the receiving end of a pull, the
    /// sending end of a push. And the memory of both ends, also of a run behind that which has nothing to do.
    fn tell_engine(&self, args: &[&str]) -> Result<()> {
        let (copy, old) = (self.path("copy"), self.path("old"));
        let both = [&*self.forebay; 2];
        for (end, mut command) in [("receiving", self.pull(both, args)), ("sending", self.push(both, args))] {
            if old.exists() {
                measure_command(Command::new("cp").arg("-a").args([&old, &copy]))?;
            }
            let said = self.path("said");
            let peaks = family::peaks_of(command.arg("--stats").stdout(File::create(&said)?), &["forebay"])?;
            println!("The {end} end:\n");
            for line in fs::read_to_string(&said)?.lines().filter(|line| line.starts_with("forebay:")) {
                println!("{line}");
            }
            let idle = family::peaks_of(command.stdout(Stdio::null()), &["forebay"])?;
            println!(
                "memory at most {} MiB, of that and the other end; with nothing to do {}\n",
                mib(&peaks),
                mib(&idle)
            );
            fs::remove_dir_all(&copy)?;
        }
        Ok(())
    }

    fn small_files(&self) -> Result<()> {
        small(&self.path("source"), 20_000, 4096)?;
        self.table("20,000 files of 4 KiB, first copy", &[], measure_command)
    }

    fn changed_files(&self, title: &str, count: u64, len: u64) -> Result<()> {
        let [source, old] = ["source", "old"].map(|name| self.path(name));
        fs::create_dir(&source)?;
        fs::create_dir(&old)?;
        for seq in 0..count {
            let name = format!("{seq:02}");
            files::make(&old.join(&name), len)?;
            fs::copy(old.join(&name), source.join(&name))?;
            files::change(&source.join(&name))?;
            set_time(&source.join(&name), 1)?;
        }
        self.table(title, &[], measure_command)
    }

    fn compressed_files(&self) -> Result<()> {
        let [source, old] = ["source", "old"].map(|name| self.path(name));
        fs::create_dir(&source)?;
        fs::create_dir(&old)?;
        for seq in 0..1000_u64 {
            let name = format!("{seq:03}");
            // Ten doublings from 4 KiB on, spread evenly.
            let len = (4096.0 * (seq as f64 / 99.9).exp2()) as u64 & !4095;
            fs::write(old.join(&name), text(seq, len as usize))?;
            fs::copy(old.join(&name), source.join(&name))?;
            if seq % 2 == 0 {
                let mut bytes = fs::read(source.join(&name))?;
                for at in (0..bytes.len()).step_by(100 << 10) {
                    let end = bytes.len().min(at + 1024);
                    let other = text(seq + at as u64 + 1, end - at);
                    bytes[at..end].copy_from_slice(&other);
                }
                fs::write(source.join(&name), bytes)?;
            }
            for (dir, changed) in [(&source, seq % 2), (&old, 1)] {
                set_time(&dir.join(&name), changed)?;
            }
        }
        let args = ["-z", "--compress-choice=zstd"];
        self.table("1,000 files of 4 KiB to 4 MiB, every other changed, -z with zstd", &args, measure_command)
    }

    /// The time until the last small file is there, instead of that to the end. Lists that come one by one would have to wait for
    /// the large file, too, and nothing be asked for meanwhile of which they tell.
    fn behind_a_large_file(&self) -> Result<()> {
        let source = self.path("source");
        fs::create_dir(&source)?;
        files::make(&source.join("0-large"), 2 << 30)?;
        small(&source.join("small"), 10_000, 16 << 10)?;
        let last = self.path("copy").join("small/099/09999.dat");
        let title =
            "10,000 files of 16 KiB behind one of 2 GiB, --memory=64M --no-i-r: until the last of them is there";
        self.table(title, &["--no-inc-recursive"], |command| {
            let start = Instant::now();
            let (cost, wall) = measure_commands(|| {
                let mut child = command.spawn().with_context(|| format!("run {command:?}"))?;
                while !last.exists() {
                    ensure!(child.try_wait()?.is_none_or(|status| status.success()), "{command:?} failed");
                    thread::sleep(Duration::from_millis(1));
                }
                let wall = start.elapsed().as_secs_f64();
                ensure!(child.wait()?.success(), "{command:?} failed");
                Ok(wall)
            })?;
            Ok(Cost { wall, cpu: cost.cpu })
        })
    }

    /// The memory of all processes of each pair. A first copy and one with nothing to do take about as much.
    fn a_million_files(&self) -> Result<()> {
        let (source, copy) = (self.path("source"), self.path("copy"));
        for directory in 0..1000 {
            let directory = source.join(format!("{directory:03}"));
            fs::create_dir_all(&directory)?;
            for file in 0..1000 {
                File::create(directory.join(format!("{file:03}")))?;
            }
        }
        heading("A million empty files in a thousand directories, nothing to do: peak memory of all processes");
        println!("| | MiB | processes | ratio |\n|---|---:|---:|---:|");
        let mut base = None;
        let copied = measure_command(&mut self.pull(["rsync"; 2], &[]))?;
        for (name, pair) in self.pairs() {
            let peaks = family::peaks_of(&mut self.pull(pair, &[]), &["rsync", "forebay"])?;
            let peak: u64 = peaks.iter().sum();
            let ratio = peak as f64 / *base.get_or_insert(peak) as f64;
            println!("| {name} | {} | {} | {ratio:.2} |", mib(&[peak]), peaks.len());
        }
        println!("\nThe first copy, by rsync: {:.1} s", copied.wall);
        fs::remove_dir_all(&source)?;
        Ok(fs::remove_dir_all(&copy)?)
    }
}

/// Sizes in MiB.
fn mib(sizes: &[u64]) -> String {
    let sizes: Vec<_> = sizes.iter().map(|&size| format!("{:.1}", size as f64 / f64::from(1 << 20))).collect();
    sizes.join(" and ")
}

/// Files of `len` bytes that do not compress, a hundred in a directory.
fn small(root: &Path, count: u64, len: usize) -> Result<()> {
    for seq in 0..count {
        let directory = root.join(format!("{:03}", seq / 100));
        if seq % 100 == 0 {
            fs::create_dir_all(&directory)?;
        }
        fs::write(directory.join(format!("{seq:05}.dat")), items::generate(seq, len))?;
    }
    Ok(())
}

/// What looks like a log: it compresses to about a third.
fn text(seed: u64, len: usize) -> Vec<u8> {
    let noise = items::generate(seed, len / 4 + 8);
    let mut out = Vec::with_capacity(len + 64);
    for word in noise.chunks_exact(8) {
        let number = word.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let _ = writeln!(out, "{:012x} worker {} finished item {}", number >> 16, number % 16, number >> 40);
        if out.len() >= len {
            break;
        }
    }
    out.resize(len, b'\n');
    out
}

/// A time of modification in whole seconds, `seconds` after one in the past.
fn set_time(path: &Path, seconds: u64) -> Result<()> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds);
    Ok(File::options().write(true).open(path)?.set_modified(time)?)
}
