//! Token streams beside stock rsync: what it writes is read, and what is written it reads.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use forebay_delta::{Hasher, Input, Options, Settings, Strong, Token, Weak, search_reading};

use super::{Piece, TokenReader, TokenWriter};
use crate::wire::number::{Get, Indexes, Put, special};
use crate::wire::sums::{FileSum, SumHead};
use crate::wire::terms::{Checksum, Compress, Compressor};

const KINDS: [(&str, Option<Compressor>); 5] = [
    ("", None),
    ("zlib", Some(Compressor::Zlib)),
    ("zlibx", Some(Compressor::Zlibx)),
    ("zstd", Some(Compressor::Zstd)),
    ("lz4", Some(Compressor::Lz4)),
];
/// Bytes of the digests that are asked for.
const DIGEST: usize = 16;

/// Names, old and new content: nothing, little, text that compresses, noise, and what repeats far behind.
fn files() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let noise = |len: usize, seed: u32| -> Vec<u8> {
        let mut state = seed | 1;
        let next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        };
        std::iter::repeat_with(next).take(len).collect()
    };
    let text = |len: usize, seed: usize| -> Vec<u8> {
        let words = (0..).flat_map(|n: usize| format!("{} some text, ", n.wrapping_mul(seed) % 9973).into_bytes());
        words.take(len).collect()
    };
    let changed = |old: &[u8], seed: u32| {
        let mut new = old.to_vec();
        for part in 0..9 {
            let at = new.len() * part / 9;
            let piece = [noise(10 + 300 * part, seed + part as u32), old[..old.len().min(50 * part)].to_vec()].concat();
            new.splice(at..(at + 900 * part).min(new.len()), piece);
        }
        new
    };
    let (little, long, wild) = (text(3000, 3), text(400_000, 7), noise(700_000, 5));
    vec![
        ("a", Vec::new(), text(50_000, 11)),
        ("b", little.clone(), changed(&little, 1)),
        ("c", long.clone(), changed(&long, 2)),
        ("d", wild.clone(), changed(&wild, 3)),
        ("e", text(100_000, 13), Vec::new()),
        ("f", noise(30_000, 9), noise(90_000, 17)),
    ]
}

/// The data within frames, until the stream ends. What else comes must be no error.
struct Data<R> {
    from: R,
    left: usize,
}

impl<R: Read> Read for Data<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        while self.left == 0 {
            let mut header = [0; 4];
            if let Err(error) = self.from.read_exact(&mut header) {
                return if error.kind() == std::io::ErrorKind::UnexpectedEof { Ok(0) } else { Err(error) };
            }
            let header = u32::from_le_bytes(header);
            let len = (header & 0xff_ffff) as usize;
            if header >> 24 == 7 {
                self.left = len;
            } else {
                let mut message = vec![0; len];
                self.from.read_exact(&mut message)?;
                panic!("message {}: {}", (header >> 24) - 7, message.escape_ascii());
            }
        }
        let most = buf.len().min(self.left);
        let read = self.from.read(&mut buf[..most])?;
        self.left -= read;
        Ok(read)
    }
}

fn send(to: &mut impl Write, bytes: &[u8]) {
    for piece in bytes.chunks(60_000) {
        to.write_all(&(piece.len() as u32 | 7 << 24).to_le_bytes()).unwrap();
        to.write_all(piece).unwrap();
    }
    to.flush().unwrap();
}

