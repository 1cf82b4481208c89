//! `-s`: the arguments of a server come over its standard input, before anything else, each with a NUL behind it and one more
//! behind the last. No shell has read them, so wildcards in paths are for the server to expand.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{AtFlags, CWD};
use rustix::io::Errno;

use super::limits;
use crate::fs;
use crate::wildmatch::Pattern;

/// What the first argument is: the name of a program, of which nobody takes notice.
const PROGRAM: &[u8] = b"rsync";

/// The bytes that tell `args`.
pub(super) fn told(args: &[OsString]) -> Vec<u8> {
    let mut bytes = [PROGRAM, &[0]].concat();
    for arg in args {
        // An empty one would be the end.
        bytes.extend_from_slice(if arg.is_empty() { b"." } else { arg.as_bytes() });
        bytes.push(0);
    }
    bytes.push(0);
    bytes
}

/// Reads the arguments of a server from standard input, and nothing behind them.
///
/// # Errors
/// They cannot be read, end within, or are longer than 64 MiB.
pub fn secluded_args() -> io::Result<Vec<OsString>> {
    let stdin = io::stdin();
    let stdin = stdin.as_fd();
    // What follows is not for us, so bytes are taken one by one.
    read_from(|byte| {
        loop {
            match rustix::io::read(stdin, &mut *byte) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => drop(poll(&mut [PollFd::new(&stdin, PollFlags::IN)], None)?),
                result => return Ok(result?),
            }
        }
    })
}

fn read_from(mut read: impl FnMut(&mut [u8; 1]) -> io::Result<usize>) -> io::Result<Vec<OsString>> {
    let (mut args, mut arg, mut total) = (Vec::new(), Vec::new(), 0);
    loop {
        let mut byte = [0];
        if read(&mut byte)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the arguments end within"));
        }
        total += 1;
        if total > limits::ARGUMENTS {
            return Err(io::Error::other("the arguments are too long"));
        }
        match byte {
            [0] if arg.is_empty() => break,
            [0] => args.push(OsString::from_vec(std::mem::take(&mut arg))),
            [byte] => arg.push(byte),
        }
    }
    Ok(args.split_off(1.min(args.len())))
}

/// The paths that `path` stands for, sorted: itself, where it has no wildcards or nothing is like it.
pub(super) fn expand(path: &OsStr) -> Vec<OsString> {
    let bytes = path.as_bytes();
    let mut found = vec![Vec::new()];
    for part in bytes.split_inclusive(|&b| b == b'/') {
        let (name, slash) = part.strip_suffix(b"/").map_or((part, &b""[..]), |name| (name, b"/"));
        let wild = name.iter().any(|byte| b"*?[".contains(byte));
        found = found
            .into_iter()
            .flat_map(|before| if wild { like(&before, name) } else { vec![[&before, name].concat()] })
            .collect();
        found.iter_mut().for_each(|path| path.extend_from_slice(slash));
    }
    // What only ends in what is there need not be there itself.
    let is_there = |path: &Vec<u8>| rustix::fs::statat(CWD, &path[..], AtFlags::SYMLINK_NOFOLLOW).is_ok();
    found.retain(|path| path == bytes || is_there(path));
    match found.is_empty() {
        true => vec![path.to_owned()],
        false => found.into_iter().map(OsString::from_vec).collect(),
    }
}

/// The names in the directory `before` that are like `pattern`, each behind that.
fn like(before: &[u8], pattern: &[u8]) -> Vec<Vec<u8>> {
    let pattern = Pattern::new(pattern);
    let dir = CString::new(if before.is_empty() { b"." } else { before }).unwrap_or_default();
    let mut names = Vec::new();
    if let Ok(dir) = fs::open_dir(CWD, &dir, true) {
        // What cannot be listed has nothing that is like it.
        let _ = fs::list(dir.as_fd(), |name, _| {
            if pattern.matches(name.to_bytes()) {
                names.push([before, name.to_bytes()].concat());
            }
        });
    }
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read() {
        let args = ["--backup-dir", "a b*", "", "/x"].map(OsString::from);
        let told = told(&args);
        let read = |bytes: &[u8]| {
            let mut bytes = bytes.iter();
            read_from(|into| {
                Ok(bytes.next().map_or(0, |&byte| {
                    into[0] = byte;
                    1
                }))
            })
        };
        assert_eq!(read(&[&told[..], b"behind"].concat()).unwrap(), ["--backup-dir", "a b*", ".", "/x"]);
        for cut in 0..told.len() - 1 {
            assert!(read(&told[..cut]).is_err(), "{cut}");
        }
        assert!(read(&vec![b'x'; limits::ARGUMENTS + 1]).is_err());
    }

    #[test]
    fn wildcards_are_expanded() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a/x", "b/x", "b/y", "c/.z"] {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let expand = |text: &str| {
            let found = expand(dir.path().join(text).as_os_str());
            let beneath = |path: OsString| path.to_str().unwrap()[dir.path().to_str().unwrap().len() + 1..].to_owned();
            found.into_iter().map(beneath).collect::<Vec<_>>().join(" ")
        };
        for (text, found) in [
            ("*/x", "a/x b/x"),
            ("[bc]/*", "b/x b/y c/.z"),
            ("?/", "a/ b/ c/"),
            ("plain", "plain"),
            ("*/none", "*/none"),
            ("none/*", "none/*"),
        ] {
            assert_eq!(expand(text), found, "{text}");
        }
    }
}
