//! Values of extended attributes that are too long for a list: they are asked for with the item of their entry, by number, and
//! come with its answer. Section 14 of the protocol.

use std::ffi::CString;
use std::io::Read;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use rustix::io::Errno;

use crate::extended::{self, Long};
use crate::fs;
use crate::outcome::Outcome;
use crate::shared::Shared;
use crate::wire::error::WireError;
use crate::wire::limits;
use crate::wire::number::{Get, Put};

/// What an entry lacks.
#[derive(Debug)]
pub(crate) struct Lacking {
    /// Where the entry is, from the root of the transfer on.
    path: Vec<u8>,
    long: Vec<Long>,
    /// Which of them are asked for with it.
    asked: Vec<Long>,
}

impl Lacking {
    /// `None` if nothing is lacking.
    pub(crate) fn of(path: &[u8], long: Vec<Long>) -> Option<Box<Self>> {
        (!long.is_empty()).then(|| Lacking { path: path.to_vec(), long, asked: Vec::new() }.into())
    }

    /// Whether everything has come.
    pub(crate) fn is_complete(&self) -> bool {
        self.long.iter().all(|long| long.value.come.get().is_some())
    }

    /// Gives the entry, which is there, what has come.
    pub(crate) fn add(&self, shared: &Shared<'_>, out: &mut Outcome) {
        let split = self.path.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
        let (rel, name) = self.path.split_at(split);
        let opened = shared.root.fd.as_ref().ok_or(Errno::NOENT).and_then(|root| {
            let rel = rel.strip_suffix(b"/").unwrap_or(rel);
            fs::open_beneath(root.as_fd(), rel, shared.options.keep_dirlinks)
        });
        let name = CString::new(name).unwrap_or_default();
        let renamed = shared.renamed(rel).unwrap_or(&name);
        let there = opened.as_ref().map_err(|errno| *errno).map(|dir| shared.attributes_at(dir.as_fd(), renamed));
        extended::add(shared, &self.long, there, || shared.target_path(rel, renamed.to_bytes()), out);
    }
}

/// Writes the numbers of what is `lacking` and was not asked for before, each less the one before, and their end.
pub(super) fn ask(lacking: Option<&mut Lacking>, out: &mut Vec<u8>) {
    let mut before = 0;
    let Some(Lacking { long, asked, .. }) = lacking else { return out.put_byte(0) };
    *asked = long.iter().filter(|long| !long.value.asked.swap(true, Ordering::Relaxed)).cloned().collect();
    for long in asked {
        out.put_varint(long.number.saturating_sub(before).cast_signed());
        before = long.number;
    }
    out.put_byte(0);
}

/// Reads the values of what was asked for of what is `lacking`. What has changed meanwhile is taken as it is now.
pub(super) fn read(from: &mut impl Read, lacking: Option<&Lacking>) -> Result<(), WireError> {
    let (mut before, mut bytes) = (0, 0);
    for long in lacking.map_or(&[][..], |lacking| &lacking.asked) {
        let number = from.varuint()?;
        if number != long.number.saturating_sub(before) {
            return Err(WireError::protocol("the value of an attribute that was not asked for", number));
        }
        before = long.number;
        let len = from.varuint()? as usize;
        bytes += len;
        if bytes > limits::XATTR_VALUES {
            return Err(WireError::protocol("the values of attributes are too long", len as i64));
        }
        // Asked for once, it comes once.
        let _ = long.value.come.set(from.exactly(len, limits::XATTR_VALUES, "")?);
    }
    match from.varuint()? {
        0 => Ok(()),
        more => Err(WireError::protocol("the value of an attribute that was not asked for", more)),
    }
}
