//! What a mirror is asked to do.

use std::ffi::OsString;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};

use forebay::{Budget, CancelToken, SegmentStore};

use crate::chmod::ModeRules;
use crate::credentials::Credentials;
use crate::filter::Filters;
use crate::format::Format;
use crate::idmap::IdMap;
use crate::levels::Levels;
use crate::select::{DeleteWhen, Deletion, Select};
use crate::text::Escape;
use crate::wire::Checksum;

/// What to transfer, what to preserve and what to say. The default transfers single files and preserves nothing, as
/// rsync without options.
#[derive(Debug)]
pub struct Options {
    /// `-r`: descend into directories.
    pub recursive: bool,
    /// `-l`: copy symbolic links as such.
    pub links: bool,
    /// `-p`: preserve modes.
    pub perms: bool,
    /// `-t`: preserve modification times.
    pub times: bool,
    /// `-g`: preserve groups, as far as the process may.
    pub group: bool,
    /// `-o`: preserve owners, if the process is the super-user.
    pub owner: bool,
    /// `--devices`: copy device nodes, if the process is the super-user.
    pub devices: bool,
    /// `--copy-devices`: a device of the source counts as a file of what it holds.
    pub copy_devices: bool,
    /// `--write-devices`: where the source has a file and the destination a device, that is written to; goes with `inplace`.
    pub write_devices: bool,
    /// `--specials`: copy FIFOs and sockets.
    pub specials: bool,
    /// `-E`: without `perms`, preserve whether existing files are executable.
    pub executability: bool,
    /// `-O`: leave directories out of `times`.
    pub omit_dir_times: bool,
    /// `-J`: leave symbolic links out of `times`.
    pub omit_link_times: bool,
    /// `-U`: preserve the access times of files.
    pub atimes: bool,
    /// `--open-noatime`: read files without changing their access times, where that is allowed.
    pub open_noatime: bool,
    /// `--super` and `--no-super`: try what only the super-user may, or do not. `None`: as who we are says.
    pub super_user: Option<bool>,
    /// `--fake-super`: in the source, what only the super-user may is read from extended attributes.
    pub fake_source: bool,
    /// `--fake-super`: at the destination, what only the super-user may is kept in extended attributes.
    pub fake_destination: bool,
    /// `--copy-as`: as whom files are read and written on this side. Default: who runs the program.
    pub copy_as: Option<Credentials>,
    /// `--chmod`: the source's modes count as if they were changed so.
    pub chmod: ModeRules,
    /// `--usermap`, and the user of `--chown`.
    pub user_map: IdMap,
    /// `--groupmap`, and the group of `--chown`.
    pub group_map: IdMap,
    /// `--numeric-ids`: owners are numbers, also on the wire.
    pub numeric_ids: bool,
    /// `-L`: copy what symbolic links lead to.
    pub copy_links: bool,
    /// `-k`: copy what symbolic links to directories lead to.
    pub copy_dirlinks: bool,
    /// `--copy-unsafe-links`: copy what symbolic links lead to that point out of the tree.
    pub copy_unsafe_links: bool,
    /// `--safe-links`: leave out symbolic links that point out of the tree.
    pub safe_links: bool,
    /// `--munge-links`: give links of the source that were made unusable their targets back.
    pub munge_links: bool,
    /// `--insecure-links`: links on the way to what the options name, and to the destination, are followed whoever owns them.
    /// Default: root's, and our own.
    pub insecure_links: bool,
    /// `-K`: a symbolic link of the destination to a directory in the tree counts as one, where the source has one.
    pub keep_dirlinks: bool,
    /// `-A`: preserve ACLs; goes with `perms`.
    pub acls: bool,
    /// `-X`: preserve extended attributes.
    pub xattrs: bool,
    /// `-XX`: also those in which `--fake-super` keeps something.
    pub xattrs_all: bool,
    /// `-H`: what is one file under several names in the source is one at the destination.
    pub hard_links: bool,
    /// `-n`: change nothing, say what would be done.
    pub dry_run: bool,
    /// `-u`: leave alone what is newer at the destination.
    pub update: bool,
    /// `-c`: compare contents where sizes are equal, whatever the times say.
    pub checksum: bool,
    /// `--delete`: remove what the source does not have from the directories that are transferred.
    pub delete: bool,
    /// `--delete-before` and its like, `--max-delete`, `--ignore-errors`, `--force`.
    pub deletion: Deletion,
    /// `--existing` and its like, `-I`, `--size-only`, `-@`, `--max-size`, `-x`.
    pub select: Select,
    /// `--files-from`: a file, or `-` for standard input, whose lines name what takes part of the one source.
    pub files_from: Option<OsString>,
    /// `--remove-source-files`: what has arrived goes from the source, but for directories.
    pub remove_source_files: bool,
    /// `--remove-sent-files`: of that, only what has been made or transferred, and neither devices nor special files.
    pub only_sent: bool,
    // How content gets to its name.
    /// `-b`: what is replaced or deleted gets another name instead.
    pub backup: bool,
    /// `--backup-dir`: where that name is, relative to the destination. Default: beside the old one.
    pub backup_dir: Option<OsString>,
    /// `--suffix`: what that name has behind the old one. Default: `~`, or nothing with a `backup_dir`.
    pub suffix: Option<OsString>,
    /// `--inplace`: existing files are written into, and new ones under their final name.
    pub inplace: bool,
    /// `--append`, `--append-verify`: existing files that are shorter get what they lack, in place.
    pub append: Option<Append>,
    /// `--partial`: what could not be finished takes the name all the same.
    pub partial: bool,
    /// `--partial-dir`: or is kept in this directory, relative to its own. Implies `partial`.
    pub partial_dir: Option<OsString>,
    /// `--delay-updates`: what is finished waits in `partial_dir` (default: `.~tmp~`) until everything else is done.
    pub delay_updates: bool,
    /// `-T`: the directory to write in, relative to the destination. Default: the one that the file is for.
    pub temp_dir: Option<OsString>,
    /// `--compare-dest`, `--copy-dest`, `--link-dest`: other trees in which unchanged files may be found.
    pub alternates: Alternates,
    /// `-W`: files are copied whole. Else what the destination has of a file is not written, or copied from there.
    pub whole_file: bool,
    /// `-B`: the length of the blocks in which that is looked for, in bytes. Default: the square root of the file's size.
    pub block_size: Option<NonZeroU32>,
    /// `-y`: where the destination lacks a file, blocks come from one that is like it; twice: also in other trees.
    pub fuzzy: u8,
    /// `-S`: runs of zeros become holes.
    pub sparse: bool,
    /// `--preallocate`: room is reserved for each file before it is written.
    pub preallocate: bool,
    /// `--fsync`: each file is on the disk before it takes its name.
    pub fsync: bool,
    /// `--reflink`: whether files may share their bytes with the source.
    pub reflink: Reflink,
    /// `--bwlimit`: bytes that are written in a second at most. What shares its bytes with the source is not written.
    pub bwlimit: Option<NonZeroU64>,
    /// `-i`: a line of codes for each change.
    pub itemize: bool,
    /// `-ii`: codes also for what does not change.
    pub itemize_all: bool,
    /// `-v`, `--info`, `--debug`: what is said of which topic.
    pub levels: Levels,
    /// `--list-only`: list the sources and change nothing. Sizes are written as [`human`](crate::human) writes them at
    /// this level.
    pub list_only: Option<u8>,
    /// `--out-format`: how a change is told, in place of codes and names.
    pub format: Option<Format>,
    /// `--log-file-format`: how a change is told to [`Log::file`](crate::Log::file). Without it, that is told nothing.
    pub log_format: Option<Format>,
    /// `-M--log-file` on one machine: that log is the one of the side that receives, which says nothing for the side that
    /// sends, and of no change in a dry run.
    pub log_receives: bool,
    /// `--checksum-choice`: the sums that `%C` tells on one machine, of what is transferred and with `-c`. Default: XXH128.
    pub sums: (Checksum, Checksum),
    /// On one machine, the sources are listed once more before anything is done, and [`Log::listing`](crate::Log::listing)
    /// is told of it.
    pub list_first: bool,
    /// `--no-inc-recursive`: everything is listed before anything else happens. What that changes here is how often names count
    /// that are given twice.
    pub one_list: bool,
    /// `--json`: the text is an object a line, for changes and messages.
    pub json: bool,
    /// `-q`: nothing but errors.
    pub quiet: bool,
    /// `--include` and `--exclude`, in the order given.
    pub filters: Filters,
    /// How names are written into the log.
    pub escape: Escape,
    /// Threads that compare and copy. Default: one per core.
    pub workers: Option<NonZeroUsize>,
    /// Most items that are queued or worked on at a time. Default: what the limit on open files allows, at most 1,024.
    pub window: Option<NonZeroUsize>,
    /// The memory that pays for what waits. Default: 64 MiB.
    pub budget: Budget,
    /// Where reports wait that do not fit into the budget. Without it, a log that nobody reads stalls the copy.
    pub spill: Option<SegmentStore>,
    /// Ends the mirror early. Nothing half written stays behind.
    pub cancel: CancelToken,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            recursive: false,
            links: false,
            perms: false,
            times: false,
            group: false,
            owner: false,
            devices: false,
            copy_devices: false,
            write_devices: false,
            specials: false,
            executability: false,
            omit_dir_times: false,
            omit_link_times: false,
            atimes: false,
            open_noatime: false,
            super_user: None,
            fake_source: false,
            fake_destination: false,
            copy_as: None,
            chmod: ModeRules::default(),
            user_map: IdMap::default(),
            group_map: IdMap::default(),
            numeric_ids: false,
            copy_links: false,
            copy_dirlinks: false,
            copy_unsafe_links: false,
            safe_links: false,
            munge_links: false,
            keep_dirlinks: false,
            insecure_links: false,
            acls: false,
            xattrs: false,
            xattrs_all: false,
            hard_links: false,
            dry_run: false,
            update: false,
            checksum: false,
            delete: false,
            deletion: Deletion::default(),
            select: Select::default(),
            files_from: None,
            remove_source_files: false,
            only_sent: false,
            backup: false,
            backup_dir: None,
            suffix: None,
            inplace: false,
            append: None,
            partial: false,
            partial_dir: None,
            delay_updates: false,
            temp_dir: None,
            alternates: Alternates::default(),
            whole_file: true,
            block_size: None,
            fuzzy: 0,
            sparse: false,
            preallocate: false,
            fsync: false,
            reflink: Reflink::default(),
            bwlimit: None,
            itemize: false,
            itemize_all: false,
            levels: Levels::default(),
            list_only: None,
            format: None,
            log_format: None,
            log_receives: false,
            sums: (Checksum::Xxh128, Checksum::Xxh128),
            list_first: false,
            one_list: false,
            json: false,
            quiet: false,
            filters: Filters::default(),
            escape: Escape::default(),
            workers: None,
            window: None,
            budget: Budget::modest(64 << 20),
            spill: None,
            cancel: CancelToken::new(),
        }
    }
}

