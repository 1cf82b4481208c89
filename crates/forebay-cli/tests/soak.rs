//! What takes minutes or gigabytes: `cargo xtask soak`.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![cfg(target_os = "linux")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, FileTimes};
use std::hash::Hasher;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// What a mirror may have resident, in KiB: a program of about 10 MB and the default window's names and reports.
const RESIDENT: u64 = 40_000;

#[test]
#[ignore = "two million inodes on tmpfs: cargo xtask soak"]
fn soak_a_million_empty_files_are_mirrored_in_40_megabytes() {
    const DIRS: usize = 1000;
    let place = in_memory();
    let (src, dst) = (place.path().join("src"), place.path().join("dst"));
    empty_files(&src, DIRS, 1000);
    fs::create_dir(&dst).unwrap();
    for (run, transferred) in [("first", "1,000,000"), ("second", "0")] {
        let begun = Instant::now();
        let mut child = forebay(&["-a", "--stats"], &src, &dst);
        let (status, peak) = finish(&mut child, Duration::from_secs(600));
        println!("{run} run: {:.2} s, peak {peak} KiB", begun.elapsed().as_secs_f64());
        let said = everything(&mut child);
        assert!(status.success(), "{status}: {said}");
        for line in [
            "Number of files: 1,001,001 (reg: 1,000,000, dir: 1,001)".to_owned(),
            format!("Number of regular files transferred: {transferred}"),
        ] {
            assert!(said.lines().any(|l| l == line), "no line {line:?} in {said}");
        }
        assert_eq!(count_files(&dst), 1_000_000);
        assert!(peak <= RESIDENT, "{peak} KiB resident");
    }
}

#[test]
#[ignore = "six gigabytes of disk: cargo xtask soak"]
fn soak_three_gibibytes_in_large_files_arrive_whole() {
    let place = tempfile::tempdir().unwrap();
    let (src, dst) = (place.path().join("src"), place.path().join("dst"));
    fs::create_dir(&src).unwrap();
    // One is longer than what one system call copies, and no length is a multiple of a page.
    let files = [("a", (2 << 30) + 12_345), ("b", (1 << 30) - 12_346), ("c", 1)];
    for (name, len) in files {
        let mut file = File::create(src.join(name)).unwrap();
        let mut random = Random(len);
        let mut block: Vec<u8> = (0..1 << 20).map(|_| random.below(256) as u8).collect();
        let mut left = len;
        while left > 0 {
            // No page is like another.
            for (page, bytes) in block.chunks_mut(4096).enumerate() {
                bytes[..8].copy_from_slice(&(left ^ page as u64).to_le_bytes());
            }
            let part = left.min(block.len() as u64);
            file.write_all(&block[..part as usize]).unwrap();
            left -= part;
        }
    }
    let begun = Instant::now();
    let mut child = forebay(&["-a", "--stats"], &src, &dst);
    let (status, peak) = finish(&mut child, Duration::from_secs(600));
    println!("{:.2} s, peak {peak} KiB", begun.elapsed().as_secs_f64());
    let said = everything(&mut child);
    assert!(status.success(), "{status}: {said}");
    said.lines().filter(|line| line.starts_with("forebay: copied")).for_each(|line| println!("{line}"));
    for (name, len) in files {
        assert_eq!(fs::metadata(dst.join(name)).unwrap().len(), len, "{name}");
        assert!(same_content(&src.join(name), &dst.join(name)), "{name} differs");
    }
    assert!(peak <= RESIDENT, "{peak} KiB resident");
}

