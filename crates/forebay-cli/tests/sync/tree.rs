//! Random trees, random changes to them, and what a tree looks like.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileTimes, Permissions};
use std::hash::Hasher;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

/// A small generator of random numbers; the seed names the case.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// Runs `round` with the seed that `FOREBAY_SEED` names, or with the first `FOREBAY_ROUNDS` seeds, or `default` ones.
pub(crate) fn rounds(default: u64, round: impl Fn(u64)) {
    let number = |name| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    match number("FOREBAY_SEED") {
        Some(seed) => round(seed),
        None => (0..number("FOREBAY_ROUNDS").unwrap_or(default)).for_each(round),
    }
}

fn name(rng: &mut Rng) -> OsString {
    let names: &[&[u8]] = &[
        b"a",
        b"b",
        b"c",
        b"d",
        b"a.o",
        b"b.c",
        b"a-b",
        b"a b",
        b"new\nline",
        b"\xff\xfe",
        b".hidden",
        b"\xc3\xa4",
        b"foo",
        b"foo.txt",
        b"bar",
        b"a[b]",
        b"back\\slash",
        b"\\#012",
        b"-dash",
        b"zz",
        b"a+",
        b"tab\t",
        b"x*y",
    ];
    let mut name = rng.pick(names).to_vec();
    if rng.one_in(4) {
        name.extend_from_slice(rng.below(30).to_string().as_bytes());
    }
    if rng.one_in(60) {
        name.resize(248, b'n');
    }
    OsString::from_vec(name)
}

fn content(rng: &mut Rng) -> Vec<u8> {
    let len = match rng.below(10) {
        0 => 0,
        1 => 65_536 + rng.below(200_000),
        2 => 65_535 + rng.below(3),
        _ => rng.below(3000),
    };
    let salt = rng.below(251) as u8;
    (0..len).map(|i| (i as u8).wrapping_mul(31).wrapping_add(salt)).collect()
}

/// Makes an entry of a random kind at `path`, which is free.
fn make(rng: &mut Rng, path: &Path, depth: u64) {
    match rng.below(12) {
        0..=5 => fs::write(path, content(rng)).unwrap(),
        6..=8 if depth > 0 => {
            fs::create_dir(path).unwrap();
            fill(rng, path, depth - 1);
        }
        9 => symlink(rng.pick(&["a", "nowhere", "../b/a", "/nowhere/else", "odd\nlink"]), path).unwrap(),
        10 => assert!(Command::new("mkfifo").arg("--").arg(path).status().unwrap().success()),
        _ => fs::create_dir(path).unwrap(),
    }
    attributes(rng, path);
}

/// Gives `path` a random mode, owner and time.
fn attributes(rng: &mut Rng, path: &Path) {
    if rng.one_in(4) && rustix_is_root() {
        std::os::unix::fs::lchown(path, Some(rng.below(3) as u32), Some(rng.below(3) as u32)).unwrap();
    }
    let kind = path.symlink_metadata().unwrap().file_type();
    if rng.one_in(2) && !kind.is_symlink() {
        let modes = match () {
            () if kind.is_dir() => [0o755, 0o700, 0o555, 0o1755, 0o2750],
            // Of what has a set-ID bit, stock rsync forgets to say that its owner changes.
            () => [0o644, 0o600, 0o444, 0o755, 0o000],
        };
        fs::set_permissions(path, Permissions::from_mode(modes[rng.below(5) as usize])).unwrap();
    }
    if kind.is_file() {
        // Never the time of the test: what is set "now" would be equal by chance.
        let time = UNIX_EPOCH + Duration::new(1_000_000_000 + rng.below(4), rng.below(3) as u32 * 333_333_333);
        set_time(path, time);
    } else if kind.is_symlink() || kind.is_fifo() || kind.is_dir() {
        touch(path, &format!("@{}.5", 1_000_000_000 + rng.below(4)));
    }
}

pub(crate) fn rustix_is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

