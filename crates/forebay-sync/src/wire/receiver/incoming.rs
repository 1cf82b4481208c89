//! The file list as it comes: held against what was asked for, sorted, numbered.

use std::io::Read;
use std::sync::atomic::Ordering;

use super::batch::{Arrival, Batch};
use crate::error::Error;
use crate::filter::{Local, Place, Rule, Side};
use crate::shared::Shared;
use crate::wildmatch::Pattern;
use crate::wire::list::{Decoder, ListEntry};
use crate::wire::receiver::answer::Stop;

/// What the first components of paths in a list may be.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// Anything: the other side has been told what it is to send by whoever runs it.
    Anything,
    /// What these arguments name, with their wildcards. An argument whose contents are meant allows anything.
    Arguments(Vec<Vec<u8>>),
}

impl Asked {
    /// What `sources` name, as a client has given them.
    pub(crate) fn of(sources: &[impl AsRef<[u8]>], relative: bool) -> Self {
        let mut names = Vec::new();
        for source in sources {
            let source = source.as_ref();
            let shown = match relative {
                // From `/./` on, the path is kept.
                true => source.windows(3).position(|three| three == b"/./").map_or(source, |at| &source[at + 3..]),
                false => source,
            };
            let mut parts = shown.split(|&b| b == b'/').filter(|part| !part.is_empty() && *part != b".");
            let contents = !relative && (shown.ends_with(b"/") || shown.ends_with(b"/.") || shown == b".");
            let name = if relative { parts.next() } else { parts.next_back() };
            match name {
                Some(name) if !contents && name != b".." => names.push(name.to_vec()),
                _ => return Asked::Anything,
            }
        }
        if names.is_empty() { Asked::Anything } else { Asked::Arguments(names) }
    }

    fn allows(&self, path: &[u8]) -> bool {
        let top = path.split(|&b| b == b'/').next().unwrap_or_default();
        match self {
            Asked::Anything => true,
            Asked::Arguments(names) => names.iter().any(|name| name == top || Pattern::new(name).matches(top)),
        }
    }
}

/// Reads the first list, whose entries are numbered from `first` on.
pub(crate) fn first<R: Read>(
    from: &mut R,
    decoder: &mut Decoder,
    first: i32,
    shared: &Shared<'_>,
    asked: &Asked,
) -> Result<Batch, Stop> {
    decoder.begin(first);
    let mut entries = Vec::new();
    let end = loop {
        match decoder.next(from)? {
            Ok(entry) => {
                check(shared, asked, &entry)?;
                entries.push(entry);
            }
            Err(end) => break end,
        }
    };
    if end.io_error != 0 {
        shared.io_error.store(true, Ordering::Relaxed);
    }
    entries.sort_by(ListEntry::order);
    let arrivals = (first..).zip(entries).map(|(index, entry)| {
        let ListEntry { path, mut facts, content, .. } = entry;
        decoder.ids.apply(&mut facts.stat);
        facts.stat.index = Some(index);
        Arrival { path, facts, content }
    });
    Ok(Batch::new(first, arrivals.collect()))
}

/// Whether the entry may be there: it was asked for, and our own rules do not leave it out.
fn check(shared: &Shared<'_>, asked: &Asked, entry: &ListEntry) -> Result<(), Error> {
    let path = &entry.path[..];
    if path == b"." {
        return Ok(());
    }
    let refused = |what: &str| {
        let mut line = format!("ERROR: rejecting {what} file-list name: ").into_bytes();
        shared.options.escape.push(&mut line, path);
        Err(Error::Select(String::from_utf8_lossy(&line).into_owned()))
    };
    if !asked.allows(path) {
        return refused("unrequested");
    }
    if matches!(asked, Asked::Anything) && shared.remote.as_ref().is_some_and(|remote| remote.server) {
        return Ok(());
    }
    let dir_len = path.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
    let place = Place { side: Side::Sender, path, is_dir: entry.is_dir(), dir_len, dir_shown: b"", doomed: false };
    match shared.options.filters.decide(&place, &Local::default()).is_none_or(Rule::includes) {
        true => Ok(()),
        false => refused("excluded"),
    }
}
