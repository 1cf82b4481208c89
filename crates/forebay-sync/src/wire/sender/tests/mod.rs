//! The sending role beside stock rsync, which receives.

mod incremental;
mod merged;
mod requests;
mod spill;
mod stock;

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command};
use std::sync::Mutex;

use super::{Arrivals, End, Link, run};
use crate::mirror::Log;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::roots;
use crate::shared::{Root, Shared};
use crate::totals::{Ahead, Totals};
use crate::wire::error::WireError;
use crate::wire::number::{Get, Put};
use crate::wire::receiver::{Message, Stop, Way};
use crate::wire::terms::{Checksum, Compat, Compress, Compressor, Terms};

/// What was said.
#[derive(Default)]
struct Said {
    text: Vec<u8>,
    errors: Vec<u8>,
}

impl Log for Said {
    fn text(&mut self, lines: &[u8]) -> io::Result<()> {
        self.text.extend_from_slice(lines);
        Ok(())
    }

    fn errors(&mut self, lines: &[u8]) {
        self.errors.extend_from_slice(lines);
    }

    fn progress(&mut self, _: &Totals, _: &Ahead) -> io::Result<()> {
        Ok(())
    }
}

/// The input of a server.
struct Pipe {
    to: Mutex<ChildStdin>,
    /// Is removed once the list is on its way.
    vanishes: Mutex<Option<PathBuf>>,
}

impl Pipe {
    fn frame(&self, tag: u8, bytes: &[u8]) -> io::Result<()> {
        let mut pipe = self.to.lock().unwrap();
        for piece in bytes.chunks(0xff_ffff) {
            pipe.write_all(&(u32::from(7 + tag) << 24 | piece.len() as u32).to_le_bytes())?;
            pipe.write_all(piece)?;
        }
        pipe.flush()
    }
}

impl Way for Pipe {
    fn send(&self, bytes: &[u8]) -> Result<(), WireError> {
        if let Some(path) = self.vanishes.lock().unwrap().take() {
            std::fs::remove_file(path).unwrap();
        }
        Ok(self.frame(0, bytes)?)
    }

    fn message(&self, message: Message<'_>) {
        let (tag, bytes) = match message {
            Message::NoSend(index) => (102, index.to_le_bytes().to_vec()),
            Message::IoError(bits) => (22, bits.to_le_bytes().to_vec()),
            other => panic!("a client does not send {other:?}"),
        };
        self.frame(tag, &bytes).unwrap();
    }

    fn cut(&self) {}
}

/// The data that a server sends, and what it says.
struct Demux<R> {
    from: R,
    left: usize,
    said: Vec<u8>,
}

impl<R: Read> Read for Demux<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            let mut header = [0; 4];
            self.from.read_exact(&mut header)?;
            let len = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
            if header[3] == 7 {
                self.left = len;
                continue;
            }
            let mut payload = vec![0; len];
            self.from.read_exact(&mut payload)?;
            self.said.extend(payload);
        }
        let most = self.left.min(into.len());
        let n = self.from.read(&mut into[..most])?;
        self.left -= n;
        Ok(n)
    }
}

/// A push to stock rsync.
struct Push {
    options: Options,
    letters: &'static str,
    more: Vec<&'static str>,
    protocol: u32,
    compress: Option<Compressor>,
    /// Names as `--files-from` gives them.
    listed: Option<Vec<u8>>,
    vanishes: Option<PathBuf>,
}

impl Push {
    fn new(letters: &'static str) -> Self {
        let options = Options {
            recursive: true,
            links: true,
            perms: true,
            times: true,
            group: true,
            owner: true,
            devices: true,
            specials: true,
            ..Options::default()
        };
        Push { options, letters, more: Vec::new(), protocol: 32, compress: None, listed: None, vanishes: None }
    }

    fn run(&self, source: &Path, destination: &Path) -> (End, Said, String) {
        let (end, said, heard, code) = self.run_of(&[source], || {}, destination);
        let expected = if self.vanishes.is_some() { 24 } else { 0 };
        assert_eq!(code, Some(expected), "{heard}");
        (end, said, heard)
    }

