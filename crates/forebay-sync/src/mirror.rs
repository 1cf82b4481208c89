//! The whole run: resolve the arguments, walk, work, log.

use std::ffi::OsStr;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use forebay::{Location, Snapshot, SpillStore};
use forebay_delta::AssemblyStats;

use crate::credentials::Credentials;
use crate::doomed::Dooms;
use crate::error::Error;
use crate::item::Item;
use crate::live::{Copying, Live};
use crate::options::Options;
use crate::order;
use crate::outcome::Outcome;
use crate::passes::{self, deliver, run};
use crate::places::Places;
use crate::roots;
use crate::select::Pass;
use crate::shared::{Root, Shared};
use crate::totals::{Ahead, Kinds, Totals};
use crate::walk::{self, Walk};

/// Where a mirror's lines and numbers go. Called from one thread at a time, in the order of the file list.
pub trait Log: Send {
    /// Whole lines for standard output. Where progress of each file is asked for, a line that begins with a NUL stands for
    /// that of a file: its bytes, how many entries of these lines are behind it, itself among them, and how many directories
    /// have been listed and not been entered by then. Over a connection, they are its bytes, how many entries of the list are
    /// behind it, itself among them, and how long it took, in milliseconds (`5 3 1200ms`). An error ends the mirror.
    ///
    /// # Errors
    /// Whatever keeps the lines from being written.
    fn text(&mut self, lines: &[u8]) -> io::Result<()>;

    /// Whole lines for standard error.
    fn errors(&mut self, lines: &[u8]);

    /// Whole lines for a log file, if [`Options::log_format`] asks for any: changes in that format, messages and errors.
    fn file(&mut self, _lines: &[u8]) {}

    /// The other side is there, and what happens next is the list. Comes once, and never where all is on this machine.
    ///
    /// # Errors
    /// Whatever keeps what there is to say of it from being written.
    fn begin(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// With [`Options::list_first`]: how many entries have been listed, and whether that is all. Comes before everything but
    /// what there is to say of listing them.
    ///
    /// # Errors
    /// Whatever keeps it from being shown.
    fn listing(&mut self, _entries: u64, _complete: bool) -> io::Result<()> {
        Ok(())
    }

    /// About once a second while a file is copied that [`text`](Log::text) has not told of yet, if progress is
    /// asked for: the lines before that file's progress, which will not come again, and how far it is. Where progress of the
    /// whole is asked for, there are no lines, and the numbers are those of all files that are being copied.
    ///
    /// # Errors
    /// Whatever keeps it from being shown.
    fn copying(&mut self, _lines: &[u8], _copying: &Copying, _ahead: &Ahead) -> io::Result<()> {
        Ok(())
    }

    /// The sums so far, after each report, and how far the walk is.
    ///
    /// # Errors
    /// Whatever keeps them from being shown.
    fn progress(&mut self, totals: &Totals, ahead: &Ahead) -> io::Result<()>;
}

/// What a mirror did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Counts and bytes.
    pub totals: Totals,
    /// What the engine did.
    pub engine: Snapshot,
    /// Entries that `--max-delete` kept from being deleted.
    pub undeleted: u64,
    /// Where it could spill to.
    pub spill: Option<Location>,
    /// How long it took.
    pub elapsed: Duration,
    /// What is known of the other side, if there was one.
    pub peer: Option<Peer>,
}

/// What went over a connection, and what came of it.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Peer {
    /// The exit code of the other side, if we have started it.
    pub code: u8,
    /// The version of the protocol that both spoke, as the client knows it.
    pub protocol: u32,
    /// Bytes that were written to it, and read from it.
    pub sent: u64,
    /// See [`sent`](Self::sent).
    pub received: u64,
    /// How long the sending side took to make the list, and to send it. In incremental recursion that is all lists, without the
    /// time that the receiving side was waited for.
    pub list_made: Duration,
    /// See [`list_made`](Self::list_made).
    pub list_sent: Duration,
    /// Whether it has said that it could not read something, in the receiving role,
    pub unread: bool,
    /// or that something had vanished.
    pub vanished: bool,
    /// How many file lists came, in the receiving role.
    pub lists: u64,
    /// Their bytes.
    pub list_bytes: u64,
    /// How files were put together, in the receiving role.
    pub assembly: AssemblyStats,
}

impl Report {
    /// rsync's exit code: 0, 23 (something failed), 24 (something vanished) or 25 (too much was to be deleted).
    pub fn exit_code(&self) -> u8 {
        let peer = self.peer.unwrap_or_default();
        let own = match (self.totals.failed > 0 || peer.unread, self.totals.vanished > 0 || peer.vanished) {
            (true, _) => 23,
            (false, true) => 24,
            (false, false) if self.undeleted > 0 => 25,
            (false, false) => 0,
        };
        own.max(peer.code)
    }
}

