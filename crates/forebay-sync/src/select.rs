//! What takes part beside the filters, and how deletion goes about it.

use rustix::fs::Timespec;

/// When the directories that are transferred lose what the source does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeleteWhen {
    /// `--delete-before`: before anything is copied. The sources are listed three times.
    Before,
    /// `--delete-during`: each directory before anything in it is copied.
    #[default]
    During,
    /// `--delete-delay`: in the end, what each directory did not need when it was entered.
    Delay,
    /// `--delete-after`: in the end, by the filter files that are there then. The sources are listed twice.
    After,
}

/// How `--delete` goes about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deletion {
    /// When it happens.
    pub when: DeleteWhen,
    /// `--max-delete`: how many entries may be deleted. Default: any number. Which are spared depends on their order, so
    /// one worker does everything then.
    pub max: Option<u64>,
    /// `--ignore-errors`: also where the source could not be listed completely.
    pub ignore_errors: bool,
    /// `--force`: a directory makes way for something else even if it is not empty.
    pub force: bool,
}

/// What is copied of what takes part, and what makes a file an unchanged one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Select {
    /// `--existing`: nothing new is made.
    pub existing: bool,
    /// `--ignore-existing`: what is there but directories stays as it is.
    pub ignore_existing: bool,
    /// `-I`: files are copied even if size and time are equal.
    pub ignore_times: bool,
    /// `--size-only`: files of equal size are equal.
    pub size_only: bool,
    /// `-@`: seconds by which equal times may differ. Below zero, nanoseconds count. Default: whole seconds.
    pub modify_window: i32,
    /// `--max-size`: bytes of the largest file that is copied.
    pub max_size: Option<u64>,
    /// `--min-size`: bytes of the smallest file that is copied.
    pub min_size: Option<u64>,
    /// `-d`: directories take part also without `recursive`, but not what is in them, but for those given with a slash at
    /// their end.
    pub dirs: bool,
    /// `-m`: directories without anything in them but directories do not take part. The sources are listed once more.
    pub prune_empty_dirs: bool,
    /// `-R`: sources keep their paths, from `/./` on if that is in them.
    pub relative: bool,
    /// `--no-implied-dirs`: directories on the way to what is given with its path do not get the attributes of the source's.
    pub no_implied_dirs: bool,
    /// `-x`: directories on other file systems than their source are not entered; twice: not made either.
    pub one_file_system: u8,
    /// `--mkpath`: directories above the destination are made, too.
    pub mkpath: bool,
    /// `--ignore-missing-args`: a source that is not there is no error.
    pub ignore_missing: bool,
    /// `--delete-missing-args`: what a source that is not there would become is deleted.
    pub delete_missing: bool,
}

impl Select {
    /// Why a file of `size` bytes is passed over, if it is: the end of a line.
    pub(crate) fn wrong_size(&self, size: u64) -> Option<&'static str> {
        if self.max_size.is_some_and(|max| size > max) {
            Some(" is over max-size\n")
        } else if self.min_size.is_some_and(|min| size < min) {
            Some(" is under min-size\n")
        } else {
            None
        }
    }

    /// Whether `a` counts as later than `b` to `-u`: as with rsync, a time that counts as equal is late enough, but for those
    /// of one second.
    pub(crate) fn is_newer(&self, a: Timespec, b: Timespec) -> bool {
        a.tv_sec.saturating_add(i64::from(self.modify_window)) > b.tv_sec
    }

    /// Whether two modification times count as equal.
    pub(crate) fn same_time(&self, a: Timespec, b: Timespec) -> bool {
        match u64::try_from(self.modify_window) {
            Ok(window) => a.tv_sec.abs_diff(b.tv_sec) <= window,
            Err(_) => (a.tv_sec, a.tv_nsec) == (b.tv_sec, b.tv_nsec),
        }
    }
}

/// What a pass over the sources is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Copying, and deleting in each directory before, or finding there what is to be deleted.
    Both,
    /// Copying alone.
    Copy,
    /// Deleting alone.
    Delete,
}

impl Pass {
    /// The passes that `delete` and `when` ask for, in order.
    pub(crate) fn all(delete: bool, when: DeleteWhen) -> &'static [Pass] {
        match (delete, when) {
            (false, _) => &[Pass::Copy],
            (true, DeleteWhen::During | DeleteWhen::Delay) => &[Pass::Both],
            (true, DeleteWhen::Before) => &[Pass::Delete, Pass::Copy],
            (true, DeleteWhen::After) => &[Pass::Copy, Pass::Delete],
        }
    }
}
