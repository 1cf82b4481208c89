//! Says what there is to say: requests and ends of lists to the sender, lines to the log or, as a server, to the client.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use super::ledger::Again;
use super::notices::{Notice, Notices};
use super::remote::Remote;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::wire::error::WireError;
use crate::wire::number::{Indexes, Put, special};

/// The way to the other side.
pub(crate) trait Way: Sync {
    /// Sends bytes of the stream. Waits as long as too much is on its way.
    fn send(&self, bytes: &[u8]) -> Result<(), WireError>;
    /// As [`send`](Way::send), with a few bytes before them that go along.
    fn send_behind(&self, head: &[u8], bytes: &[u8]) -> Result<(), WireError> {
        self.send(head)?;
        self.send(bytes)
    }
    /// Sends a message, without waiting.
    fn message(&self, message: Message<'_>);
    /// Ends it at once, in both directions: who waits for it fails.
    fn cut(&self);
    /// As [`cut`](Way::cut), but what waits to be sent still is, and messages behind it.
    fn hang_up(&self) {
        self.cut();
    }
}

/// What is said beside the stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Message<'m> {
    /// Lines for standard output.
    Info(&'m [u8]),
    /// Lines for standard error, of what does not count as a failure.
    Warning(&'m [u8]),
    /// Lines for standard error; the session ends with 23.
    Error(&'m [u8]),
    /// The name of what has been deleted; that of a directory ends in a NUL.
    Deleted(&'m [u8]),
    /// The file with this number cannot be sent.
    NoSend(i32),
    /// Not everything could be listed or read: bits of an I/O error.
    IoError(i32),
    /// The entry with this number is there, whole: the sender may remove it.
    Arrived(i32),
}

/// Who writes to the other side. Each call sends whole items, so that ends of lists may come between any two.
pub(crate) struct Teller<'t, W: ?Sized> {
    remote: &'t Remote,
    way: &'t W,
    indexes: Mutex<Indexes>,
    late: Mailbox,
}

/// What is left to whoever may wait for the way to the other side.
#[derive(Debug)]
pub(crate) enum Late {
    /// What an answer has given rise to.
    Tell(Notices),
    /// The other side cannot send this file.
    NoSend(i32),
    /// The file with this number is to be asked for again before its list ends.
    Again(i32, Again),
    /// Everything in this list has been looked at, and names of one file may wait for one that is in it.
    Walked(i32),
    /// The other side could not list or read everything.
    IoError(i32),
    /// Nothing more comes.
    End,
}

/// Takes the messages that concern this role.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox(Sender<Late>);

/// What was put into a mailbox.
pub(crate) type Mail = Receiver<Late>;

impl Mailbox {
    pub(crate) fn new() -> (Self, Mail) {
        let (sender, mail) = channel();
        (Mailbox(sender), mail)
    }

    /// Leaves something to be done later. Nobody listens any more once the session is over.
    pub(crate) fn put(&self, late: Late) {
        let _ = self.0.send(late);
    }
}

impl<'t, W: Way + ?Sized> Teller<'t, W> {
    pub(crate) fn new(remote: &'t Remote, way: &'t W, late: Mailbox) -> Self {
        Teller { remote, way, indexes: Mutex::default(), late }
    }

    /// Sends what `outcome` has for the other side, and gives back the rest. Waits for the way there.
    pub(crate) fn deliver(&self, mut outcome: Outcome) -> Result<Outcome, Error> {
        let notices = self.split(&mut outcome);
        self.tell(&notices)?;
        Ok(outcome)
    }

    /// As [`deliver`](Teller::deliver), without waiting.
    pub(crate) fn deliver_late(&self, mut outcome: Outcome) -> Outcome {
        let notices = self.split(&mut outcome);
        // What comes first has arrived with the answer: told before its number is closed, because that means nothing to the
        // other side behind the end of its list. The others' numbers stay open until their notices are told.
        let (mut later, mut items) = (Notices::default(), false);
        for notice in notices.iter() {
            match notice {
                Notice::Arrived(_) if !items => self.arrived(notice),
                _ => {
                    items |= matches!(notice, Notice::Item(..));
                    later.push(notice);
                }
            }
        }
        if !later.is_empty() {
            self.late.put(Late::Tell(later));
        }
        outcome
    }

    /// Has the file `index`, which is still open, asked for again.
    pub(crate) fn ask_again(&self, index: i32, again: Again) {
        match self.remote.terms.incremental() {
            // Behind the end of its list, its number means nothing to the other side.
            true => self.late.put(Late::Again(index, again)),
            false => {
                self.remote.ledger.again(again);
                self.remote.ledger.close(index);
            }
        }
    }

    /// Sends messages, and takes out what goes into the stream.
    fn split(&self, outcome: &mut Outcome) -> Notices {
        let notices = std::mem::take(&mut outcome.notices);
        if self.remote.server {
            let failed = outcome.totals.failed + outcome.totals.vanished > 0;
            let (text, errors) = (std::mem::take(&mut outcome.text), std::mem::take(&mut outcome.errors));
            if !text.is_empty() {
                self.way.message(Message::Info(&text));
            }
            match failed {
                _ if errors.is_empty() => {}
                true => self.way.message(Message::Error(&errors)),
                false => self.way.message(Message::Warning(&errors)),
            }
        }
        notices
    }

    pub(crate) fn tell(&self, notices: &Notices) -> Result<(), Error> {
        if notices.is_empty() {
            return Ok(());
        }
        let mut indexes = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::new();
        for notice in notices.iter() {
            match notice {
                Notice::Item(index, item) => {
                    indexes.write(&mut bytes, index);
                    bytes.put(item);
                }
                Notice::Deleted(name) => self.way.message(Message::Deleted(name)),
                Notice::Walked(first) => {
                    self.send(&bytes)?;
                    bytes.clear();
                    match self.remote.hard_links {
                        true => self.late.put(Late::Walked(first)),
                        false => self.remote.ledger.walked(first),
                    }
                }
                Notice::Settled(index) => {
                    self.send(&bytes)?;
                    bytes.clear();
                    self.remote.ledger.close(index);
                }
                // What was said of it goes first: the line of a link tells where it leads.
                Notice::Arrived(_) => {
                    self.send(&bytes)?;
                    bytes.clear();
                    self.arrived(notice);
                }
            }
        }
        self.send(&bytes)
    }

    fn arrived(&self, notice: Notice<'_>) {
        if let Notice::Arrived(index) = notice {
            self.way.message(Message::Arrived(index));
        }
    }

    /// Tells that a list or phase is done.
    pub(crate) fn done(&self) -> Result<(), Error> {
        let mut bytes = Vec::new();
        let mut indexes = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        indexes.write(&mut bytes, special::DONE);
        self.send(&bytes)
    }

    /// Tells how many entries of each kind have been deleted.
    pub(crate) fn deleted(&self, counts: [u64; 5]) -> Result<(), Error> {
        let mut bytes = Vec::new();
        let mut indexes = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        indexes.write(&mut bytes, special::DEL_STATS);
        counts.into_iter().for_each(|count| bytes.put_varint(i32::try_from(count).unwrap_or(i32::MAX)));
        self.send(&bytes)
    }

    fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.way.send(bytes).map_err(broken)
    }
}

/// The way to the other side is broken: whoever reads finds out why.
fn broken(_: WireError) -> Error {
    Error::Cancelled
}
