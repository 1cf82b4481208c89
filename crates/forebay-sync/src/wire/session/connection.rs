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
    /// `-C`: what it stands for is behind all other rules, on both sides.
    pub cvs_exclude: bool,
    /// `--checksum-seed`: what a server puts into the sums. 0: something that is another each time.
    pub checksum_seed: i32,
    // What the other side is told, in the words that were given here. What is said and done on this side is a matter of [`Options`](crate::Options).
    /// `-v`, as often as it was given.
    pub verbose: u8,
    /// `--info`: topics in capitals, and the level that was asked for each.
    pub info: Vec<(&'static str, u8)>,
    /// `-z`
    pub compress: bool,
    /// `--compress-choice`
    pub compress_choice: Option<OsString>,
    /// `--checksum-choice`
    pub checksum_choice: Option<OsString>,
    /// `--remove-sent-files` rather than `--remove-source-files`.
    pub sent_files: bool,
    /// `--list-only`: it was said, and does not follow from there being no destination.
    pub list_only: bool,
    /// `--qsort`
    pub qsort: bool,
    /// `-n`, also where it is only listed what there is.
    pub dry_run: bool,
    /// `--stats`
    pub stats: bool,
    /// `--stderr=all` is `Some(true)`, `--stderr=client` is `Some(false)`.
    pub messages_to_stderr: Option<bool>,
    /// `--delete-during`, where it is not only what `--delete` comes to.
    pub delete_during: bool,
    /// `-@`, if it was given.
    pub modify_window: Option<i32>,
    /// `--max-alloc`, if it is not what is usual.
    pub max_alloc: Option<OsString>,
    /// `--skip-compress`
    pub skip_compress: Option<OsString>,
    /// `-M`
    pub remote_options: Vec<OsString>,
}
