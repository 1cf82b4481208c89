//! The file lists as they come, the first and, in incremental recursion, one for each directory: held against what was asked
//! for, sorted, numbered. Sections 6 and 8 of the protocol.

use std::cmp;
use std::collections::VecDeque;
use std::ffi::CString;
use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::FileType;

use super::answer::Stop;
use super::asked::Asked;
use super::batch::{Arrival, Batch};
use crate::error::Error;
use crate::filter::{Local, Place, Rule, Side};
use crate::order;
use crate::shared::Shared;
use crate::totals::Kinds;
use crate::wire::error::WireError;
use crate::wire::limits;
use crate::wire::list::{Decoder, ListEntry};

/// A list of one directory.
#[derive(Debug)]
pub(crate) struct Contents {
    /// Which directory, counting those of all lists.
    pub(crate) dir: usize,
    pub(crate) batch: Batch,
}

/// Reads lists.
#[derive(Debug)]
pub(crate) struct Lists {
    decoder: Decoder,
    asked: Asked,
    /// One list follows the other, and each directory's own is still to come.
    incremental: bool,
    /// The number of the next list's first entry.
    next: i32,
    /// The paths of directories whose lists have not come.
    dirs: Vec<Option<Box<[u8]>>>,
    ended: bool,
    /// `--munge-links`: links are to be of no use here.
    munges: bool,
    /// Bytes of all lists so far.
    pub(crate) bytes: u64,
}

impl Lists {
    pub(crate) fn new(decoder: Decoder, asked: Asked, incremental: bool, munges: bool) -> Self {
        // In incremental recursion, the number before a list's first is that of its directory.
        let next = i32::from(incremental);
        Lists { decoder, asked, incremental, next, dirs: Vec::new(), ended: !incremental, munges, bytes: 0 }
    }

    /// Nothing more comes.
    pub(crate) fn end(&mut self) -> Result<(), WireError> {
        match std::mem::replace(&mut self.ended, true) {
            false => Ok(()),
            true => Err(WireError::protocol("a second end of all lists", 0)),
        }
    }

    /// Reads the first list.
    pub(crate) fn first<R: Read>(&mut self, from: &mut R, shared: &Shared<'_>) -> Result<Batch, Stop> {
        self.read(from, shared, |_| true)
    }

    /// Reads the list of the directory `number`.
    pub(crate) fn contents<R: Read>(
        &mut self,
        from: &mut R,
        shared: &Shared<'_>,
        number: i32,
    ) -> Result<Contents, Stop> {
        let unknown = || WireError::protocol("the list of a directory that is none", number);
        let dir = usize::try_from(number).ok().filter(|_| !self.ended).ok_or_else(unknown)?;
        let path = self.dirs.get_mut(dir).and_then(Option::take).ok_or_else(unknown)?;
        let batch = self.read(from, shared, |entry| parent(&entry.path) == &*path)?;
        Ok(Contents { dir, batch })
    }

    fn read<R: Read>(
        &mut self,
        from: &mut R,
        shared: &Shared<'_>,
        belongs: impl Fn(&ListEntry) -> bool,
    ) -> Result<Batch, Stop> {
        let first = self.next;
        self.decoder.begin(first);
        let mut entries = Vec::new();
        let mut from = Counted { from, bytes: 0 };
        let end = loop {
            match self.decoder.next(&mut from).map_err(unsafe_name)? {
                Ok(entry) => {
                    check(shared, &self.asked, &entry, self.decoder.is_slashed())?;
                    if !belongs(&entry) {
                        return Err(WireError::protocol("an entry in the list of another directory", first).into());
                    }
                    entries.push((self.decoder.is_slashed(), entry));
                }
                Err(end) => break end,
            }
        };
        self.bytes += from.bytes;
        if shared.remote.as_ref().is_some_and(|remote| remote.unread(end.io_error)) {
            shared.io_error.store(true, Ordering::Relaxed);
        }
        entries.sort_by(numbering);
        let entries: Vec<ListEntry> = entries.into_iter().map(|(_, entry)| entry).collect();
        let beyond = WireError::protocol("more entries than there are numbers", first);
        let len = i32::try_from(entries.len()).ok().filter(|_| entries.len() < limits::ENTRIES);
        let next = len.and_then(|len| first.checked_add(len)?.checked_add(1));
        self.next = next.ok_or(beyond)?;
        if let Some(live) = &shared.live {
            let sized = |entry: &&ListEntry| matches!(entry.facts.stat.kinds(), Kinds::File | Kinds::Link);
            live.listed(entries.iter().filter(sized).map(|entry| entry.facts.stat.size).sum());
        }
        if self.incremental {
            let dirs = entries.iter().filter(|entry| entry.is_dir());
            self.dirs.extend(dirs.map(|entry| (entry.path != b".").then(|| entry.path.clone().into())));
        }
        let select = &shared.options.select;
        let ways = select.relative && select.no_implied_dirs;
        let arrivals = (first..).zip(entries).map(|(index, entry)| {
            let ListEntry { path, mut facts, content, top } = entry;
            self.decoder.ids.apply(&mut facts, shared.options.acls && !shared.options.numeric_ids);
            facts.stat.index = Some(index);
            if self.munges {
                facts.link = facts.link.map(munged);
            }
            let way = ways && top && !content && facts.stat.kind == FileType::Directory;
            Arrival { path, facts, content, way }
        });
        Ok(Batch::new(first, arrivals.collect()))
    }
}

