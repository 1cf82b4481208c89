//! What is to be written: where the content of one file comes from, and how it gets there.

use std::os::fd::OwnedFd;

use crate::fs::Stat;

/// Where the content of one file comes from, and how it is written.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What is copied, open for reading.
    pub(crate) source: OwnedFd,
    /// Its size in bytes, as far as that matters, and its device.
    pub(crate) size: u64,
    pub(crate) dev: u64,
    /// What its mode is that of where modes are not preserved: what has the name, or has it in another tree.
    pub(crate) like: Option<Stat>,
    pub(crate) way: Way,
    /// The bytes up to here are in the file already (`--append`).
    pub(crate) from: u64,
    /// What blocks may come from, open for reading, where the destination has something else than the file itself.
    pub(crate) basis: Option<OwnedFd>,
    /// It is copied whole, whatever the destination has.
    pub(crate) whole: bool,
    /// It goes to a device.
    pub(crate) onto_device: bool,
    /// It comes from the destination's side, which counts for nothing in the statistics.
    pub(crate) local: bool,
    /// It is not tried once more if it cannot be read.
    pub(crate) last: bool,
}

impl Plan {
    /// All `size` bytes of `source`, which is on the device `dev`.
    pub(crate) fn whole(source: OwnedFd, (size, dev): (u64, u64), like: Option<Stat>, way: Way) -> Self {
        let (from, basis, whole) = (0, None, true);
        Plan { source, size, dev, like, way, from, basis, whole, onto_device: false, local: false, last: false }
    }
}

/// How a file gets its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Under a temporary name.
    Aside,
    /// Under its own.
    InPlace,
    /// The same, once more: what was there before has its backup.
    InPlaceAgain,
}

impl Way {
    pub(crate) fn new(in_place: bool, again: bool) -> Self {
        match (in_place, again) {
            (false, _) => Way::Aside,
            (true, false) => Way::InPlace,
            (true, true) => Way::InPlaceAgain,
        }
    }
}
