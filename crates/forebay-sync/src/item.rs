//! What the walk hands to the workers.

use std::ops::Range;
use std::sync::Arc;

use forebay::Weigh;

use crate::dir::Dir;
use crate::outcome::Outcome;

/// One unit of work. Work on later items may run before work on earlier ones.
#[derive(Debug)]
pub(crate) enum Item {
    /// A directory itself: enter its destination, and say what that changed.
    Enter(Arc<Dir>),
    /// Names of a directory that are not directories, as positions in its listing.
    Names(Arc<Dir>, Range<usize>),
    /// The walk has left this directory.
    Leave(Arc<Dir>),
    /// Something that the walk has to say here.
    Note(Box<Outcome>),
}

/// An item, and how many came before it.
#[derive(Debug)]
pub(crate) struct Numbered {
    pub(crate) number: u64,
    pub(crate) item: Item,
}

impl Weigh for Numbered {
    fn weight(&self) -> usize {
        self.item.weight() + size_of::<u64>()
    }
}

impl Weigh for Item {
    fn weight(&self) -> usize {
        size_of::<Self>()
            + match self {
                Item::Enter(dir) => dir.weight(),
                Item::Note(note) => note.weight(),
                Item::Names(..) | Item::Leave(_) => 0,
            }
    }
}
