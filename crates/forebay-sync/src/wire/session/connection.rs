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
    /// `-v`, as often as the other side is told it. What is said on this side is a matter of [`Options`](crate::Options).
    pub verbose: u8,
    /// What else the other side is told: `-M`, and options as they were given that nothing here depends on.
    pub remote_options: Vec<OsString>,
}