pub(crate) fn set_time(path: &Path, time: std::time::SystemTime) {
    File::options().read(true).open(path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
}

pub(crate) fn touch(path: &Path, time: &str) {
    assert!(Command::new("touch").args(["-h", "-d", time, "--"]).arg(path).status().unwrap().success());
}

/// Puts random entries into the directory `dir`.
pub(crate) fn fill(rng: &mut Rng, dir: &Path, depth: u64) {
    for _ in 0..rng.below(9) {
        let path = dir.join(name(rng));
        if path.symlink_metadata().is_err() {
            make(rng, &path, depth);
        }
    }
}

fn remove(path: &Path) {
    if path.symlink_metadata().unwrap().is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
}

/// Changes about a third of what is beneath `dir`.
pub(crate) fn change(rng: &mut Rng, dir: &Path, depth: u64) {
    let mut entries: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let kind = path.symlink_metadata().unwrap().file_type();
        match rng.below(12) {
            0 => remove(&path),
            1 => {
                remove(&path);
                make(rng, &path, depth);
            }
            2 if kind.is_file() => {
                fs::write(&path, content(rng)).unwrap();
                attributes(rng, &path);
            }
            3 => attributes(rng, &path),
            4 if kind.is_file() => {
                // The same size and time, another content: only -c sees it.
                let time = path.metadata().unwrap().modified().unwrap();
                let flipped: Vec<u8> = fs::read(&path).unwrap().iter().map(|b| !b).collect();
                fs::write(&path, flipped).unwrap();
                set_time(&path, time);
            }
            _ if kind.is_dir() => change(rng, &path, depth.saturating_sub(1)),
            _ => {}
        }
    }
    if rng.one_in(3) {
        fill(rng, dir, depth);
    }
    // Not the time of the test: a directory that one of the programs changes in the same second would look the same.
    if dir.metadata().unwrap().mtime() > 1_600_000_000 {
        touch(dir, &format!("@{}.5", 1_300_000_000 + dir.as_os_str().len() % 4));
    }
}

/// One entry as it is compared.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    kind: &'static str,
    mode: u32,
    owner: (u32, u32),
    /// Seconds and nanoseconds.
    time: Option<(i64, i64)>,
    rdev: u64,
    target: Option<OsString>,
    /// Its length and a hash.
    content: (usize, u64),
}

/// Everything beneath `root`, by relative path; `.` is the root.
pub(crate) fn look(root: &Path, times: bool) -> BTreeMap<OsString, Seen> {
    let mut seen = BTreeMap::new();
    if root.symlink_metadata().is_ok() {
        look_at(root, OsStr::new("."), times, &mut seen);
    }
    seen
}

fn digest(content: &[u8]) -> (usize, u64) {
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(content);
    (content.len(), hasher.finish())
}

fn look_at(path: &Path, rel: &OsStr, times: bool, seen: &mut BTreeMap<OsString, Seen>) {
    let meta = path.symlink_metadata().unwrap();
    let kind = meta.file_type();
    let (word, rdev) = match () {
        () if kind.is_file() => ("file", 0),
        () if kind.is_dir() => ("dir", 0),
        () if kind.is_symlink() => ("link", 0),
        () if kind.is_fifo() => ("fifo", 0),
        () if kind.is_socket() => ("socket", 0),
        () => ("device", meta.rdev()),
    };
    // Stock rsync sets a directory's time before its content and, if that was the same second, not again.
    let nanos = if kind.is_dir() { 0 } else { meta.mtime_nsec() };
    // What was set during the test differs between the two.
    let time = if meta.mtime() > 1_600_000_000 { (0, 0) } else { (meta.mtime(), nanos) };
    let entry = Seen {
        kind: word,
        mode: meta.mode(),
        owner: (meta.uid(), meta.gid()),
        time: times.then_some(time),
        rdev,
        target: kind.is_symlink().then(|| fs::read_link(path).unwrap().into_os_string()),
        content: if kind.is_file() { digest(&fs::read(path).unwrap()) } else { (0, 0) },
    };
    seen.insert(rel.to_owned(), entry);
    if kind.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            let rel = OsString::from_vec([rel.as_bytes(), b"/", entry.file_name().as_bytes()].concat());
            look_at(&entry.path(), &rel, times, seen);
        }
    }
}

/// A small file system, for as long as this lives.
pub(crate) struct Mounted {
    pub(crate) path: PathBuf,
}

impl Mounted {
    pub(crate) fn new(path: &Path, size: &str) -> Self {
        let size = format!("size={size}");
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(path).status().unwrap();
        assert!(status.success(), "cannot mount a small file system");
        Mounted { path: path.to_owned() }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.path).status();
    }
}
