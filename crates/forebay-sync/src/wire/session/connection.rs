//! `Connection`: how the other side is reached.

use std::ffi::OsString;
use std::time::Duration;

use crate::wire::handshake::Offer;
use crate::wire::shell::RemoteShell;

/// How the other side is reached, and what may be agreed on with it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Connection {
    /// How it is started.
    pub shell: RemoteShell,
    /// What is offered to it.
    pub offer: Offer,
    /// `--timeout`: how long nothing may come. Default: for ever.
    pub timeout: Option<Duration>,
    /// `--files-from=:FILE`: the names are in this file of the other side.
    pub names_there: Option<OsString>,
    /// `--usermap` and `--groupmap`, where the other side receives: it reads them.
    pub owner_maps: [Option<OsString>; 2],
    /// `-M`: what else the other side is told.
    pub remote_options: Vec<OsString>,
}