/// Mirrors `sources` into `destination`, with rsync's meaning of both.
///
/// What fails for one entry is logged and counted in the report.
///
/// # Errors
/// What ends the run early: a destination that does not fit, a failed write, a log that cannot be written, a
/// cancellation. What has been done until then stays done, and nothing half written stays behind.
pub fn mirror(
    mut options: Options,
    sources: &[impl AsRef<OsStr>],
    destination: &OsStr,
    log: &mut dyn Log,
) -> Result<Report, Error> {
    let begun = Instant::now();
    let mut spill = options.spill.take().map(Arc::new);
    let location = spill.as_ref().map(SpillStore::location);
    passes::own_rules(&mut options).map_err(|error| Error::Usage(error.to_string()))?;
    // What the command line names belongs to whoever has typed it.
    let from = options.files_from.as_deref();
    let listed = from.map(|from| roots::names_from(from, &options, false)).transpose()?;
    let _taken = options.copy_as.as_ref().map(Credentials::take_on).transpose()?;
    let nowhere = Root { fd: None, created: false, rename: None, shown: roots::working_directory() };
    let mut shared = Shared::new(&options, nowhere);
    shared.dooms = Dooms::spilling(spill.clone().map(|store| store as _));
    let mut note = Outcome::default();
    let mut totals = Totals::default();
    shared.listed = listed;
    let top = match roots::here(&shared, sources, &mut note) {
        Ok(top) => top,
        Err(error) => {
            deliver(&shared, note, &mut totals, log)?;
            return Err(error);
        }
    };
    shared.removals.all_wait = top.overlaps();
    // As with rsync, a destination is made where all sources may be missing.
    if top.given == 0 && !(options.select.ignore_missing && note.errors.is_empty()) {
        deliver(&shared, note, &mut totals, log)?;
        if options.list_first {
            log.listing(0, true).map_err(Error::Log)?;
        }
        let mut last = Outcome::default();
        // As with rsync, what is beside the destination is looked for.
        let opened = match options.list_only {
            None => roots::destination_of_nothing(&shared, destination, &mut last).and_then(|root| {
                shared.root = root;
                Places::open(&shared, &mut last)
            }),
            Some(_) => Places::open(&shared, &mut last),
        };
        if opened.is_ok() {
            passes::tell_of_deltas(&shared, &mut last);
        }
        deliver(&shared, last, &mut totals, log)?;
        opened?;
        let engine = Snapshot::default();
        return Ok(Report { totals, engine, undeleted: 0, spill: location, elapsed: begun.elapsed(), peer: None });
    }
    let (shape, mut first) = (top.shape(&shared), Some(top));
    if options.list_first
        && let Some(root) = first.take()
    {
        shared.pass = Pass::Copy;
        // What cannot be found is said before anything is listed. What comes first ends the line that has been begun.
        if !note.text_first {
            let (errors, failed) = (std::mem::take(&mut note.errors), std::mem::take(&mut note.totals));
            deliver(&shared, Outcome { errors, totals: failed, ..Outcome::default() }, &mut totals, log)?;
        }
        list(&shared, Walk::new(&shared, root, Some(std::mem::take(&mut note))), &mut totals, log)?;
    }
    let found = match options.list_only {
        None => roots::destination(&shared, shape, destination, &mut note),
        // As with rsync, which runs where it was started.
        Some(_) => Ok(Root { fd: None, created: false, rename: None, shown: roots::working_directory() }),
    };
    match found {
        Ok(root) => shared.root = root,
        Err(error) => {
            deliver(&shared, note, &mut totals, log)?;
            return Err(error);
        }
    }
    match Places::open(&shared, &mut note) {
        Ok(places) => shared.places = places,
        Err(error) => {
            deliver(&shared, note, &mut totals, log)?;
            return Err(error);
        }
    }
    let workers = passes::workers(&options);
    let pipeline = |name| passes::pipeline(&options, name, workers);
    if options.select.prune_empty_dirs {
        shared.pass = Pass::Copy;
        let root = roots::here(&shared, sources, &mut Outcome::default())?;
        let counted = (shared.found.load(Ordering::Relaxed), shared.found_all.load(Ordering::Relaxed));
        let (barren, mut failed) = walk::barren(&shared, Walk::new(&shared, root, Some(Outcome::default())))?;
        shared.barren = barren;
        shared.found.store(counted.0, Ordering::Relaxed);
        shared.found_all.store(counted.1, Ordering::Relaxed);
        if first.is_some() {
            if options.log_format.is_some() {
                failed.log.clone_from(&failed.errors);
            }
            deliver(&shared, failed, &mut totals, log)?;
        }
        // As with rsync, which leaves them out when it has counted.
        (0..shared.barren.len()).for_each(|_| totals.count_listed(Kinds::Dir));
    }
    if options.hard_links {
        shared.pass = Pass::Copy;
        let root = roots::here(&shared, sources, &mut Outcome::default())?;
        passes::take_census(pipeline("census"), &shared, Walk::new(&shared, root, None), workers, 0)?;
        if first.is_some() {
            shared.found.store(0, Ordering::Relaxed);
            shared.found_all.store(false, Ordering::Relaxed);
        }
    }
    let mut note = Some(note);
    if first.is_none() {
        // What is left to say; the walk has had its say.
        note.take().map_or(Ok(()), |note| deliver(&shared, note, &mut totals, log))?;
    }
    let mut engine = Snapshot::default();
    for &pass in Pass::all(options.delete, options.deletion.when) {
        if pass == Pass::Delete
            && let Some(root) = first.take()
        {
            // What cannot be listed keeps everything from being deleted: that has to be known before.
            shared.pass = Pass::Copy;
            list(&shared, Walk::new(&shared, root, note.take()), &mut totals, log)?;
        }
        shared.pass = pass;
        shared.live = Live::is_wanted(&options).then(Live::default);
        if pass != Pass::Delete {
            match &mut note {
                Some(note) => passes::tell_of_deltas(&shared, note),
                // A walk without a note says nothing at all.
                None => {
                    let mut out = Outcome::default();
                    passes::tell_of_deltas(&shared, &mut out);
                    deliver(&shared, out, &mut totals, log)?;
                }
            }
        }
        let root = match first.take() {
            Some(root) => root,
            None => roots::here(&shared, sources, &mut Outcome::default())?,
        };
        let walk = Walk::new(&shared, root, note.take());
        let log: Mutex<&mut dyn Log> = Mutex::new(&mut *log);
        let mut deliver = |outcome| {
            deliver(&shared, outcome, &mut totals, &mut **log.lock().unwrap_or_else(PoisonError::into_inner))?;
            shared.live.iter().for_each(Live::told);
            Ok(())
        };
        let snapshot = thread::scope(|scope| {
            let _over = Live::watched(&shared, scope, &log)?;
            match spill.take() {
                Some(store) if pass != Pass::Delete => {
                    run(pipeline("sync").spill(store), &shared, workers, walk, &mut deliver)
                }
                store => {
                    spill = store;
                    run(pipeline("sync"), &shared, workers, walk, &mut deliver)
                }
            }
        })?;
        if pass != Pass::Delete {
            engine = snapshot;
            if options.hard_links {
                deliver(passes::worker(&shared, workers).work_off_abandoned(0)?)?;
            }
            let mut again = std::mem::take(&mut *shared.again.lock().unwrap_or_else(PoisonError::into_inner));
            again.sort_by(|(a, _), (b, _)| order::compare_paths(a, b));
            again.into_iter().try_for_each(|(_, second)| deliver(second))?;
            let mut last = Outcome::default();
            shared.delayed.finish(&shared, &mut last);
            deliver(last)?;
            shared.dooms.finish(&shared, &mut deliver)?;
        }
    }
    let mut last = Outcome::default();
    shared.modes.finish(&shared, &mut last);
    shared.places.finish(&shared.root);
    shared.removals.finish(&shared, &mut last);
    deliver(&shared, last, &mut totals, log)?;
    let undeleted = shared.undeleted.load(Ordering::Relaxed);
    if undeleted > 0 {
        let mut last = Outcome::default();
        let text = format!("Deletions stopped due to --max-delete limit ({undeleted} skipped)");
        shared.complain(&mut last, &text, b"", "");
        deliver(&shared, last, &mut totals, log)?;
    }
    Ok(Report { totals, engine, undeleted, spill: location, elapsed: begun.elapsed(), peer: None })
}

/// Goes through everything before anything is done, and says what there is to say of that.
fn list(shared: &Shared<'_>, walk: Walk<'_>, totals: &mut Totals, log: &mut dyn Log) -> Result<(), Error> {
    let listing = |complete, log: &mut dyn Log| match shared.options.list_first {
        true => log.listing(shared.found.load(Ordering::Relaxed), complete).map_err(Error::Log),
        false => Ok(()),
    };
    for item in walk {
        if shared.options.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        listing(false, log)?;
        if let Item::Note(note) = item? {
            deliver(shared, *note, totals, log)?;
        }
    }
    listing(true, log)
}