impl Options {
    /// Whether directories get their times. Backups beside the originals will keep changing them.
    pub(crate) fn dir_times(&self) -> bool {
        self.times && !self.omit_dir_times && !(self.backup && self.backup_dir.is_none())
    }

    /// Whether everything is listed before anything else happens.
    pub(crate) fn lists_at_once(&self) -> bool {
        let deletes = self.delete && matches!(self.deletion.when, DeleteWhen::Before | DeleteWhen::After);
        self.one_list || !self.recursive || deletes || self.delay_updates || self.select.prune_empty_dirs
    }

    /// Whether changes are told at all.
    pub(crate) fn says_changes(&self) -> bool {
        self.itemize || self.format.is_some() || self.levels.name > 0
    }

    /// Whether the lines that tell changes have codes in them. What does not change can only be told by those.
    pub(crate) fn has_codes(&self) -> bool {
        self.format.as_ref().map_or(self.itemize, |format| format.has(b"i"))
    }

    /// Whether more is said of an entry than that it changes: that it is sent again, say.
    pub(crate) fn says_more(&self) -> bool {
        self.levels.name > 0 || self.has_codes()
    }

    /// Whether some symbolic links stand for what they lead to.
    pub(crate) fn follows_links(&self) -> bool {
        self.copy_links || self.copy_dirlinks || self.copy_unsafe_links
    }

