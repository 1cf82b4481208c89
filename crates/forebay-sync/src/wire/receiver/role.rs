//! The course of a session in the receiving role.
//!
//! ```text
//!  list ──► WireWalk ──► workers: compare, find a basis, sign ──► in order: requests ──► sender
//!  reader ◄── answers: drafts, sums, names ──► late: other names of a file, and what follows from what came ──► sender
//! ```
//!
//! The reader waits for nothing but the disk and the log. Who writes to the other side waits for that alone.

use std::io::Read;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use forebay::{Mode, Pipeline, SegmentStore, Snapshot};
use forebay_delta::{AssemblyStats, Strategy, assemble};

use super::answer::{Answers, Stop};
use super::batch::Batch;
use super::ledger::Again;
use super::list_walk::ListWalk;
use super::lists::{Lists, Queue};
use super::reader;
use super::remote::Remote;
use super::teller::{Late, Mail, Mailbox, Message, Teller, Way};
use super::walk::WireWalk;
use super::writing::Writers;
use crate::error::Error;
use crate::live::Live;
use crate::mirror::Log;
use crate::outcome::Outcome;
use crate::passes;
use crate::select::Pass;
use crate::shared::Shared;
use crate::target;
use crate::totals::{Kinds, Totals};
use crate::walk;
use crate::wire::mux::ReadAhead;
use crate::wire::number::{Indexes, special};
use crate::wire::say::Say;
use crate::wire::token::TokenReader;
use crate::worker::{Entry, Worker};

/// What came of a session.
#[derive(Debug, Default)]
pub(crate) struct End {
    pub(crate) totals: Totals,
    /// How files were put together.
    pub(crate) assembly: AssemblyStats,
    /// Bytes of the file lists.
    pub(crate) list_bytes: u64,
    /// What the engine did for the generator.
    pub(crate) engine: Snapshot,
}

/// Brings the destination, which is open, up to date with the first list and those that follow; `note` is said first.
pub(crate) fn run<R: ReadAhead + Send, W: Way + ?Sized>(
    shared: &mut Shared<'_>,
    batch: &Batch,
    note: Outcome,
    from: Incoming<'_, R>,
    way: &W,
    (mailbox, mail): (&Mailbox, Mail),
    (spill, log): (Option<Arc<SegmentStore>>, &mut dyn Log),
) -> Result<End, Stop> {
    let mut end = End::default();
    let workers = passes::workers(shared.options);
    deliver(shared, note, way, &mut end.totals, log)?;
    let batch = &look_ahead(shared, batch, workers, &mut end.totals)?;
    let all = Pass::all(shared.options.delete, shared.options.deletion.when);
    let copies = all.iter().position(|pass| *pass != Pass::Delete).unwrap_or_default();
    for &pass in all.get(..copies).unwrap_or_default() {
        delete(shared, pass, batch, (way, mailbox), &mut end.totals, log)?;
    }
    shared.pass = all.get(copies).copied().unwrap_or(Pass::Copy);
    let mut deltas = Outcome::default();
    passes::tell_of_deltas(shared, &mut deltas);
    passes::deliver(shared, deltas, &mut end.totals, log)?;
    let mut from = from;
    (end.engine, end.assembly) =
        transfer(shared, batch, &mut from, (way, mailbox, mail), spill, (&mut end.totals, log))?;
    for &pass in all.get(copies + 1..).unwrap_or_default() {
        delete(shared, pass, batch, (way, mailbox), &mut end.totals, log)?;
    }
    let mut last = Outcome::default();
    shared.modes.finish(shared, &mut last);
    shared.places.finish(&shared.root);
    deliver(shared, last, way, &mut end.totals, log)?;
    let undeleted = shared.undeleted.load(Ordering::Relaxed);
    if undeleted > 0 {
        let text = format!("Deletions stopped due to --max-delete limit ({undeleted} skipped)");
        if shared.remote.as_ref().is_some_and(|remote| remote.server) {
            way.message(Message::Warning(format!("{text}\n").as_bytes()));
        } else {
            let mut last = Outcome::default();
            shared.complain(&mut last, &text, b"", "");
            passes::deliver(shared, last, &mut end.totals, log)?;
        }
    }
    goodbye(shared, &mut from, (way, mailbox), &end.totals)?;
    end.list_bytes = from.lists.bytes;
    Ok(end)
}

