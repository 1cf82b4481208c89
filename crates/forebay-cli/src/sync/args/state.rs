//! What the options say so far.

use std::ffi::OsString;

use forebay_sync::Options;

/// The command line as far as it has been read.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) options: Options,
    pub(super) paths: Vec<OsString>,
    pub(super) help: bool,
    /// `-r`, `-d` and `-R`, or their negations, as far as they were given.
    pub(super) recursive: Option<bool>,
    pub(super) dirs: Option<bool>,
    pub(super) relative: Option<bool>,
    /// How often `-F` was given.
    pub(super) f_count: u8,
    /// `-C`
    pub(super) cvs_exclude: bool,
    /// `--stats`
    pub(super) stats: bool,
    /// `--info=progress2`
    pub(super) progress: bool,
    /// `-W` or `--no-whole-file`.
    pub(super) whole_file: Option<bool>,
    /// `--checksum-choice`: for transfers, and for `-c`.
    pub(super) checksums: Option<(OsString, OsString)>,
    pub(super) spill_dir: Option<OsString>,
    pub(super) spill_limit: Option<u64>,
}