/// The order in which entries are numbered, each with whether its path came with a slash before it: that is where it is.
fn numbering((a_slashed, a): &(bool, ListEntry), (b_slashed, b): &(bool, ListEntry)) -> cmp::Ordering {
    let slash = |entry: &ListEntry| order::compare_entries((b"/", true), (&entry.path, entry.is_dir()));
    match (a_slashed, b_slashed) {
        (true, false) => slash(b),
        (false, true) => slash(a).reverse(),
        _ => a.order(b),
    }
}

/// A name that nobody may send is no accident: whoever sends it is told.
fn unsafe_name(error: WireError) -> Stop {
    match error {
        WireError::Unsupported(text) => Error::Remote { text, code: 4 }.into(),
        error => error.into(),
    }
}

/// Counts what is read.
struct Counted<'c, R> {
    from: &'c mut R,
    bytes: u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buffer)?;
        self.bytes += n as u64;
        Ok(n)
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.bytes += buffer.len() as u64;
        self.from.read_exact(buffer)
    }
}

/// The target of a link that is to be of no use: a text that leads nowhere is put before it.
fn munged(to: CString) -> CString {
    CString::new([b"/rsyncd-munged/", to.as_bytes()].concat()).unwrap_or(to)
}

/// The directory that `path` is in; empty for the root.
pub(super) fn parent(path: &[u8]) -> &[u8] {
    path.get(..path.iter().rposition(|&b| b == b'/').unwrap_or(0)).unwrap_or_default()
}

/// Whether the entry may be there: it was asked for, and our own rules do not leave it out.
fn check(shared: &Shared<'_>, asked: &Asked, entry: &ListEntry, slashed: bool) -> Result<(), Error> {
    let path = &entry.path[..];
    if path == b"." {
        return Ok(());
    }
    let refused = |what: &str| {
        let slash = if slashed { "/" } else { "" };
        let mut line = format!("ERROR: rejecting {what} file-list name: {slash}").into_bytes();
        shared.options.escape.push(&mut line, path);
        Err(Error::Remote { text: String::from_utf8_lossy(&line).into_owned(), code: 4 })
    };
    if !asked.allows(path, entry.is_dir()) {
        return refused("unrequested");
    }
    // What a client sends is its own affair.
    let trusted = matches!(asked, Asked::Trusted);
    // What files over there say of what is beside them is not known here.
    let filters = &shared.options.filters;
    if trusted
        || filters.is_empty()
        || filters.has_per_dir()
        || shared.remote.as_ref().is_some_and(|remote| remote.server)
    {
        return Ok(());
    }
    let dir_len = path.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
    let place = Place { side: Side::Sender, path, is_dir: entry.is_dir(), dir_len, dir_shown: b"", doomed: false };
    match filters.decide(&place, &Local::default()).is_none_or(Rule::includes) {
        true => Ok(()),
        false => refused("excluded"),
    }
}

/// Lists on their way from whoever reads them to the walk.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lists: VecDeque<Contents>,
    /// Entries in them.
    waiting: usize,
    ended: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a list.
    ///
    /// # Errors
    /// The other side does not wait until those that it has sent are looked at.
    pub(crate) fn push(&self, contents: Contents) -> Result<(), WireError> {
        let mut state = self.lock();
        if state.waiting > limits::WAITING_ENTRIES {
            return Err(WireError::protocol("lists far ahead of what was asked for", state.waiting as i64));
        }
        state.waiting += contents.batch.len();
        state.lists.push_back(contents);
        self.changed.notify_all();
        Ok(())
    }

    /// Nothing more comes.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Waits for the next list. `None` behind the last.
    pub(crate) fn next(&self) -> Option<Contents> {
        let mut state = self.lock();
        loop {
            if let Some(contents) = state.lists.pop_front() {
                state.waiting = state.waiting.saturating_sub(contents.batch.len());
                return Some(contents);
            }
            if state.ended {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sent::Facts;
    use crate::wire::receiver::batch::Arrival;

    fn contents(dir: usize, len: usize) -> Contents {
        let stat = crate::fs::Stat::of_kind(FileType::RegularFile);
        let facts = Facts { stat, link: None, sum: None, attributes: <_>::default(), long: <_>::default() };
        let arrival =
            |n: usize| Arrival { path: n.to_string().into(), facts: facts.clone(), content: false, way: false };
        Contents { dir, batch: Batch::new(1, (0..len).map(arrival).collect()) }
    }

    #[test]
    fn who_does_not_wait_with_lists_is_stopped() {
        let queue = Queue::default();
        queue.push(contents(1, limits::WAITING_ENTRIES)).unwrap();
        queue.push(contents(2, 10)).unwrap();
        assert!(queue.push(contents(3, 1)).is_err());
        assert_eq!(queue.next().unwrap().dir, 1);
        queue.push(contents(3, 1)).unwrap();
    }
}
