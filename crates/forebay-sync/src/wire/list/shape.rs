//! `Shape`: which fields the entries of a session have. Both sides must come to the same.

use crate::options::Options;
use crate::wire::terms::{Compat, Terms};

/// Which fields the entries of a session have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) protocol: u32,
    /// Flags are varints; else one or two bytes.
    pub(crate) varint: bool,
    /// The end of a list tells whether there was an error.
    pub(crate) safe: bool,
    /// Names of owners stand beside the first entry that has them; else in a list behind all.
    pub(crate) inline_names: bool,
    /// There are such lists.
    pub(crate) id_lists: bool,
    /// They end with a name for the id 0.
    pub(crate) id0: bool,
    pub(crate) owner: bool,
    pub(crate) group: bool,
    pub(crate) links: bool,
    pub(crate) devices: bool,
    pub(crate) specials: bool,
    pub(crate) hard_links: bool,
    pub(crate) atimes: bool,
    pub(crate) acls: bool,
    pub(crate) xattrs: bool,
    /// What was asked for and is not there has an entry (`--delete-missing-args`).
    pub(crate) missing: bool,
    /// Bytes of the sum of a regular file (`-c`); 0: there is none.
    pub(crate) sum: usize,
}

impl Shape {
    pub(crate) fn new(options: &Options, terms: &Terms) -> Self {
        let (compat, incremental) = (terms.compat, terms.incremental());
        Shape {
            protocol: terms.protocol,
            varint: compat.has(Compat::VARINT_FLIST_FLAGS),
            safe: compat.has(Compat::SAFE_FLIST) || terms.protocol >= 31,
            inline_names: incremental && !options.numeric_ids,
            id_lists: !incremental && !options.numeric_ids,
            id0: compat.has(Compat::ID0_NAMES),
            owner: options.owner,
            group: options.group,
            links: options.links,
            devices: options.devices,
            specials: options.specials,
            hard_links: options.hard_links,
            atimes: options.atimes,
            acls: options.acls,
            xattrs: options.xattrs,
            missing: options.select.delete_missing,
            sum: if options.checksum { terms.files.len() } else { 0 },
        }
    }

    /// Whether the end of a list says what could not be listed.
    pub(crate) fn tells_errors(&self) -> bool {
        self.varint || self.safe
    }
}
