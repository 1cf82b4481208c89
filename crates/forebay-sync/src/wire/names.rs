//! `--files-from` between two machines: the names go from where their file is to the side that sends. Section 3.3 of the
//! protocol.

use std::ffi::OsStr;
use std::io::Read;

use super::error::WireError;
use super::limits;
use super::mux::{Messages, MuxReader, Outgoing};
use super::number::Get;
use crate::error::Error;
use crate::options::Options;
use crate::roots;

/// The name of the file of names, where they come over the wire.
pub(super) const STREAM: &str = "-";

/// The names in the file `from`, each with a NUL behind it.
pub(super) fn read(from: &OsStr, options: &Options) -> Result<Vec<u8>, Error> {
    roots::names_from(from, options, true)
}

/// Sends `names`. Before protocol 31 they stand in no frame.
pub(super) fn post(names: &[u8], protocol: u32, outgoing: &Outgoing) {
    outgoing.post(&[names, &[0]].concat(), protocol < 31);
}

/// Takes the names that the other side sends.
pub(super) fn take<R: Read, M: Messages>(from: &mut MuxReader<R, M>, protocol: u32) -> Result<Vec<u8>, WireError> {
    if protocol < 31 { take_from(&mut from.from) } else { take_from(from) }
}

fn take_from(from: &mut impl Read) -> Result<Vec<u8>, WireError> {
    let mut names = Vec::new();
    loop {
        match from.byte()? {
            // Behind the last name, or where there is none.
            0 if names.last().is_none_or(|&last| last == 0) => return Ok(names),
            byte => names.push(byte),
        }
        if names.len() > limits::NAMES {
            return Err(WireError::protocol("too many names of files", names.len() as i64));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_with_an_empty_one() {
        for (bytes, names) in [(&b"a\0b c\0\0x"[..], &b"a\0b c\0"[..]), (b"\0x", b"")] {
            let mut from = bytes;
            assert_eq!((take_from(&mut from).unwrap(), from), (names.to_vec(), &b"x"[..]));
        }
        for cut in [&b""[..], b"a", b"a\0"] {
            assert!(take_from(&mut { cut }).is_err());
        }
    }
}
