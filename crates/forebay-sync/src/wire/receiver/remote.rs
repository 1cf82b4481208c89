//! What all threads of the receiving role share beside the mirror's state: the terms, and what is awaited.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use super::item::{self, Item, flag};
use super::ledger::{Awaited, Ledger};
use super::notices::Notice;
use super::values::{self, Lacking};
use crate::itemize::{Action, Change};
use crate::options::Options;
use crate::outcome::Outcome;
use crate::shared::Shared;
use crate::totals::Kinds;
use crate::wire::limits;
use crate::wire::sums::FileSum;
use crate::wire::terms::Terms;

/// An entry that is told of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'t> {
    pub(crate) index: i32,
    /// From the root of the transfer on.
    pub(crate) path: &'t [u8],
    /// What it has become another name of, or nothing where it was that already.
    pub(crate) leader: Option<&'t [u8]>,
}

/// Whether a line about `change` is for the side that receives to say, whichever prints: without codes, and at the second level
/// of names, of what stays or of which only attributes change. `linked`: it is another name of something.
pub(crate) fn is_of_the_receivers(options: &Options, change: &Change, linked: bool) -> bool {
    let told = linked || (options.dry_run && change.hard && change.any());
    let stays = !change.any() || (change.action == Action::Keep && change.kind != Kinds::Dir);
    options.levels.name > 1 && !options.has_codes() && !options.json && !told && stays
}

/// How many entries of all lists are behind the one with the number `index`, itself among them, where it is in the list `list`.
pub(crate) fn behind(index: i32, list: usize, terms: &Terms) -> u64 {
    // The first list of several begins with 1, and there is a number between one and the next that is no entry's.
    let numbers = u64::try_from(index).unwrap_or(0) + u64::from(!terms.incremental());
    numbers.saturating_sub(list as u64)
}

/// The other side, as workers see it.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) terms: Terms,
    /// The other side has started us: it prints, we send messages.
    pub(crate) server: bool,
    /// This side has a log file.
    pub(crate) logs: bool,
    /// The other side has one: it wants to hear of everything.
    pub(crate) logs_there: bool,
    /// Names of one file stay that (`-H`).
    pub(crate) hard_links: bool,
    pub(crate) ledger: Ledger,
    /// Entries that lack values which others have asked for.
    pub(crate) lacking: Mutex<Vec<Lacking>>,
    /// What the other side has said that it could not read: bits of I/O errors, as in `io_error`.
    pub(crate) unread: AtomicI32,
    /// How long the other side took to make the list and to send it, in milliseconds.
    pub(crate) list_times: [AtomicU64; 2],
    /// Nothing more can be asked for, nor told by the numbers of the list.
    pub(crate) closed: AtomicBool,
}

impl Remote {
    pub(crate) fn new(terms: Terms, server: bool, options: &Options) -> Self {
        Remote {
            terms,
            server,
            logs: options.log_format.is_some(),
            logs_there: false,
            hard_links: options.hard_links,
            ledger: Ledger::default(),
            lacking: Mutex::default(),
            unread: AtomicI32::new(0),
            list_times: <_>::default(),
            closed: AtomicBool::new(false),
        }
    }

    /// Names of a file wait for one that comes. Until everybody has had a turn nothing ends that they are in, but what is to come
    /// once more comes, without incremental recursion, behind the end of the list: there they are `open` once it has come, and are
    /// told of it.
    pub(crate) fn wait(&self, index: Option<i32>, come: bool) {
        if let Some(index) = index
            && self.terms.incremental() != come
        {
            self.ledger.open(index);
        }
    }

    /// How many entries of the list are behind the one with the number `index`, itself among them.
    pub(crate) fn behind(&self, index: i32) -> u64 {
        behind(index, self.ledger.list_of(index), &self.terms)
    }

    /// The other side says that it could not read something. Whether it is more than that something has vanished: then nothing is
    /// deleted any more for not being listed.
    pub(crate) fn unread(&self, bits: i32) -> bool {
        self.unread.fetch_or(bits, Ordering::Relaxed);
        bits & limits::GENERAL != 0
    }

    /// Tells of `change`, where that is worth it. What `lines` has to say is said when it comes back.
    pub(crate) fn tell(
        &self,
        shared: &Shared<'_>,
        out: &mut Outcome,
        change: &Change,
        told: &Told<'_>,
        lines: impl FnOnce(&mut Outcome),
    ) {
        if self.closed.load(Ordering::Acquire) {
            // What became of names that have waited until now is said here.
            return lines(out);
        }
        let (options, Told { index, leader, .. }) = (shared.options, *told);
        let name = leader.or((change.hard || change.action == Action::Link).then_some(b""));
        let all = options.itemize_all || options.levels.name > 1;
        let mut flags = item::flags(change);
        let lacks = !change.lacking.is_empty();
        flags |= if lacks { flag::XATTR } else { 0 };
        // A client counts, and may have a log file, whatever it has told of that.
        let wanted =
            self.server || self.logs_there || options.json || options.says_changes() || options.log_format.is_some();
        let worth = flags & !flag::MINOR != 0 || leader.is_some_and(|leader| !leader.is_empty()) || all;
        let unasked = !lacks && (!wanted || !worth);
        let now = if self.server { is_of_the_receivers(options, change, leader.is_some()) } else { unasked };
        let mut awaited = if now {
            lines(out);
            Awaited::default()
        } else {
            self.keep(lines)
        };
        if unasked {
            return;
        }
        awaited.values = Lacking::of(told.path, change.lacking.clone());
        self.ask(shared, out, index, &Item { flags, basis: None, name }, &[], awaited);
    }

    /// What is said when the answer comes.
    pub(crate) fn keep(&self, lines: impl FnOnce(&mut Outcome)) -> Awaited {
        if self.server && !self.logs {
            return Awaited::default();
        }
        let mut said = Outcome::default();
        lines(&mut said);
        // What a server has to say of it, its client says.
        let text = if self.server { Vec::new() } else { said.text };
        Awaited { text, log: said.log, ..Awaited::default() }
    }

    /// Sends `item`, with `sums` behind it, and waits for `awaited`.
    pub(crate) fn ask(
        &self,
        shared: &Shared<'_>,
        out: &mut Outcome,
        index: i32,
        item: &Item<'_>,
        sums: &[u8],
        mut awaited: Awaited,
    ) {
        let mut body = Vec::with_capacity(8 + sums.len());
        item.write(&mut body);
        let written = body.clone();
        if item.asks_values(shared.options, &self.terms) {
            values::ask(awaited.values.as_deref_mut(), &mut body);
        }
        self.ledger.expect(index, Box::new(Awaited { item: written, ..awaited }));
        body.extend_from_slice(sums);
        out.notices.push(Notice::Item(index, &body));
    }

    /// Whether `file` has the sum that `-c` has brought.
    pub(crate) fn has_sum(&self, file: OwnedFd, sum: &[u8], buffer: &mut Vec<u8>) -> io::Result<bool> {
        let mut file = File::from(file);
        let mut whole = FileSum::new(self.terms.files);
        buffer.resize(256 << 10, 0);
        loop {
            match io::Read::read(&mut file, buffer) {
                Ok(0) => return Ok(whole.finish() == sum),
                Ok(n) => whole.update(buffer.get(..n).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
