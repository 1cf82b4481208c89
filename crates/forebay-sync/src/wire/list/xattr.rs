//! Extended attributes in file lists: section 14 of the protocol.
//!
//! Values of more than 32 bytes are told by their MD5 alone; who lacks one asks for it with the entry's request.

use std::collections::HashMap;
use std::ffi::CString;
use std::io::Read;
use std::sync::Arc;

use super::acl::is_acl;
use crate::extended::{Attributes, Long, md5};
use crate::wire::error::WireError;
use crate::wire::limits;
use crate::wire::number::{Get, Put};

/// The longest value that stands in a list itself.
const INLINE: usize = 32;

/// What came as the attributes of an entry.
#[derive(Clone, Debug, Default)]
pub(super) struct Set {
    pub(super) whole: Arc<Attributes>,
    pub(super) long: Arc<[Long]>,
}

/// Sets that were sent, by their number.
#[derive(Debug, Default)]
pub(super) struct Sets {
    sets: Vec<Set>,
    numbers: HashMap<Arc<Attributes>, i32>,
}

impl Sets {
    /// Writes `attributes`, but for ACLs where those are told in their own way.
    pub(super) fn write(&mut self, attributes: &Arc<Attributes>, acls: bool, out: &mut Vec<u8>) {
        if let Some(number) = self.numbers.get(attributes) {
            return out.put_varint(number + 1);
        }
        let number = i32::try_from(self.numbers.len()).unwrap_or(i32::MAX - 1);
        self.numbers.insert(Arc::clone(attributes), number);
        out.put_varint(0);
        let told = || attributes.iter().filter(|(name, _)| !(acls && is_acl(name)));
        out.put_varint(told().count() as i32);
        for (name, value) in told() {
            let name = name.as_bytes_with_nul();
            out.put_varint(name.len() as i32);
            out.put_varint(value.len() as i32);
            out.put(name);
            match value.len() {
                ..=INLINE => out.put(value),
                _ => out.put(&md5(value)),
            }
        }
    }

    /// Reads attributes, but for ACLs where those are told in their own way.
    pub(super) fn read(&mut self, from: &mut impl Read, acls: bool) -> Result<Set, WireError> {
        let number = from.varuint()?;
        if let Some(before) = number.checked_sub(1) {
            let set = self.sets.get(before as usize);
            return set.cloned().ok_or(WireError::protocol("a set of attributes that was not sent", number));
        }
        let count = from.varuint()?;
        if count > limits::XATTRS {
            return Err(WireError::protocol("too many attributes", count));
        }
        let (mut whole, mut long, mut bytes) = (Vec::new(), Vec::new(), 0);
        for number in 1..=count {
            let name_len = from.varuint()? as usize;
            let len = from.varuint()?;
            bytes += len as usize;
            if bytes > limits::XATTR_VALUES {
                return Err(WireError::protocol("the values of attributes are too long", len));
            }
            let name = from.exactly(name_len, limits::XATTR_NAME, "the name of an attribute is too long")?;
            let name = CString::from_vec_with_nul(name)
                .ok()
                .filter(|name| !name.is_empty())
                .ok_or(WireError::protocol("the name of an attribute is none", name_len as i64))?;
            // Stock rsync tells them twice if rules say what is copied.
            let twice = acls && is_acl(&name);
            match len as usize {
                short @ ..=INLINE => {
                    let value = from.exactly(short, INLINE, "")?;
                    whole.extend((!twice).then_some((name, value)));
                }
                _ => {
                    let one = Long { number, name, len, sum: from.array()?, value: Arc::default() };
                    long.extend((!twice).then_some(one));
                }
            }
        }
        whole.sort();
        let set = Set { whole: Arc::new(whole), long: long.into() };
        self.sets.push(set.clone());
        Ok(set)
    }
}