    /// Whether what is beneath a source may be reached through links: with `-R`, they may be meant on the way.
    pub(crate) fn leads_through_links(&self) -> bool {
        self.follows_links() || self.select.relative
    }

    /// Whether what has the name of a file that has changed is read.
    pub(crate) fn reads_old(&self) -> bool {
        !self.dry_run && (!self.whole_file || self.append.is_some())
    }

    /// Whether files are written under their final name.
    pub(crate) fn writes_in_place(&self) -> bool {
        self.inplace || self.append.is_some()
    }
}

/// What an append believes of the bytes that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Append {
    /// They are the source's.
    Trust,
    /// They are compared first, and a file in which they differ is written anew.
    Verify,
}

/// Whether files may share their bytes with the source, on file systems that can do so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reflink {
    /// Where it is possible.
    #[default]
    Auto,
    /// Always: a file for which it is not possible fails.
    Always,
    /// Bytes are written.
    Never,
}

/// Other trees that may hold unchanged files.
#[derive(Clone, Debug, Default)]
pub struct Alternates {
    /// What is done with an unchanged file that is found there.
    pub kind: AlternateKind,
    /// The trees, relative to the destination, best first.
    pub dirs: Vec<OsString>,
}

/// What is done with an unchanged file that another tree has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AlternateKind {
    /// `--compare-dest`: the destination does without it.
    #[default]
    Compare,
    /// `--copy-dest`: it is copied from there.
    Copy,
    /// `--link-dest`: it gets another name, at the destination.
    Link,
}
