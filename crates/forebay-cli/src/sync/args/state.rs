//! What the options say so far.

use std::ffi::OsString;

use forebay_sync::{DeleteWhen, Format, Options};

use super::Report;
use super::levels::Asked;
use super::wire::Wire;

/// A mapping of owners as it was given.
#[derive(Debug)]
pub(super) struct Map {
    /// `FROM:TO` pairs.
    pub(super) pairs: String,
    /// By `--chown`.
    pub(super) chown: bool,
}

/// The command line as far as it has been read.
#[derive(Debug)]
pub(super) struct State {
    pub(super) options: Options,
    pub(super) paths: Vec<OsString>,
    /// `-r`, `-d` and `-R`, or their negations, as far as they were given.
    pub(super) recursive: Option<bool>,
    pub(super) dirs: Option<bool>,
    /// `--old-dirs`, unless `-d` or its negation follows: `-r` without what is in directories.
    pub(super) old_dirs: bool,
    pub(super) relative: Option<bool>,
    /// When to delete, as far as that was said, and whether it was said in ways that exclude each other.
    pub(super) delete_when: Option<DeleteWhen>,
    pub(super) delete_twice: bool,
    /// How often `-F` was given.
    pub(super) f_count: u8,
    /// A text that is asked for instead of a transfer. What is wrong before it on the command line comes first.
    pub(super) print: Option<String>,
    /// `-V`, as often as it was given.
    pub(super) version: u8,
    /// `-v`
    pub(super) verbose: u8,
    pub(super) info: Asked,
    pub(super) debug: Asked,
    /// `-i`, as often as it was given.
    pub(super) itemize: u8,
    /// `--stats`
    pub(super) stats: bool,
    /// `-W` or `--no-whole-file`.
    pub(super) whole_file: Option<bool>,
    /// `--checksum-choice`: for transfers, and for `-c`.
    pub(super) checksums: Option<(OsString, OsString)>,
    /// `--progress`
    pub(super) progress: bool,
    /// `--list-only`
    pub(super) list_only: bool,
    /// `-s` and `--old-args`
    pub(super) secluded_args: Option<bool>,
    pub(super) old_args: Option<bool>,
    /// `-8`
    pub(super) eight_bit: bool,
    pub(super) report: Report,
    pub(super) log_file_format: Option<Format>,
    /// `-M--log-file` and `-M--log-file-format`, on one machine.
    pub(super) receivers_log: (Option<OsString>, Option<Format>),
    /// `--usermap` and the user of `--chown`, `--groupmap` and the group of `--chown`.
    pub(super) user_map: Option<Map>,
    pub(super) group_map: Option<Map>,
    pub(super) wire: Wire,
    pub(super) spill_dir: Option<OsString>,
    pub(super) spill_limit: Option<u64>,
}

impl Default for State {
    fn default() -> Self {
        State {
            options: Options::default(),
            paths: Vec::new(),
            print: None,
            version: 0,
            verbose: 0,
            info: Asked::info(),
            debug: Asked::debug(),
            itemize: 0,
            stats: false,
            whole_file: None,
            checksums: None,
            user_map: None,
            group_map: None,
            wire: Wire::default(),
            progress: false,
            list_only: false,
            secluded_args: None,
            old_args: None,
            recursive: None,
            dirs: None,
            old_dirs: false,
            relative: None,
            delete_when: None,
            delete_twice: false,
            f_count: 0,
            eight_bit: false,
            report: Report::default(),
            log_file_format: None,
            receivers_log: (None, None),
            spill_dir: None,
            spill_limit: None,
        }
    }
}