/// As with stock rsync, the temporary files of a killed run stay (nobody is left to remove them, and a later run cannot
/// tell whose they are); they are at most one a worker, and a run with `--delete` takes them away.
#[test]
#[ignore = "takes a minute: cargo xtask soak"]
fn soak_kill_9_at_random_moments_never_damages_and_the_next_run_completes() {
    const WORKERS: usize = 3;
    let versions = Versions::new();
    let (mut rounds, mut killed, mut left, mut random) = (0, 0, 0, Random(9));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        let (old, new) = versions.of_round(rounds);
        if rounds % 4 == 3 {
            fs::remove_dir_all(&versions.dst).unwrap();
        }
        let workers = format!("--workers={WORKERS}");
        let mut child = versions.mirror(new, &["-a", &workers]);
        std::thread::sleep(versions.moment(&mut random));
        child.0.kill().unwrap();
        killed += u32::from(!child.0.wait().unwrap().success());
        rounds += 1;

        let leftovers = versions.check_interrupted(old, new);
        assert!(leftovers.len() <= WORKERS, "{leftovers:?}");
        left += leftovers.len();
        versions.complete(new, &["-a"]);
        let mut after = look(&versions.dst);
        for leftover in &leftovers {
            assert!(after.remove(leftover).is_some(), "{leftover:?} belongs to somebody");
        }
        assert_same(&after, &versions.looks[new]);
        versions.complete(new, &["-a", "--delete"]);
        assert_same(&look(&versions.dst), &versions.looks[new]);
    }
    println!("{rounds} rounds, {killed} killed in time, {left} temporary files left by them");
    assert!(killed >= 10 && left > 0, "{killed} of {rounds} killed in time, {left} files");
}

#[test]
#[ignore = "takes half a minute: cargo xtask soak"]
fn soak_sigint_at_random_moments_leaves_no_temporary_file() {
    let versions = Versions::new();
    let (mut rounds, mut in_time, mut longest, mut random) = (0, 0, Duration::ZERO, Random(2));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(30) {
        let (old, new) = versions.of_round(rounds);
        let before = look(&versions.dst);
        let mut child = versions.mirror(new, &["-a", "--workers=3"]);
        std::thread::sleep(versions.moment(&mut random));
        // It may have ended, but nobody has waited for it yet: its id is not another's.
        kill_process(Pid::from_child(&child.0), Signal::INT).unwrap();
        let asked = Instant::now();
        let (status, _) = finish(&mut child, Duration::from_secs(30));
        longest = longest.max(asked.elapsed());
        rounds += 1;

        assert_eq!(versions.check_interrupted(old, new), BTreeSet::new());
        match (status.code(), status.signal()) {
            (Some(20), _) => in_time += 1,
            (Some(0), _) => assert_same(&look(&versions.dst), &versions.looks[new]),
            // Before the program could watch for it.
            (None, Some(2)) => assert_same(&look(&versions.dst), &before),
            _ => panic!("{status}"),
        }
        versions.complete(new, &["-a"]);
        assert_same(&look(&versions.dst), &versions.looks[new]);
    }
    println!("{rounds} rounds, {in_time} interrupted, at most {:.3} s until the end", longest.as_secs_f64());
    assert!(in_time >= 10, "{in_time} of {rounds} interrupted");
}

