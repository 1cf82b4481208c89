//! The whole run: resolve the arguments, walk, work, log.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use forebay::{Cause, Location, Mode, Pipeline, Snapshot, SpillStore};

use crate::alternates::AlternateDirs;
use crate::backup;
use crate::census::{Census, Names};
use crate::content::copy::Copier;
use crate::content::partial;
use crate::content::temp::TempNames;
use crate::error::Error;
use crate::filter::FilterError;
use crate::hardlinks::Groups;
use crate::item::Item;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::places::Places;
use crate::roots;
use crate::select::Pass;
use crate::shared::{Root, Shared};
use crate::totals::{Ahead, Totals};
use crate::walk::{self, Walk};
use crate::worker::Worker;

/// Where a mirror's lines and numbers go. Called from one thread, in the order of the file list.
pub trait Log {
    /// Whole lines for standard output. Where progress of each file is asked for, a line that begins with a NUL stands for
    /// that of a file: its bytes, and how many entries of these lines are behind it, itself among them. An error ends the mirror.
    ///
    /// # Errors
    /// Whatever keeps the lines from being written.
    fn text(&mut self, lines: &[u8]) -> io::Result<()>;

    /// Whole lines for standard error.
    fn errors(&mut self, lines: &[u8]);

    /// Whole lines for a log file, if [`Options::log_format`] asks for any: changes in that format, messages and errors.
    fn file(&mut self, _lines: &[u8]) {}

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
}

impl Report {
    /// rsync's exit code: 0, 23 (something failed), 24 (something vanished) or 25 (too much was to be deleted).
    pub fn exit_code(&self) -> u8 {
        match (self.totals.failed, self.totals.vanished) {
            (0, 0) if self.undeleted > 0 => 25,
            (0, 0) => 0,
            (0, _) => 24,
            _ => 23,
        }
    }
}

/// Items in flight at most, whatever the limit on open files.
const WINDOW: usize = 1024;

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
    let mut spill = options.spill.take();
    let location = spill.as_ref().map(SpillStore::location);
    own_rules(&mut options).map_err(|error| Error::Usage(error.to_string()))?;
    let nowhere = Root { fd: None, created: false, rename: None, shown: Vec::new() };
    let mut shared = Shared::new(&options, nowhere);
    sources.iter().for_each(|source| shared.origins.add(source.as_ref().as_bytes()));
    let mut note = Outcome::default();
    let mut totals = Totals::default();
    shared.listed =
        options.files_from.as_deref().map(|from| roots::names_from(from, options.filters.nul)).transpose()?;
    let top = roots::sources(&shared, sources, &mut note)?;
    // As with rsync, a destination is made where all sources may be missing.
    if top.given == 0 && !(options.select.ignore_missing && note.errors.is_empty()) {
        deliver(&shared, note, &mut totals, log)?;
        let engine = Snapshot::default();
        return Ok(Report { totals, engine, undeleted: 0, spill: location, elapsed: begun.elapsed() });
    }
    let found = match options.list_only {
        None => roots::destination(&shared, top.shape(&shared), destination, &mut note),
        Some(_) => Ok(Root { fd: None, created: false, rename: None, shown: Vec::new() }),
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
    let workers =
        options.workers.or_else(|| std::thread::available_parallelism().ok()).map_or(1, std::num::NonZeroUsize::get);
    // Which entries a limit on deletions spares depends on their order.
    let workers = if options.deletion.max.is_some() { 1 } else { workers };
    let pipeline = |name| {
        Pipeline::new()
            .name(name)
            .workers(workers)
            .budget(&options.budget)
            .window(options.window.map_or_else(|| window(workers), std::num::NonZeroUsize::get))
            .batch(1)
            .cancel(&options.cancel)
    };
    if options.select.prune_empty_dirs {
        shared.pass = Pass::Copy;
        let root = roots::sources(&shared, sources, &mut Outcome::default())?;
        shared.barren = walk::barren(&shared, root)?;
    }
    if options.hard_links {
        shared.pass = Pass::Copy;
        shared.groups = take_census(pipeline("census"), &shared, sources, workers)?;
        shared.found.store(0, Ordering::Relaxed);
        shared.found_all.store(false, Ordering::Relaxed);
    }
    let (mut note, mut first) = (Some(note), Some(top));
    let mut engine = Snapshot::default();
    for &pass in Pass::all(options.delete, options.deletion.when) {
        if pass == Pass::Delete
            && let Some(root) = first.take()
        {
            // What cannot be listed keeps everything from being deleted: that has to be known before.
            shared.pass = Pass::Copy;
            for item in Walk::new(&shared, root, note.take()) {
                if options.cancel.is_cancelled() {
                    return Err(Error::Cancelled);
                }
                if let Item::Note(note) = item? {
                    deliver(&shared, *note, &mut totals, log)?;
                }
            }
        }
        shared.pass = pass;
        let root = match first.take() {
            Some(root) => root,
            None => roots::sources(&shared, sources, &mut Outcome::default())?,
        };
        let walk = Walk::new(&shared, root, note.take());
        let mut deliver = |outcome| deliver(&shared, outcome, &mut totals, log);
        let snapshot = match spill.take() {
            Some(store) if pass != Pass::Delete => {
                run(pipeline("sync").spill(store), &shared, workers, walk, &mut deliver)
            }
            store => {
                spill = store;
                run(pipeline("sync"), &shared, workers, walk, &mut deliver)
            }
        }?;
        if pass != Pass::Delete {
            engine = snapshot;
            if options.hard_links {
                deliver(worker(&shared, workers).work_off_abandoned()?)?;
            }
            let mut last = Outcome::default();
            shared.delayed.finish(&shared, &mut last);
            deliver(last)?;
        }
    }
    let undeleted = shared.undeleted.load(Ordering::Relaxed);
    if undeleted > 0 {
        let mut last = Outcome::default();
        let text = format!("Deletions stopped due to --max-delete limit ({undeleted} skipped)");
        shared.complain(&mut last, &text, b"", "");
        deliver(&shared, last, &mut totals, log)?;
    }
    Ok(Report { totals, engine, undeleted, spill: location, elapsed: begun.elapsed() })
}