/// Says `outcome`. A server says its errors as what they are: to a client, an error is a failure, and a warning is none.
fn deliver<W: Way + ?Sized>(
    shared: &Shared<'_>,
    mut outcome: Outcome,
    way: &W,
    totals: &mut Totals,
    log: &mut dyn Log,
) -> Result<(), Error> {
    if shared.remote.as_ref().is_some_and(|remote| remote.server) && outcome.totals.failed == 0 {
        let errors = std::mem::take(&mut outcome.errors);
        way.message(Message::Warning(&errors));
    }
    passes::deliver(shared, outcome, totals, log)
}

/// What has to be known of the whole list before anything is done. Gives what is to be gone through of it.
fn look_ahead(shared: &mut Shared<'_>, batch: &Batch, workers: usize, totals: &mut Totals) -> Result<Batch, Error> {
    shared.pass = Pass::Copy;
    let options = shared.options;
    let mut batch = batch.clone();
    if options.select.prune_empty_dirs {
        // The other side has told what has failed.
        let (barren, _) = walk::barren(shared, WireWalk::new(shared, batch.clone(), false))?;
        // As with rsync, which leaves them out when it has counted.
        (0..barren.len()).for_each(|_| totals.count_listed(Kinds::Dir));
        batch.leave_out(barren);
    }
    if options.hard_links && shared.remote.as_ref().is_some_and(|remote| !remote.terms.incremental()) {
        let pipeline = passes::pipeline(options, "census", workers);
        let walk = WireWalk::new(shared, batch.clone(), false);
        passes::take_census(pipeline, shared, walk, workers, batch.first)?;
    }
    Ok(batch)
}

/// A pass that only deletes.
fn delete<W: Way + ?Sized>(
    shared: &mut Shared<'_>,
    pass: Pass,
    batch: &Batch,
    (way, mailbox): (&W, &Mailbox),
    totals: &mut Totals,
    log: &mut dyn Log,
) -> Result<(), Error> {
    shared.pass = pass;
    let shared = &*shared;
    let Some(remote) = &shared.remote else { return Ok(()) };
    let teller = Teller::new(remote, way, mailbox.clone());
    let mut deliver = |outcome| passes::deliver(shared, teller.deliver(outcome)?, totals, log);
    let pipeline = passes::pipeline(shared.options, "sync", 1);
    let walk = WireWalk::new(shared, batch.clone(), false);
    passes::run(pipeline, shared, 1, walk, &mut deliver)?;
    Ok(())
}

/// What comes, with the numbers that it is told by, and the lists behind the first.
pub(crate) struct Incoming<'i, R> {
    pub(crate) from: &'i mut R,
    pub(crate) indexes: Indexes,
    pub(crate) lists: Lists,
    pub(crate) queue: &'i Queue,
}

