//! What is said of which topic, and how much.

/// Levels by topic, as rsync's `--info` and `--debug` name them. 0 says nothing.
///
/// The default is what rsync says without options: what is left out for its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    /// Files that are kept under another name.
    pub backup: u8,
    /// Files that are copied from another tree at the destination.
    pub copy: u8,
    /// Deletions. They are also said where changes are.
    pub del: u8,
    /// That the file list is made.
    pub flist: u8,
    /// Other file systems that are left out.
    pub mount: u8,
    /// 1: names of what changes; 2: also of what does not.
    pub name: u8,
    /// What is left out because of its kind.
    pub nonreg: u8,
    /// 1: each file's progress; 2: that of the whole transfer.
    pub progress: u8,
    /// Files that are removed from the source.
    pub remove: u8,
    /// Files that options leave as they are.
    pub skip: u8,
    /// 1: sums at the end; 2: all numbers.
    pub stats: u8,
    /// Symbolic links that are not safe.
    pub symsafe: u8,
    /// `--debug=cmd`: how the other side is started.
    pub debug_cmd: u8,
    /// `--debug=del`: where deletion begins, if it is a pass of its own.
    pub debug_del: u8,
    /// `--debug=deltasum`: what of the content was found at the destination.
    pub debug_deltasum: u8,
    /// `--debug=filter`: what which rule does.
    pub debug_filter: u8,
    /// `--debug=flist`: whether files are copied whole.
    pub debug_flist: u8,
}

impl Default for Levels {
    fn default() -> Self {
        Levels { nonreg: 1, ..Levels::NONE }
    }
}

impl Levels {
    /// Says nothing.
    pub const NONE: Levels = Levels {
        backup: 0,
        copy: 0,
        del: 0,
        flist: 0,
        mount: 0,
        name: 0,
        nonreg: 0,
        progress: 0,
        remove: 0,
        skip: 0,
        stats: 0,
        symsafe: 0,
        debug_cmd: 0,
        debug_del: 0,
        debug_deltasum: 0,
        debug_filter: 0,
        debug_flist: 0,
    };
}
