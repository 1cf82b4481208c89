//! Lists of stock rsync: they are read to the last byte, and what was read is written as the same bytes.

use std::io::{self, Read};
use std::path::Path;

use super::{Decoder, Encoder, Shape};
use crate::options::Options;
use crate::wire::handshake::Offer;
use crate::wire::mux::{MuxReader, Tag};
use crate::wire::number::{Indexes, special};
use crate::wire::stock::{self, Sending};

/// Keeps what is read.
struct Kept<R> {
    from: R,
    read: Vec<u8>,
}

impl<R: Read> Read for Kept<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(into)?;
        self.read.extend_from_slice(&into[..n]);
        Ok(n)
    }
}

/// A tree of everything that needs no privilege.
fn tree(at: &Path) {
    for dir in ["a/b/c", "d", "empty", "a.x"] {
        std::fs::create_dir_all(at.join(dir)).unwrap();
    }
    for n in 0..30_u32 {
        std::fs::write(at.join(format!("a/b/{n}")), vec![b'x'; n as usize * 7000]).unwrap();
        std::fs::write(at.join(format!("d/{}", "long".repeat(n as usize + 1))), n.to_string()).unwrap();
    }
    for (path, seconds) in [("a/b/3", -5_i64), ("a/b/4", 1 << 33), ("a/b/5", 1_000_000_000), ("a/b/6", 1_000_000_000)] {
        let time = match u64::try_from(seconds) {
            Ok(after) => std::time::UNIX_EPOCH + std::time::Duration::from_secs(after),
            Err(_) => std::time::UNIX_EPOCH - std::time::Duration::from_secs(seconds.unsigned_abs()),
        };
        std::fs::File::options().append(true).open(at.join(path)).unwrap().set_modified(time).unwrap();
    }
    std::fs::hard_link(at.join("a/b/7"), at.join("a/b/c/again")).unwrap();
    std::fs::hard_link(at.join("a/b/7"), at.join("a/b/also")).unwrap();
    std::os::unix::fs::symlink("d/nowhere", at.join("link")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, at.join("fifo"), 0o640.into()).unwrap();
    for (path, name, value) in [("a/b/1", c"user.a", &b"short"[..]), ("a", c"user.b", b""), ("d", c"user.a", b"short")]
    {
        rustix::fs::setxattr(at.join(path), name, value, rustix::fs::XattrFlags::empty()).unwrap();
    }
}

/// Takes the lists of stock rsync, which is started with `letters`, and writes them again. `protocol` is the version.
fn again(source: &str, letters: &str, protocol: u32, options: &Options) {
    let offer = Offer { protocol, ..Offer::default() };
    let Sending { mut child, terms, incoming, outgoing, writing: _writing } =
        stock::sending(["--sender", letters, ".", source], &offer);
    let said = |tag: Tag, text: &[u8]| panic!("{tag:?}: {}", String::from_utf8_lossy(text));
    let mut from = Kept { from: MuxReader::new(incoming, said), read: Vec::new() };
    let shape = Shape::new(options, &terms);
    let (mut decoder, mut encoder) = (Decoder::new(shape.clone(), false), Encoder::new(shape));
    let (mut theirs, mut ours, mut out) = (Indexes::default(), Indexes::default(), Vec::new());
    let (mut first, mut lists, mut entries) = (i32::from(terms.incremental()), 0, 0);
    loop {
        if lists > 0 {
            let index = theirs.read(&mut from).unwrap();
            ours.write(&mut out, index);
            if index == special::FLIST_EOF {
                break;
            }
        }
        decoder.begin(first);
        encoder.begin(first);
        let end = loop {
            match decoder
                .next(&mut from)
                .unwrap_or_else(|error| panic!("{letters} {protocol}: entry {entries}: {error}"))
            {
                Ok(entry) => {
                    encoder.push(&entry, &mut out);
                    (entries, first) = (entries + 1, first + 1);
                }
                Err(end) => break end,
            }
        };
        encoder.end(end.io_error, &mut out);
        (lists, first) = (lists + 1, first + 1);
        if !terms.incremental() {
            break;
        }
    }
    assert_eq!((entries, lists), (71, if terms.incremental() { 7 } else { 1 }), "{letters} {protocol}");
    let same = out.iter().zip(&from.read).take_while(|(a, b)| a == b).count();
    let piece = |bytes: &[u8]| format!("{:02x?}", bytes.get(same.saturating_sub(8)..bytes.len().min(same + 24)));
    assert!(out == from.read, "{letters} {protocol}: at {same}, {} where it writes {}", piece(&out), piece(&from.read));
    outgoing.abort();
    let _ = child.kill();
    child.wait().unwrap();
}

#[test]
fn lists_of_stock_rsync_are_written_as_it_writes_them() {
    let dir = tempfile::tempdir().unwrap();
    tree(dir.path());
    let source = [dir.path().to_str().unwrap(), "/"].concat();
    let plain = || Options {
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
    for protocol in [30, 31, 32] {
        for capable in ["LsfxCIvu", "LsxCI", "iLsfxCIvu", "iLsxCI"] {
            again(&source, &format!("-logDtpre.{capable}"), protocol, &plain());
            let hard = Options { hard_links: true, ..plain() };
            again(&source, &format!("-lHogDtpre.{capable}"), protocol, &hard);
        }
    }
    let all = Options { hard_links: true, xattrs: true, acls: true, checksum: true, ..plain() };
    again(&source, "-lHogDtpAXrce.iLsfxCIvu", 32, &all);
    again(&source, "-lHogDtpAXrce.LsfxCIvu", 32, &all);
    let few = Options { recursive: true, ..Options::default() };
    again(&source, "-re.iLsfxCIvu", 32, &few);
    again(&source, "-re.LsfxCIvu", 31, &few);
}
