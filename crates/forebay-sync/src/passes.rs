//! How a pass over the entries is run: threads, memory, and where reports go.

use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::Ordering;

use forebay::{Cause, Mode, Pipeline, Snapshot};

use crate::alternates::AlternateDirs;
use crate::backup;
use crate::census::{Census, Names};
use crate::content::copy::Copier;
use crate::content::partial;
use crate::content::temp::TempNames;
use crate::error::Error;
use crate::filter::{FilterError, Filters};
use crate::in_order;
use crate::item::{Item, Numbered};
use crate::live::Live;
use crate::mirror::Log;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::shared::Shared;
use crate::totals::{Ahead, Totals};
use crate::worker::Worker;

/// Items in flight at most, whatever the limit on open files.
const WINDOW: usize = 1024;

/// How many threads work.
pub(crate) fn workers(options: &Options) -> usize {
    let workers = options.workers.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    // Which entries a limit on deletions spares depends on their order.
    if options.deletion.max.is_some() { 1 } else { workers }
}

/// A pipeline for one pass.
pub(crate) fn pipeline(options: &Options, name: &str, workers: usize) -> Pipeline {
    Pipeline::new()
        .name(name)
        .workers(workers)
        .budget(&options.budget)
        .window(options.window.map_or_else(|| window(workers), NonZeroUsize::get))
        .cancel(&options.cancel)
}

/// Adds rules behind those given: what an interrupted run has left, and backups, take no part.
pub(crate) fn own_rules(options: &mut Options) -> Result<(), FilterError> {
    options.filters = with_own_rules(options)?;
    Ok(())
}

/// The rules, with those behind them.
pub(crate) fn with_own_rules(options: &Options) -> Result<Filters, FilterError> {
    let mut filters = options.filters.clone();
    if options.backup && options.backup_dir.is_none() && options.delete && !options.filters.delete_excluded {
        let rule = [b"P *", backup::suffix(options).as_bytes()].concat();
        filters.push_rule(&rule)?;
    }
    if let Some(name) = partial::name(options).map(OsStrExt::as_bytes).filter(|name| !name.starts_with(b"/")) {
        let rule = [b"-p ", name, b"/"].concat();
        filters.push_rule(&rule)?;
    }
    Ok(filters)
}

/// Works on the items of `walk`, and delivers the reports in order.
pub(crate) fn run<M: Mode<Outcome>>(
    pipeline: Pipeline<M>,
    shared: &Shared<'_>,
    workers: usize,
    walk: impl Iterator<Item = Result<Item, Error>> + Send,
    deliver: &mut dyn FnMut(Outcome) -> Result<(), Error>,
) -> Result<Snapshot, Error> {
    let init = || worker(shared, workers);
    // Items of a tree take very different times.
    let walk = (0..).zip(walk).map(|(number, item)| item.map(|item| Numbered { number, item }));
    let work = |worker: &mut Worker<'_>, Numbered { number, item }| {
        worker.item = number;
        worker.work(item)
    };
    pipeline.batch(1).worker_init(init).run(walk, work, deliver).map_err(|error| ended(error.cause))
}

/// Looks for what has several names in the list number `list`, and says who leads.
pub(crate) fn take_census<M: Mode<Names>>(
    pipeline: Pipeline<M>,
    shared: &Shared<'_>,
    walk: impl Iterator<Item = Result<Item, Error>> + Send,
    workers: usize,
    list: i32,
) -> Result<(), Error> {
    let mut census = Census::default();
    let add = |names| {
        census.add(names, list);
        Ok(())
    };
    let init = || worker(shared, workers);
    pipeline.batch(1).worker_init(init).run(walk, Worker::count_names, add).map_err(|error| ended(error.cause))?;
    census.groups(&shared.groups);
    Ok(())
}

/// A worker of one of `workers` threads.
pub(crate) fn worker<'a>(shared: &'a Shared<'a>, workers: usize) -> Worker<'a> {
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
        watched: None,
    };
    Worker {
        shared,
        copier,
        names: TempNames::new(),
        alternates: AlternateDirs::default(),
        arrived: false,
        dressed: false,
        delivers: false,
        item: 0,
    }
}

fn ended(cause: Cause<Error>) -> Error {
    match cause {
        Cause::Source(error) | Cause::Work { error, .. } | Cause::Sink { error, .. } => error,
        Cause::Cancelled => Error::Cancelled,
        other => Error::Engine(format!("{other:?}")),
    }
}

/// Says what there is to say, and adds the numbers.
pub(crate) fn deliver(
    shared: &Shared<'_>,
    mut outcome: Outcome,
    totals: &mut Totals,
    log: &mut dyn Log,
) -> Result<(), Error> {
    in_order::work_off(shared, &mut outcome)?;
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
    log.progress(totals, &ahead(shared)).map_err(Error::Log)
}

/// How far the walk is.
pub(crate) fn ahead(shared: &Shared<'_>) -> Ahead {
    let carried = shared.live.as_ref().and_then(Live::carried);
    let (found, complete) = match &shared.remote {
        Some(remote) => remote.ledger.found(),
        None => (shared.found.load(Ordering::Relaxed), shared.found_all.load(Ordering::Relaxed)),
    };
    Ahead { found, complete, carried }
}

/// Says, with `--debug=flist`, whether what is there serves to build files.
pub(crate) fn tell_of_deltas(shared: &Shared<'_>, out: &mut Outcome) {
    let text: &[u8] = match shared.options.whole_file && shared.options.append.is_none() {
        _ if shared.options.levels.debug_flist == 0 => return,
        true => b"delta-transmission disabled for local transfer or --whole-file\n",
        false => b"delta-transmission enabled\n",
    };
    shared.say(out, &[text], b"", b"");
}

/// How many items may be in flight: each may hold a directory of its own open, with two descriptors.
fn window(workers: usize) -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    // Kept back: what workers copy, the standard streams, the spill store, and the way down to a deep directory.
    let reserve = 64 + 4 * workers;
    (limit.saturating_sub(reserve) / 4).clamp(1, WINDOW)
}
