//! What takes part beside the filters, and how deletion goes about it.

/// When the directories that are transferred lose what the source does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeleteWhen {
    /// `--delete-before`: before anything is copied. The sources are listed three times.
    Before,
    /// `--delete-during`: each directory before anything in it is copied.
    #[default]
    During,
    /// `--delete-delay`: in the end, by the filter files that were there in the beginning. The sources are listed twice.
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
    /// `--max-delete`: how many entries may be deleted. Default: any number.
    pub max: Option<u64>,
    /// `--ignore-errors`: also where the source could not be listed completely.
    pub ignore_errors: bool,
    /// `--force`: a directory makes way for something else even if it is not empty.
    pub force: bool,
}

/// What a pass over the sources is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Copying, and deleting in each directory before.
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
            (true, DeleteWhen::During) => &[Pass::Both],
            (true, DeleteWhen::Before) => &[Pass::Delete, Pass::Copy],
            (true, DeleteWhen::Delay | DeleteWhen::After) => &[Pass::Copy, Pass::Delete],
        }
    }
}
