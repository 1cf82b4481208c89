//! Reads what the other side sends behind the first list: answers, lists of directories, ends of phases.
//!
//! It never waits for the way to the other side. What has to be told because of an answer waits for somebody else.

use std::io::Read;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Access, AtFlags, accessat};
use rustix::io::Errno;

use super::answer::{Answers, Stop};
use super::item::{Item, flag};
use super::ledger::Expected;
use super::lists::{Lists, Queue};
use super::values;
use crate::above::{Above, Named};
use crate::itemize::{self, Traffic};
use crate::outcome::Outcome;
use crate::shared::Shared;
use crate::target::Target;
use crate::wire::error::WireError;
use crate::wire::limits;
use crate::wire::mux::{Counted, ReadAhead};
use crate::wire::number::{Get, Indexes, special};
use crate::wire::passage::Passage;

/// Reads everything up to the third end of a phase.
pub(crate) fn read<R: ReadAhead>(
    from: &mut R,
    indexes: &mut Indexes,
    lists: &mut Lists,
    queue: &Queue,
    answers: &mut Answers<'_, '_>,
) -> Result<(), Stop> {
    let shared = answers.writers.shared;
    let Some(remote) = &shared.remote else { return Ok(()) };
    loop {
        answers.look_ahead(from);
        match indexes.read(from)? {
            special::DONE => {
                let phases = remote.ledger.done();
                if phases == 3 {
                    if !remote.server {
                        read_statistics(from, &remote.list_times)?;
                    }
                    return Ok(());
                }
            }
            special::DEL_STATS => read_deletions(from)?,
            index if index >= 0 => answer(from, answers, index)?,
            index => drop(list(from, index, lists, queue, shared)?),
        }
    }
}

/// Takes the list that `index` begins, or the end of all lists. Whether anything is in it.
pub(crate) fn list<R: Read>(
    from: &mut R,
    index: i32,
    lists: &mut Lists,
    queue: &Queue,
    shared: &Shared<'_>,
) -> Result<bool, Stop> {
    let Some(remote) = &shared.remote else { return Ok(false) };
    if index == special::FLIST_EOF {
        lists.end()?;
        queue.end();
        remote.ledger.complete();
        return Ok(false);
    }
    if index > special::FLIST_OFFSET {
        return Err(WireError::protocol("a list where none is to be", index).into());
    }
    let contents = lists.contents(from, shared, special::FLIST_OFFSET - index)?;
    let any = contents.batch.len() > 0;
    remote.ledger.add_list(contents.batch.first, contents.batch.len());
    queue.push(contents)?;
    Ok(any)
}

/// Takes the answer for `index`.
fn answer<R: ReadAhead>(from: &mut R, answers: &mut Answers<'_, '_>, index: i32) -> Result<(), Stop> {
    let shared = answers.writers.shared;
    let Some(remote) = &shared.remote else { return Ok(()) };
    let flags = from.short()?;
    let basis = if flags & flag::BASIS_FOLLOWS != 0 { Some(from.byte()?) } else { None };
    let name =
        if flags & flag::NAME_FOLLOWS != 0 { Some(from.vstring(limits::PATH, "the length of a name")?) } else { None };
    let mut item = Vec::new();
    Item { flags, basis, name: name.as_deref() }.write(&mut item);
    // What was not asked for is not taken, and where blocks come from is not for the other side to say.
    let unasked = || WireError::protocol("an answer that was not asked for", index);
    let awaited = remote.ledger.take(index).ok_or_else(unasked)?;
    if awaited.item != item {
        return Err(unasked().into());
    }
    let mut lacking = awaited.values;
    if (Item { flags, basis, name: name.as_deref() }).asks_values(shared.options, &remote.terms) {
        values::read(from, lacking.as_deref())?;
    }
    // What another entry has asked for may come later.
    if let Some(late) = lacking.take_if(|lacking| !lacking.is_complete()) {
        remote.lacking.lock().unwrap_or_else(PoisonError::into_inner).push(*late);
    }
    // Lines come in the order of the answers, and not when the files are there.
    let mut lines = Outcome { text: awaited.text, log: awaited.log, totals: awaited.totals, ..Outcome::default() };
    let passage = match &awaited.file {
        Some(file) => Passage::begin(shared, answers.say, &mut lines, (file.size, file.from), remote.behind(index))?,
        None => None,
    };
    let told = !(lines.text.is_empty() && lines.log.is_empty());
    if told && awaited.file.as_ref().is_some_and(|file| is_shut_out(shared, file)) {
        lines.text.clear();
        lines.log.clear();
    }
    // Of a file on its way, the lines have gone ahead.
    (answers.deliver)(lines)?;
    match awaited.file {
        Some(expected) => {
            let Expected { dir, at, .. } = &*expected;
            // Not the directory itself: whoever gives that back last finishes it.
            let said = awaited.said.map(|said| (said, dir.rel.clone(), dir.listing.name(*at).to_owned()));
            let done = passage.as_ref().map(Passage::count);
            let mut counted = Counted::new(from);
            let sum = answers.file(&mut counted, index, expected, done.as_deref())?;
            let traffic = Traffic { content: counted.taken(), sums: 0 };
            let mut lines = Outcome::default();
            if let Some(passage) = passage {
                passage.end(&mut lines);
            }
            if let Some((mut change, rel, name)) = said {
                change.traffic = Some(traffic);
                if !shared.options.checksum && shared.tells_sum(&change) {
                    change.sum = Some(sum.into());
                }
                let named = Named { above: Above::NOTHING, rel: &rel, name: name.to_bytes() };
                itemize::behind(shared, &mut lines, &change, &named);
                // What a server has to say of it, its client says.
                lines.text.truncate(if remote.server { 0 } else { lines.text.len() });
            }
            if !lines.is_silent() {
                (answers.deliver)(lines)?;
            }
            Ok(())
        }
        None => {
            if let Some(lacking) = lacking {
                let mut out = Outcome::default();
                lacking.add(shared, &mut out);
                (answers.deliver)(out)?;
            }
            remote.ledger.close(index);
            Ok(())
        }
    }
}

/// Whether nothing can be made where a file is to be: as with rsync, it is not told as one that came. Whoever tries says why.
fn is_shut_out(shared: &Shared<'_>, file: &Expected) -> bool {
    let options = shared.options;
    let Some(Target::Ready(ready)) = file.dir.target.get() else { return false };
    let elsewhere = if options.writes_in_place() { file.old.is_some() } else { options.temp_dir.is_some() };
    if elsewhere {
        return false;
    }
    let asked = accessat(&ready.fd, c".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS);
    matches!(asked, Err(Errno::ACCESS | Errno::ROFS))
}

/// Reads how many entries of each kind the other side says were deleted.
pub(crate) fn read_deletions<R: Read>(from: &mut R) -> Result<(), WireError> {
    for _ in 0..5 {
        let count = from.varint()?;
        if !(0..=limits::DELETIONS).contains(&i64::from(count)) {
            return Err(WireError::protocol("a count of deletions", count));
        }
    }
    Ok(())
}

/// What a server has read and written, and the size of everything, which this side counts for itself; and how long it took
/// to make and to send the list, in milliseconds.
fn read_statistics<R: Read>(from: &mut R, times: &[AtomicU64; 2]) -> Result<(), WireError> {
    (0..3).try_for_each(|_| from.varlong(3).map(drop))?;
    for time in times {
        let told = from.varlong(3)?;
        time.store(told.try_into().map_err(|_| WireError::protocol("a time below zero", told))?, Ordering::Relaxed);
    }
    Ok(())
}