/// Adds rules behind those given: what an interrupted run has left, and backups, take no part.
fn own_rules(options: &mut Options) -> Result<(), FilterError> {
    if options.backup && options.backup_dir.is_none() && options.delete && !options.filters.delete_excluded {
        let rule = [b"P *", backup::suffix(options).as_bytes()].concat();
        options.filters.push_rule(&rule)?;
    }
    if let Some(name) = partial::name(options).map(OsStrExt::as_bytes).filter(|name| !name.starts_with(b"/")) {
        let rule = [b"-p ", name, b"/"].concat();
        options.filters.push_rule(&rule)?;
    }
    Ok(())
}

fn run<M: Mode<Outcome>>(
    pipeline: Pipeline<M>,
    shared: &Shared<'_>,
    workers: usize,
    walk: Walk<'_>,
    deliver: &mut dyn FnMut(Outcome) -> Result<(), Error>,
) -> Result<Snapshot, Error> {
    let init = || worker(shared, workers);
    pipeline.worker_init(init).run(walk, Worker::work, deliver).map_err(|error| ended(error.cause))
}

/// Looks for what has several names.
fn take_census<M: Mode<Names>>(
    pipeline: Pipeline<M>,
    shared: &Shared<'_>,
    sources: &[impl AsRef<OsStr>],
    workers: usize,
) -> Result<Groups, Error> {
    let top = roots::sources(shared, sources, &mut Outcome::default())?;
    let walk = Walk::new(shared, top, None);
    let mut census = Census::default();
    let add = |names| {
        census.add(names);
        Ok(())
    };
    let init = || worker(shared, workers);
    pipeline.worker_init(init).run(walk, Worker::count_names, add).map_err(|error| ended(error.cause))?;
    Ok(census.groups())
}

fn worker<'a>(shared: &'a Shared<'a>, workers: usize) -> Worker<'a> {
    let copier = Copier {
        methods: &shared.methods,
        budget: &shared.options.budget,
        cancel: &shared.options.cancel,
        workers,
        rate: shared.rate.as_ref(),
        sparse: shared.options.sparse,
        reflink: shared.options.reflink,
        buffer: Vec::new(),
        done: 0,
    };
    Worker { shared, copier, names: TempNames::new(), alternates: AlternateDirs::default() }
}

fn ended(cause: Cause<Error>) -> Error {
    match cause {
        Cause::Source(error) | Cause::Work { error, .. } | Cause::Sink { error, .. } => error,
        Cause::Cancelled => Error::Cancelled,
        other => Error::Engine(format!("{other:?}")),
    }
}

fn deliver(shared: &Shared<'_>, mut outcome: Outcome, totals: &mut Totals, log: &mut dyn Log) -> Result<(), Error> {
    outcome.fill(|hole| shared.groups.take(hole.inode, &hole.path));
    if !outcome.text.is_empty() {
        log.text(&outcome.text).map_err(Error::Log)?;
    }
    if !outcome.errors.is_empty() {
        log.errors(&outcome.errors);
    }
    if !outcome.log.is_empty() {
        log.file(&outcome.log);
    }
    *totals += &outcome.totals;
    let ahead =
        Ahead { found: shared.found.load(Ordering::Relaxed), complete: shared.found_all.load(Ordering::Relaxed) };
    log.progress(totals, &ahead).map_err(Error::Log)
}

/// How many items may be in flight: each may hold a directory of its own open, with two descriptors.
fn window(workers: usize) -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    // Kept back: what workers copy, the standard streams, the spill store, and the way down to a deep directory.
    let reserve = 64 + 4 * workers;
    (limit.saturating_sub(reserve) / 4).clamp(1, WINDOW)
}