fn write_files(dir: &Path, files: impl Iterator<Item = (&'static str, Vec<u8>)>) {
    fs::create_dir(dir).unwrap();
    files.for_each(|(name, bytes)| fs::write(dir.join(name), bytes).unwrap());
}

/// The start of a session up to the seed, with everything chosen by options.
fn greet(to: &mut impl Write, from: &mut impl Read, protocol: i32) -> i32 {
    to.write_all(&protocol.to_le_bytes()).unwrap();
    to.flush().unwrap();
    assert!(from.int().unwrap() >= protocol);
    from.varint().unwrap();
    from.int().unwrap()
}

fn server(args: &[&str], choice: &str, dir: &Path, protocol: i32) -> (std::process::Child, ChildStdin, ChildStdout) {
    let mut command = Command::new("timeout");
    command.args(["20", "rsync", "--server"]).args(args).arg("--checksum-choice=xxh128");
    if !choice.is_empty() {
        command.arg(format!("--compress-choice={choice}"));
    }
    command.arg(format!("--protocol={protocol}"));
    let mut child = command.arg(".").arg(dir).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    (child, to, from)
}

/// Lets stock rsync send files to itself, and reads what it sent.
#[test]
fn what_stock_rsync_writes_is_read() {
    for (protocol, (choice, kind)) in [32, 30].into_iter().flat_map(|protocol| KINDS.map(|kind| (protocol, kind))) {
        let temp = tempfile::tempdir().unwrap();
        let (source, copy) = (temp.path().join("source"), temp.path().join("copy"));
        write_files(&source, files().into_iter().map(|(name, _, new)| (name, new)));
        write_files(&copy, files().into_iter().map(|(name, old, _)| (name, old)));
        let (shell, record) = (temp.path().join("shell"), temp.path().join("record"));
        fs::write(&shell, format!("#!/bin/sh\nshift\n\"$@\" | tee {}\n", record.display())).unwrap();
        fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new("timeout");
        command.args(["20", "rsync", "-rI", "--no-whole-file", "--no-inc-recursive", "--blocking-io", "--cc=xxh128"]);
        command.arg(format!("--protocol={protocol}"));
        if !choice.is_empty() {
            command.args(["-z", &format!("--zc={choice}")]);
        }
        command.arg("-e").arg(&shell).arg(format!("host:{}/", source.display())).arg(&copy);
        assert!(command.status().unwrap().success(), "{protocol} {choice}");

        let record = fs::read(&record).unwrap();
        let mut from = &record[..];
        // Version, flags, seed.
        let _ = (from.int().unwrap(), from.varint().unwrap(), from.int().unwrap());
        let mut data = Vec::new();
        Data { from, left: 0 }.read_to_end(&mut data).unwrap();
        let mut reader = TokenReader::new(kind, protocol as u32).unwrap();
        let (mut at, mut copied) = (0, 0);
        for (name, old, new) in files() {
            let head = SumHead::of(old.len() as u64, None, DIGEST, false);
            // An answer: the index in a byte, flags of which the highest says that it is a transfer, and the head.
            let mut bytes = Vec::new();
            head.write(&mut bytes);
            at += data[at..].windows(19).position(|window| window[2] & 0x80 != 0 && window[3..] == bytes).unwrap();
            let mut from = &data[at + 19..];
            reader.begin(head);
            let mut file = Vec::new();
            loop {
                match reader.next(&mut from, &mut file).unwrap() {
                    Piece::Literal => {}
                    Piece::Copy { block, count } => {
                        let (offset, len) = head.bytes(block, count).unwrap();
                        file.extend_from_slice(&old[offset as usize..][..len as usize]);
                        reader.copied(block, count, &old).unwrap();
                        copied += len;
                    }
                    Piece::End => break,
                }
            }
            assert!(file == new, "{protocol} {choice} {name}");
            let mut sum = FileSum::new(Checksum::Xxh128);
            sum.update(&file);
            assert_eq!(FileSum::read(&mut from, Checksum::Xxh128).unwrap(), sum.finish(), "{protocol} {choice} {name}");
            at = data.len() - from.len();
        }
        assert!(copied > 500_000, "{copied}");
    }
}

/// Sends files to stock rsync, with a file list written by hand.
#[test]
fn what_is_written_stock_rsync_reads() {
    for (protocol, (choice, kind)) in [32, 30].into_iter().flat_map(|protocol| KINDS.map(|kind| (protocol, kind))) {
        let temp = tempfile::tempdir().unwrap();
        let copy = temp.path().join("copy");
        write_files(&copy, files().into_iter().map(|(name, old, _)| (name, old)));
        let args = ["-tIe.LsfxCIvu", "--no-W"];
        let (mut child, mut to, mut from) = server(&args, choice, &copy, protocol);
        let seed = greet(&mut to, &mut from, protocol);
        let mut list = Vec::new();
        for (name, _, new) in files() {
            // Owner and group are not told.
            list.put_varint(0x18);
            list.put_byte(name.len() as u8);
            list.put(name.as_bytes());
            list.put_varlong(new.len() as i64, 3);
            list.put_varlong(1_000_000_000, 4);
            list.put_int(0o100_644);
        }
        list.put_varint(0);
        list.put_varint(0);
        send(&mut to, &list);

        let mut from = Data { from, left: 0 };
        let (mut asked, mut told) = (Indexes::default(), Indexes::default());
        let mut writer = TokenWriter::new(kind.map(|kind| Compress { kind, level: 3 })).unwrap();
        let strong = Strong::Xxh128(i64::from(seed).cast_unsigned());
        let (mut ends, mut matched) = (0, 0);
        loop {
            let mut out = Vec::new();
            let index = asked.read(&mut from).unwrap();
            told.write(&mut out, index);
            if index == special::DONE {
                ends += 1;
                if ends == if protocol > 30 { 5 } else { 4 } {
                    break;
                }
            } else {
                let flags = from.short().unwrap();
                assert_eq!(flags & 0x9800, 0x8000, "a plain transfer");
                out.put_short(flags);
                let head = SumHead::read(&mut from, DIGEST).unwrap();
                head.write(&mut out);
                let (name, old, new) = &files()[index as usize];
                assert_eq!(head, SumHead::of(old.len() as u64, None, DIGEST, false), "{name}");
                matched += answer(&mut writer, head, (&mut from, strong), new, &mut out);
            }
            send(&mut to, &out);
        }
        drop(to);
        assert!(child.wait().unwrap().success(), "{protocol} {choice}");
        for (name, _, new) in files() {
            assert!(fs::read(copy.join(name)).unwrap() == new, "{protocol} {choice} {name}");
        }
        assert!(matched > 500_000, "{matched}");
    }
}

/// Writes tokens and sum of `new` to `out`. Returns how many bytes were found in the basis.
fn answer(
    writer: &mut TokenWriter,
    head: SumHead,
    (from, strong): (&mut impl Read, Strong),
    new: &Vec<u8>,
    out: &mut Vec<u8>,
) -> u64 {
    let settings = Settings::default();
    let signature = head.read_sums(from, strong, &settings).unwrap();
    writer.begin(head).unwrap();
    let mut sum = Hasher::new(Strong::Xxh128(0));
    let matched = match &signature {
        None => {
            sum.update(new);
            writer.apply(Token::Literal { offset: 0, bytes: new }, out).unwrap();
            0
        }
        Some(signature) => {
            assert_eq!(signature.format().weak(), Weak::Rsync);
            let read = |bytes: &[u8]| sum.update(bytes);
            let token = |token: Token<'_>| writer.apply(token, out).map_err(forebay_delta::Error::Write);
            search_reading(signature, Input::bytes(new), Options::default(), &settings, read, token).unwrap().matched
        }
    };
    writer.end(out).unwrap();
    out.extend_from_slice(sum.finish().as_ref());
    matched
}