/// Everything up to the third end of a phase.
fn transfer<R: ReadAhead + Send, W: Way + ?Sized>(
    shared: &Shared<'_>,
    batch: &Batch,
    from: &mut Incoming<'_, R>,
    (way, mailbox, mail): (&W, &Mailbox, Mail),
    spill: Option<Arc<SegmentStore>>,
    (totals, log): (&mut Totals, &mut dyn Log),
) -> Result<(Snapshot, AssemblyStats), Stop> {
    let Some(remote) = &shared.remote else { return Ok(<_>::default()) };
    let workers = passes::workers(shared.options);
    let teller = &Teller::new(remote, way, mailbox.clone());
    let (say, said) = Say::new(shared.options);
    let compressor = remote.terms.compress.map(|compress| compress.kind);
    let tokens =
        TokenReader::new(compressor, remote.terms.protocol).map_err(|error| Error::Engine(error.to_string()))?;
    let log: Mutex<&mut dyn Log> = Mutex::new(log);
    let log = &log;
    thread::scope(|scope| {
        let _over = Live::watched(shared, scope, log)?;
        let queue = from.queue;
        let reading = scope.spawn({
            let say = say.clone();
            move || {
                let result = take(shared, from, tokens, teller, workers, &say);
                if result.is_err() {
                    shared.options.cancel.cancel();
                }
                remote.ledger.end();
                queue.end();
                result
            }
        });
        let telling = scope.spawn(move || {
            while remote.ledger.finished_list() {
                teller.done()?;
            }
            Ok::<_, Error>(())
        });
        let following = scope.spawn({
            let say = say.clone();
            move || follow(shared, teller, &mail, workers, &say)
        });
        let asking = scope.spawn(move || {
            let result = ask(shared, (batch, queue), teller, spill, workers, &say);
            mailbox.put(Late::End);
            if result.is_err() {
                shared.options.cancel.cancel();
                way.hang_up();
            }
            result
        });
        let mut written = Ok(());
        while let Some(outcome) = said.next() {
            if written.is_ok() {
                let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                written = passes::deliver(shared, outcome, totals, &mut **log);
                drop(log);
                shared.live.iter().for_each(Live::told);
                if written.is_err() {
                    shared.options.cancel.cancel();
                    way.hang_up();
                }
            }
        }
        let (read, asked, followed) = (join(reading), join(asking), join(telling).and(join(following)));
        written?;
        // Whoever is cut off by another's failure only says that it was cut off.
        match (read, asked, followed) {
            (Err(stop @ Stop::Here(_)), ..) if !stop.is_cancellation() => Err(stop),
            (_, Err(error), _) | (_, _, Err(error)) if !matches!(error, Error::Cancelled) => Err(error.into()),
            (Err(stop), ..) if !stop.is_cancellation() => Err(stop),
            (_, Err(error), _) | (_, _, Err(error)) => Err(error.into()),
            (Err(stop), ..) => Err(stop),
            (Ok(assembly), Ok(engine), Ok(())) => Ok((engine, assembly)),
        }
    })
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The reader: takes what comes, and has it written.
fn take<R: ReadAhead, W: Way + ?Sized>(
    shared: &Shared<'_>,
    incoming: &mut Incoming<'_, R>,
    tokens: TokenReader,
    teller: &Teller<'_, W>,
    workers: usize,
    say: &Say,
) -> Result<AssemblyStats, Stop> {
    let Incoming { from, indexes, lists, queue } = incoming;
    let writers = Writers::new(shared, workers);
    let deliver = |outcome| say.send(teller.deliver_late(outcome));
    let again = |index, again| teller.ask_again(index, again);
    let settings = shared.settings(workers);
    let assembled = assemble(&settings, Strategy::Auto, |assembly| {
        let mut answers =
            Answers { assembly, writers: &writers, tokens, more: false, deliver: &deliver, say, again: &again };
        reader::read(*from, indexes, lists, queue, &mut answers)
    });
    let assembled = assembled.map_err(|error| Stop::Here(Error::Engine(error.to_string())))?;
    // What ended here ended the connection, too.
    let stats = assembled.stats;
    shared.broken().map_or(assembled.value.map(|()| stats), |error| Err(error.into()))
}

/// The generator: goes through the list, asks for what is to come, and ends the phases. What the budget has no room for until
/// it is sent goes to `spill`.
fn ask<W: Way + ?Sized>(
    shared: &Shared<'_>,
    lists: (&Batch, &Queue),
    teller: &Teller<'_, W>,
    spill: Option<Arc<SegmentStore>>,
    workers: usize,
    say: &Say,
) -> Result<Snapshot, Error> {
    let Some(remote) = &shared.remote else { return Ok(Snapshot::default()) };
    let mut deliver = |outcome| say.send(teller.deliver(outcome)?);
    let pipeline = passes::pipeline(shared.options, "sync", workers);
    let engine = match spill {
        Some(store) => generate(pipeline.spill(store), shared, remote, workers, lists, &mut deliver),
        None => generate(pipeline, shared, remote, workers, lists, &mut deliver),
    }?;
    let mut worker = passes::worker(shared, workers);
    let cut = |there| if there { Ok(()) } else { Err(Error::Cancelled) };
    cut(remote.ledger.wait_for_lists(remote.terms.incremental()))?;
    teller.done()?;
    cut(remote.ledger.wait_for_end(1))?;
    let mut late = Outcome::default();
    for lacking in std::mem::take(&mut *remote.lacking.lock().unwrap_or_else(PoisonError::into_inner)) {
        lacking.add(shared, &mut late);
    }
    deliver(late)?;
    for again in remote.ledger.take_again() {
        deliver(ask_again(&mut worker, again)?)?;
    }
    remote.closed.store(true, Ordering::Release);
    teller.done()?;
    cut(remote.ledger.wait_for_end(2))?;
    let mut last = Outcome::default();
    shared.delayed.finish(shared, &mut last);
    deliver(last)?;
    shared.dooms.finish(shared, &mut deliver)?;
    let mut last = Outcome::default();
    shared.removals.finish(shared, &mut last);
    deliver(last)?;
    teller.done()?;
    cut(remote.ledger.wait_for_end(3))?;
    Ok(engine)
}

/// Goes through the lists.
fn generate<M: Mode<Outcome>>(
    pipeline: Pipeline<M>,
    shared: &Shared<'_>,
    remote: &Remote,
    workers: usize,
    (batch, queue): (&Batch, &Queue),
    deliver: &mut dyn FnMut(Outcome) -> Result<(), Error>,
) -> Result<Snapshot, Error> {
    match remote.terms.incremental() {
        true => passes::run(pipeline, shared, workers, ListWalk::new(shared, batch, queue)?, deliver),
        false => passes::run(pipeline, shared, workers, WireWalk::new(shared, batch.clone(), true), deliver),
    }
}

/// Asks for a file whose content was wrong, with sums of full length.
fn ask_again(worker: &mut Worker<'_>, Again { dir, at }: Again) -> Result<Outcome, Error> {
    let (shared, mut out) = (worker.shared, Outcome::default());
    if let Some(src) = Entry::stat(shared, &dir, at, &mut out) {
        let entered = target::enter(shared, &dir);
        if let Some(entry) = Entry::look(shared, &dir, at, src, &entered, &mut out) {
            worker.request(&entry, None, true, &mut out)?;
        }
    }
    worker.let_go(dir, &mut out);
    Ok(out)
}

/// Does what follows from answers.
fn follow<W: Way + ?Sized>(
    shared: &Shared<'_>,
    teller: &Teller<'_, W>,
    mail: &Mail,
    workers: usize,
    say: &Say,
) -> Result<(), Error> {
    let Some(remote) = &shared.remote else { return Ok(()) };
    let mut worker = passes::worker(shared, workers);
    while let Ok(late) = mail.recv() {
        match late {
            Late::Tell(notices) => teller.tell(&notices)?,
            Late::NoSend(index) => {
                let Some(awaited) = remote.ledger.take(index) else { continue };
                let mut out = Outcome::default();
                if let Some(expected) = awaited.file {
                    if shared.options.hard_links {
                        worker.settle(&expected.dir, expected.at, None, &mut out)?;
                    }
                    worker.let_go(expected.dir, &mut out);
                }
                say.send(teller.deliver(out)?)?;
                remote.ledger.close(index);
            }
            Late::Again(index, again) => {
                let out = ask_again(&mut worker, again)?;
                say.send(teller.deliver(out)?)?;
                remote.ledger.close(index);
            }
            Late::Walked(list) => {
                // Everything in it has had its turn: who still waits for a name in it waits in vain.
                let out = worker.work_off_abandoned(list)?;
                say.send(teller.deliver(out)?)?;
                remote.ledger.walked(list);
            }
            Late::IoError(bits) => {
                if remote.unread(bits) {
                    shared.io_error.store(true, Ordering::Relaxed);
                }
            }
            Late::End => break,
        }
    }
    Ok(())
}

/// The last words, behind the third end of a phase: section 12.
fn goodbye<R: Read, W: Way + ?Sized>(
    shared: &Shared<'_>,
    incoming: &mut Incoming<'_, R>,
    (way, mailbox): (&W, &Mailbox),
    totals: &Totals,
) -> Result<(), Stop> {
    let Some(remote) = &shared.remote else { return Ok(()) };
    let teller = Teller::new(remote, way, mailbox.clone());
    if remote.terms.protocol < 31 {
        return Ok(teller.done()?);
    }
    if shared.options.delete || shared.options.deletion.force {
        let Totals { deleted_files, deleted_dirs, deleted_links, deleted_devices, deleted_specials, .. } = *totals;
        teller.deleted([deleted_files, deleted_dirs, deleted_links, deleted_devices, deleted_specials])?;
    }
    teller.done()?;
    let Incoming { from, indexes, .. } = incoming;
    loop {
        match indexes.read(*from)? {
            special::DONE => break,
            special::DEL_STATS => reader::read_deletions(*from)?,
            other => return Err(crate::wire::error::WireError::protocol("an answer behind the last", other).into()),
        }
    }
    Ok(teller.done()?)
}