#[test]
#[ignore = "stalls for 20 seconds: cargo xtask soak"]
fn soak_copying_goes_on_while_nobody_reads_the_log() {
    const DIRS: usize = 200;
    const FILES: usize = 1000;
    let place = in_memory();
    let (src, dst) = (place.path().join("src"), place.path().join("dst"));
    empty_files(&src, DIRS, FILES);
    fs::create_dir(&dst).unwrap();
    // Another time than the source's, so that the root has a line of its own.
    File::open(&dst).unwrap().set_modified(UNIX_EPOCH).unwrap();
    let options = ["-av", "--stats", "--memory=512K"];
    let mut child = forebay(&options, &src, &dst);
    let mut copied = 0;
    for second in [5, 10, 15, 20] {
        std::thread::sleep(Duration::from_secs(5));
        copied = count_files(&dst);
        println!("after {second} s without a reader: {copied} files, {} KiB", peak(&child));
    }
    // The pipe takes 64 KiB, some 5,000 names.
    assert!(copied > DIRS * FILES / 2, "{copied} files");
    assert!(peak(&child) <= RESIDENT);
    assert!(child.0.try_wait().unwrap().is_none(), "it did not wait for its reader");

    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let names = (0..DIRS).flat_map(|dir| {
        let files = (0..FILES).map(move |file| format!("d{dir:04}/f{file:04}"));
        std::iter::once(format!("d{dir:04}/")).chain(files)
    });
    let head = ["sending incremental file list".to_owned(), "./".to_owned()];
    for expected in head.into_iter().chain(names) {
        assert_eq!(lines.next().as_ref(), Some(&expected));
    }
    let rest: Vec<String> = lines.collect();
    let (status, _) = finish(&mut child, Duration::from_secs(60));
    assert!(status.success(), "{status}");
    assert_eq!(count_files(&dst), DIRS * FILES);
    let spilled = rest.iter().find_map(|line| line.strip_prefix("forebay: spilled "));
    println!("spilled {spilled:?}");
    let items = spilled.and_then(|line| line.split(' ').next()?.replace(',', "").parse::<u64>().ok());
    assert!(items.is_some_and(|items| items > 0), "nothing was spilled: {rest:?}");
}

/// Two versions of a tree, equal in names and lengths, and a destination that goes from one to the other and back.
struct Versions {
    place: TempDir,
    dst: PathBuf,
    looks: [Tree; 2],
    /// What a run takes that copies everything.
    full: Duration,
}

impl Versions {
    fn new() -> Self {
        let place = in_memory();
        let dst = place.path().join("dst");
        for version in 0..2 {
            let root = place.path().join(version.to_string());
            let mut random = Random(7);
            for n in 0..400 {
                let dir = root.join(format!("d{}", n % 20));
                fs::create_dir_all(&dir).unwrap();
                // Most are small; some take long enough to be killed half written.
                let len = if n % 40 == 0 { 4 << 20 } else { random.below(32 << 10) as usize };
                let bytes = (n as u64 * 2 + version).to_le_bytes().repeat(len / 8 + 1);
                let path = dir.join(format!("f{n}"));
                fs::write(path, &bytes[..len]).unwrap();
            }
            // Whole seconds are what is compared: they must differ.
            let time = UNIX_EPOCH + Duration::from_secs(1_000_000_000 + version);
            for path in look(&root).keys() {
                let times = FileTimes::new().set_modified(time);
                File::open(root.join(path)).unwrap().set_times(times).unwrap();
            }
        }
        let looks = [0, 1].map(|version| look(&place.path().join(version.to_string())));
        let mut versions = Versions { place, dst, looks, full: Duration::ZERO };
        versions.complete(1, &["-a"]);
        let begun = Instant::now();
        versions.complete(0, &["-a"]);
        versions.full = begun.elapsed();
        println!("a run that copies everything: {:.3} s", versions.full.as_secs_f64());
        versions
    }

    /// What a round finds at the destination, and what it puts there.
    fn of_round(&self, round: usize) -> (usize, usize) {
        (round % 2, 1 - round % 2)
    }

    /// Some time before the end of a run, as a rule.
    fn moment(&self, random: &mut Random) -> Duration {
        Duration::from_nanos(random.below(self.full.as_nanos() as u64))
    }

    fn mirror(&self, version: usize, options: &[&str]) -> Running {
        forebay(options, &self.place.path().join(version.to_string()), &self.dst)
    }

    /// Runs to the end.
    fn complete(&self, version: usize, options: &[&str]) {
        let mut child = self.mirror(version, options);
        let (status, _) = finish(&mut child, Duration::from_secs(60));
        assert!(status.success(), "{status}: {}", everything(&mut child));
    }

