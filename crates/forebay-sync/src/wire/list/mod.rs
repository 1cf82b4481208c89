//! File lists: sections 6 to 8 and 14 of the protocol.

pub(crate) mod entry;
