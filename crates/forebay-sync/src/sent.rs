//! What the other side says of a directory and of the entries in it: the second origin of entries, beside directories of
//! a source on this machine.

use std::ffi::CString;
use std::sync::Arc;

use crate::extended::{self, Attributes, Long, Origin, Place};
use crate::fs::Stat;

/// One entry of a list.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) stat: Stat,
    /// What a symbolic link leads to.
    pub(crate) link: Option<CString>,
    /// With `-c`, the sum of a regular file.
    pub(crate) sum: Option<Box<[u8]>>,
    pub(crate) attributes: Arc<Attributes>,
    /// More attributes, whose values must be asked for.
    pub(crate) long: Arc<[Long]>,
}

impl Facts {
    /// The extended attributes. What is at `old` may have long values of them.
    pub(crate) fn origin(&self, old: Option<Place>) -> Origin {
        let (whole, long) = (Arc::clone(&self.attributes), Arc::clone(&self.long));
        Origin::Sent(extended::Sent { whole, long, old })
    }
}

/// Where in the lists that came a directory and its entries are. A list is kept as long as one of its directories is.
#[derive(Debug)]
pub(crate) struct Sent {
    /// The list that the entries are in, and for each name of the listing, where.
    pub(crate) list: Arc<[Facts]>,
    pub(crate) at: Vec<u32>,
    /// The directory itself. `None` for a root that is not transferred.
    pub(crate) own: Option<(Arc<[Facts]>, u32)>,
    /// The number that stands for it.
    pub(crate) index: Option<i32>,
}

impl Sent {
    /// The directory itself.
    pub(crate) fn own(&self) -> Option<(&Facts, Stat)> {
        let (list, at) = self.own.as_ref()?;
        let facts = list.get(*at as usize)?;
        Some((facts, Stat { index: self.index, ..facts.stat }))
    }

    /// What is at `at` in the listing.
    pub(crate) fn entry(&self, at: usize) -> Option<&Facts> {
        self.list.get(*self.at.get(at)? as usize)
    }

    /// Bytes in memory, beside the lists.
    pub(crate) fn weight(&self) -> usize {
        self.at.capacity() * size_of::<u32>()
    }
}
