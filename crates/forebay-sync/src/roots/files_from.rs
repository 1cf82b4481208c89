//! `--files-from`: names of what is to be copied, in a file.

use std::ffi::OsStr;
use std::io::{BufRead, Read};

use rustix::io::Errno;

use super::split_at_dot;
use crate::asked::collapsed;
use crate::error::Error;
use crate::fs::describe;
use crate::given;
use crate::options::Options;

/// Reads the file of `--files-from`: names, each with a NUL behind it. Empty lines are left out, and comments unless the names
/// go to `another` machine: rsync hands them on. A line ends at a NUL: as with rsync, what is behind that is another name to
/// another machine, and nothing here.
pub(crate) fn names_from(from: &OsStr, options: &Options, another: bool) -> Result<Vec<u8>, Error> {
    let nul = options.filters.nul;
    let mut refusal = String::new();
    let mut warn = |line: &str| refusal = format!("{line}\n");
    let opened = (from != "-").then(|| given::open_named(from, options.insecure_links, &mut warn)).transpose();
    let opened = opened.map_err(|error| {
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        Error::Usage(format!("{refusal}rsync: failed to open files-from file {}: {text}", from.to_string_lossy()))
    })?;
    let mut reader: Box<dyn BufRead> = match opened {
        None => Box::new(std::io::stdin().lock()),
        Some(file) => Box::new(std::io::BufReader::new(file)),
    };
    let mut names = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let end = if nul { 0 } else { b'\n' };
        // Longer names exist on no file system.
        let read = reader.by_ref().take(LONGEST_NAME).read_until(end, &mut line);
        let read = read.and_then(|read| match read as u64 == LONGEST_NAME && line.last() != Some(&end) {
            true => reader.skip_until(end).map(|_| read),
            false => Ok(read),
        });
        let read = match read {
            Ok(read) => read,
            // As with rsync, that is where the names end, or what ends the run.
            Err(_) if another => 0,
            Err(error) => return Err(unread(&error)),
        };
        if read == 0 {
            return Ok(names);
        }
        while line.last().is_some_and(|&b| b == end || (!nul && b == b'\r')) {
            line.pop();
        }
        let comment = !another && (line.starts_with(b"#") || line.starts_with(b";"));
        if line.is_empty() || comment {
            continue;
        }
        for name in line.split(|&b| b == 0).take(if another { usize::MAX } else { 1 }) {
            match name {
                b"" if another => continue,
                // As with rsync, that is the source itself.
                b"" => names.extend_from_slice(b"."),
                name => names.extend_from_slice(name),
            }
            names.push(0);
        }
    }
}

/// What is said of a file of names that has been opened and cannot be read.
fn unread(error: &std::io::Error) -> Error {
    let errno = Errno::from_io_error(error).unwrap_or(Errno::IO);
    let text = format!("rsync: [sender] safe_read failed to read 1 bytes: {}", describe(errno));
    Error::Remote { text, code: 12 }
}

/// Bytes of a line of `--files-from` at most.
const LONGEST_NAME: u64 = 64 << 10;

/// What is listed is beneath the source, also where it begins with a slash.
pub(super) fn without_root(name: &[u8]) -> &[u8] {
    &name[name.iter().take_while(|&&b| b == b'/').count()..]
}

/// The argument that the line `name` stands for: it cannot lead out of `source`.
pub(super) fn beneath(source: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    if name.is_empty() {
        return None;
    }
    let name = without_root(name);
    let (before, after) = split_at_dot(name).unwrap_or((b"", name));
    let dot: &[u8] = if after.starts_with(b"./") { b"./" } else { b"" };
    let slash: &[u8] = if after.ends_with(b"/") || after.ends_with(b"/.") { b"/" } else { b"" };
    let source = undivided(source);
    let before = match collapsed(before) {
        before if before.is_empty() => before,
        before => [b"/", &before[..]].concat(),
    };
    Some([&source[..], &before[..], b"/./", dot, &collapsed(after), slash].concat())
}

/// `source` without a slash at its end, and without `/./`, which divides names only.
fn undivided(source: &[u8]) -> Vec<u8> {
    let mut components = source.split(|&b| b == b'/');
    let mut out = components.next().unwrap_or_default().to_vec();
    for component in components.filter(|component| *component != b".") {
        out.push(b'/');
        out.extend_from_slice(component);
    }
    if out.ends_with(b"/") {
        out.pop();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_divided_and_the_source_is_not() {
        for (source, name, argument) in [
            ("src", "d/f", "src/./d/f"),
            ("src/", "/d/f", "src/./d/f"),
            ("src/./", "d/f", "src/./d/f"),
            ("src/.", "d/f", "src/./d/f"),
            ("a/./src/", "d/./f/", "a/src/d/./f/"),
            ("./a", "./d", "./a/././d"),
            (".", "d", "././d"),
            ("/", "d", "/./d"),
        ] {
            let got = beneath(source.as_bytes(), name.as_bytes()).unwrap();
            assert_eq!(String::from_utf8_lossy(&got), argument, "{source} {name}");
        }
        assert!(beneath(b"src", b"").is_none());
    }
}