    /// Merges `sources`, at which something `happens` once they have been listed. Gives the receiving side's exit code, too.
    fn run_of(
        &self,
        sources: &[&Path],
        happens: impl FnOnce(),
        destination: &Path,
    ) -> (End, Said, String, Option<i32>) {
        let mut server = self.server(destination);
        let (mut stdin, mut from) = (server.stdin.take().unwrap(), server.stdout.take().unwrap());
        let terms = self.shake_hands(&mut stdin, &mut from);
        let pipe = Pipe { to: Mutex::new(stdin), vanishes: Mutex::new(self.vanishes.clone()) };
        let mut from = Demux { from, left: 0, said: Vec::new() };
        let nowhere = Root { fd: None, created: false, rename: None, shown: Vec::new() };
        let mut shared = Shared::new(&self.options, nowhere);
        shared.listed = self.listed.clone();
        let mut note = Outcome::default();
        let sources: Vec<_> = sources.iter().map(|source| OsString::from(format!("{}/", source.display()))).collect();
        let top = roots::sources(&shared, &sources, &mut note).unwrap();
        happens();
        let mut said = Said::default();
        let link =
            Link { terms: &terms, server: false, way: &pipe, arrivals: &Arrivals::default(), traffic: &|| (0, 0) };
        let end = run(&shared, &link, (top, note), None, &mut from, &mut said);
        drop(pipe);
        let mut rest = Vec::new();
        let _ = from.read_to_end(&mut rest);
        let status = server.wait().unwrap();
        let heard = String::from_utf8_lossy(&from.said).into_owned();
        let end = end.unwrap_or_else(|stop: Stop| panic!("{stop:?}, {status}: {heard}"));
        assert_eq!(&rest[..], b"", "{heard}");
        (end, said, heard, status.code())
    }

    fn server(&self, destination: &Path) -> Child {
        let more = self.more.iter().copied();
        crate::wire::stock::server(
            [self.letters].into_iter().chain(more).map(OsStr::new).chain([OsStr::new("."), destination.as_os_str()]),
        )
    }

    fn shake_hands(&self, to: &mut impl Write, from: &mut impl Read) -> Terms {
        to.write_all(&self.protocol.to_le_bytes()).unwrap();
        assert_eq!(from.int().unwrap(), 32);
        let compat = Compat(from.varuint().unwrap());
        if compat.has(Compat::VARINT_FLIST_FLAGS) {
            let mut out = Vec::new();
            out.put_vstring(b"md5");
            to.write_all(&out).unwrap();
            from.vstring(255, "").unwrap();
        }
        to.flush().unwrap();
        let seed = from.int().unwrap();
        let compress = self.compress.map(|kind| Compress { kind, level: 3 });
        let md5 = Checksum::Md5;
        Terms { protocol: self.protocol, compat, seed, transfer: md5, files: md5, compress }
    }
}

/// Asks stock rsync what differs.
fn differences(options: &str, source: &Path, destination: &Path) -> String {
    let source = [source.to_str().unwrap(), "/"].concat();
    let output = Command::new("timeout")
        .args(["120", "rsync", options, "--delete", "-nci", &source])
        .arg(destination)
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn bytes(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// A tree of everything that needs no privilege.
fn tree(at: &Path) {
    std::fs::create_dir_all(at.join("d/e")).unwrap();
    std::fs::create_dir(at.join("d.x")).unwrap();
    std::fs::create_dir(at.join("empty")).unwrap();
    for n in 0..100_u32 {
        std::fs::write(at.join(format!("d/e/f{n}")), bytes(n, n as usize * 37)).unwrap();
    }
    std::fs::write(at.join("d.x/name with spaces"), b"x").unwrap();
    std::fs::write(at.join("d/z"), b"").unwrap();
    std::fs::write(at.join("middle"), bytes(1, 300_000)).unwrap();
    std::fs::write(at.join("large"), bytes(2, 9 << 20)).unwrap();
    std::os::unix::fs::symlink("d/nowhere", at.join("link")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, at.join("fifo"), 0o640.into()).unwrap();
}
