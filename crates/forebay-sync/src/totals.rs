//! What a mirror has done, as numbers: one set per report of a worker, summed in delivery order.

use std::ops::AddAssign;

macro_rules! numbers {
    ($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $field:ident),* $(,)? }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $name { $($(#[$inner])* pub $field: u64),* }

        impl $name {
            /// Every field, in order of declaration.
            pub(crate) fn each(&self) -> [u64; $name::FIELDS] { [$(self.$field),*] }
            /// Every field with its name, in order of declaration.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$(stringify!($field)),*].into_iter().zip(self.each())
            }

            /// The reverse of `each`.
            pub(crate) fn from_each(values: [u64; $name::FIELDS]) -> Self {
                let [$($field),*] = values;
                $name { $($field),* }
            }
            pub(crate) const FIELDS: usize = [$(stringify!($field)),*].len();
        }

        impl AddAssign<&$name> for $name {
            fn add_assign(&mut self, other: &$name) { $(self.$field += other.$field;)* }
        }
    };
}

numbers! {
    /// Counts and bytes. Every `_bytes` is in bytes, everything else a number of entries.
    Totals {
        /// Regular files in the list.
        files, /// Directories in the list.
        dirs, /// Symbolic links in the list.
        links, /// Device nodes in the list.
        devices, /// FIFOs and sockets in the list.
        specials,
        /// Regular files created.
        created_files, /// Directories created.
        created_dirs, /// Symbolic links created.
        created_links, /// Device nodes created.
        created_devices, /// FIFOs and sockets created.
        created_specials,
        /// Regular files deleted.
        deleted_files, /// Directories deleted.
        deleted_dirs, /// Symbolic links deleted.
        deleted_links, /// Device nodes deleted.
        deleted_devices, /// FIFOs and sockets deleted.
        deleted_specials,
        /// Regular files whose content was copied (or would have been, in a dry run).
        transferred,
        /// Sizes of all regular files and symbolic links in the list.
        size_bytes,
        /// Sizes of the regular files that were transferred.
        transferred_bytes,
        /// Bytes of file content that were copied, by whatever method.
        literal_bytes,
        /// Bytes of file content that the destination had and that were copied or left there.
        matched_bytes,
        /// Blocks found there.
        matches,
        /// Windows of a file whose weak sum was that of a block there.
        hash_hits, /// Those of them that were no such block.
        false_alarms,
        /// Files of which blocks were looked for in what the destination had.
        deltas, /// Threads that did so, summed over these files.
        delta_workers,
        /// Bytes of the names in the list.
        name_bytes,
        /// Files copied by sharing extents.
        reflinked, /// Files copied by `copy_file_range`.
        ranged, /// Files copied by reading and writing.
        streamed,
        /// Source entries that disappeared meanwhile.
        vanished,
        /// Entries that could not be read, made or deleted.
        failed,
    }
}

/// How far the walk is ahead of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ahead {
    /// Entries that the walk has found so far.
    pub found: u64,
    /// It has found all.
    pub complete: bool,
    /// What a connection has carried, where progress is asked for.
    pub carried: Option<Carried>,
}

/// How far what files hold has come over a connection. Whoever asks for it is far ahead of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Carried {
    /// Files whose content has come.
    pub files: u64,
    /// Their sizes.
    pub bytes: u64,
    /// Entries of the list that are behind the last of them, itself among them.
    pub behind: u64,
    /// Sizes of everything that is in the list so far.
    pub size_bytes: u64,
}

/// The kinds of entries that rsync's statistics tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kinds {
    File,
    Dir,
    Link,
    Device,
    Special,
}

impl Totals {
    /// Entries in the list.
    pub fn listed(&self) -> u64 {
        self.files + self.dirs + self.links + self.devices + self.specials
    }

    /// Entries created.
    pub fn created(&self) -> u64 {
        self.created_files + self.created_dirs + self.created_links + self.created_devices + self.created_specials
    }

    /// Entries deleted.
    pub fn deleted(&self) -> u64 {
        self.deleted_files + self.deleted_dirs + self.deleted_links + self.deleted_devices + self.deleted_specials
    }

    pub(crate) fn count_listed(&mut self, kind: Kinds) {
        *match kind {
            Kinds::File => &mut self.files,
            Kinds::Dir => &mut self.dirs,
            Kinds::Link => &mut self.links,
            Kinds::Device => &mut self.devices,
            Kinds::Special => &mut self.specials,
        } += 1;
    }

    pub(crate) fn count_created(&mut self, kind: Kinds) {
        *match kind {
            Kinds::File => &mut self.created_files,
            Kinds::Dir => &mut self.created_dirs,
            Kinds::Link => &mut self.created_links,
            Kinds::Device => &mut self.created_devices,
            Kinds::Special => &mut self.created_specials,
        } += 1;
    }

    pub(crate) fn count_deleted(&mut self, kind: Kinds) {
        *match kind {
            Kinds::File => &mut self.deleted_files,
            Kinds::Dir => &mut self.deleted_dirs,
            Kinds::Link => &mut self.deleted_links,
            Kinds::Device => &mut self.deleted_devices,
            Kinds::Special => &mut self.deleted_specials,
        } += 1;
    }
}