    /// Requires that every file at the destination is the whole old one or the whole new one. Returns what else is
    /// there.
    fn check_interrupted(&self, old: usize, new: usize) -> BTreeSet<PathBuf> {
        let mut others = BTreeSet::new();
        for (path, entry) in look(&self.dst) {
            match (self.looks[old].get(&path), self.looks[new].get(&path)) {
                (Some(old), Some(new)) => {
                    let whole = [old, new].iter().any(|whole| whole.content == entry.content);
                    assert!(whole, "{path:?} is half written");
                }
                _ => drop(others.insert(path)),
            }
        }
        others
    }
}

/// Paths relative to a root, and what is there.
type Tree = BTreeMap<PathBuf, Entry>;

#[derive(Debug, PartialEq)]
struct Entry {
    mode: u32,
    modified: (i64, i64),
    /// Length and a hash; nothing for a directory.
    content: Option<(u64, u64)>,
}

fn look(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(path) = waiting.pop() {
        let Ok(meta) = fs::symlink_metadata(&path) else {
            assert_eq!(path, root, "it vanished");
            break;
        };
        let content = if meta.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            None
        } else {
            let mut hasher = std::hash::DefaultHasher::new();
            hasher.write(&fs::read(&path).unwrap());
            Some((meta.len(), hasher.finish()))
        };
        let entry = Entry { mode: meta.mode(), modified: (meta.mtime(), meta.mtime_nsec()), content };
        tree.insert(path.strip_prefix(root).unwrap().to_owned(), entry);
    }
    tree
}

fn assert_same(got: &Tree, expected: &Tree) {
    for (path, entry) in expected {
        assert_eq!(got.get(path), Some(entry), "{path:?}");
    }
    let more = got.keys().find(|&path| !expected.contains_key(path));
    assert_eq!(more, None, "nobody put it there");
}

fn same_content(a: &Path, b: &Path) -> bool {
    let [mut a, mut b] = [a, b].map(|path| BufReader::with_capacity(1 << 20, File::open(path).unwrap()));
    loop {
        let (left, right) = (a.fill_buf().unwrap(), b.fill_buf().unwrap());
        let len = left.len().min(right.len());
        if len == 0 {
            return left.len() == right.len();
        }
        if left[..len] != right[..len] {
            return false;
        }
        a.consume(len);
        b.consume(len);
    }
}

/// A directory that costs no disk.
fn in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

fn empty_files(root: &Path, dirs: usize, files: usize) {
    for dir in 0..dirs {
        let dir = root.join(format!("d{dir:04}"));
        fs::create_dir_all(&dir).unwrap();
        for file in 0..files {
            File::create(dir.join(format!("f{file:04}"))).unwrap();
        }
    }
}

/// How many entries the directories in `root` have.
fn count_files(root: &Path) -> usize {
    let dirs = fs::read_dir(root).unwrap();
    dirs.map(|dir| fs::read_dir(dir.unwrap().path()).unwrap().count()).sum()
}

/// A run of the program, which a failing test ends before it removes the trees.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `forebay sync OPTIONS SRC/ DST/`.
fn forebay(options: &[&str], src: &Path, dst: &Path) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
    command.arg("sync").args(options);
    // An empty last component: a slash at the end.
    command.args([src.join(""), dst.join("")]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Running(command.spawn().unwrap())
}

/// Waits for the end of a program that says little. Returns its status and what it had resident at most, in KiB.
fn finish(child: &mut Running, limit: Duration) -> (ExitStatus, u64) {
    let begun = Instant::now();
    let mut most = 0;
    loop {
        // A peak only rises: what is missed is what the program's last milliseconds add.
        most = most.max(peak(child));
        if let Some(status) = child.0.try_wait().unwrap() {
            return (status, most);
        }
        assert!(begun.elapsed() <= limit, "still running after {} s", limit.as_secs());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What the program has had resident at most, in KiB; nothing once it has ended.
fn peak(child: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.0.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or(0, |line| line.trim().trim_end_matches(" kB").parse().unwrap())
}

/// What a program that has ended has written.
fn everything(child: &mut Running) -> String {
    let mut text = String::new();
    child.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    child.0.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

/// xorshift64*; never seeded with zero.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % n
    }
}
