//! The course of a session in the sending role.

use std::collections::HashSet;
use std::io::Read;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::thread;

use forebay::{Cause, Mode, Pipeline, Prefetch, RunError, SegmentStore, Snapshot};

use super::answer::{Answer, Answerer, Shelf};
use super::arrivals::{self, Arrivals};
use super::beneath::Folders;
use super::bodies::Bodies;
use super::lists::{Lists, Summary};
use super::pace::Pace;
use super::patience::Patience;
use super::request::{self, Requests};
use super::stream::Stream;
use super::telling::{Faults, tell};
use crate::error::Error;
use crate::live::Live;
use crate::mirror::Log;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::passes;
use crate::roots::Top;
use crate::shared::Shared;
use crate::totals::Totals;
use crate::wire::error::WireError;
use crate::wire::number::{Indexes, Put, special};
use crate::wire::passage::Passage;
use crate::wire::receiver::{Message, Stop, Way, behind};
use crate::wire::say;
use crate::wire::terms::Terms;

/// Bytes of a file that go on their way together.
const PIECE: usize = 32 << 10;

/// An answer of up to so many bytes goes on its way in one piece with its number.
const SHORT: usize = 32 << 10;

/// The other side.
pub(crate) struct Link<'l, W: ?Sized> {
    pub(crate) terms: &'l Terms,
    /// It has started us, and prints what there is to say.
    pub(crate) server: bool,
    pub(crate) way: &'l W,
    /// What it has, as far as it has told.
    pub(crate) arrivals: &'l Arrivals,
    /// Bytes that have been read and written so far.
    pub(crate) traffic: &'l (dyn Fn() -> (u64, u64) + Sync),
}

/// What came of a session.
#[derive(Debug, Default)]
pub(crate) struct End {
    pub(crate) totals: Totals,
    /// What the engine did to answer.
    pub(crate) answering: Snapshot,
    /// What is known of the lists.
    pub(crate) summary: Summary,
}

/// Whether each directory may have a list of its own, as far as this side is concerned.
pub(crate) fn may_be_incremental(options: &Options) -> bool {
    options.recursive
}

/// Sends what is beneath `top`; `note` is said first. Answers that the budget has no room for go to `spill`.
pub(crate) fn run<R: Read + Send, W: Way + ?Sized>(
    shared: &Shared<'_>,
    link: &Link<'_, W>,
    start: (Top, Outcome),
    spill: Option<SegmentStore>,
    from: &mut R,
    log: &mut dyn Log,
) -> Result<End, Stop> {
    let (lists, stream, faults) = (&Lists::default(), &Stream::new(link.way), &Faults::new(shared));
    let (say, said) = say::Say::new(shared.options);
    let mut totals = Totals::default();
    let log: Mutex<&mut dyn Log> = Mutex::new(log);
    let log = &log;
    let (told, answered, written) = thread::scope(|scope| {
        let _over = Live::watched(shared, scope, log)?;
        let say = Say { to: say, way: link.server.then_some(link.way) };
        let telling = scope.spawn({
            let say = say.clone();
            move || {
                let result = tell(shared, link, start, (lists, stream), faults, &say);
                if result.is_err() {
                    lists.end();
                    // Before the first list, nobody reads requests yet. A client can be told why no more comes.
                    match link.server {
                        _ if !lists.have_begun() => {}
                        true => link.way.hang_up(),
                        false => link.way.cut(),
                    }
                }
                result
            }
        });
        let answering = scope.spawn(move || {
            let result = Answering { shared, link, lists, stream, faults, say }.run(spill, from);
            if result.is_err() && lists.have_begun() {
                link.way.cut();
            }
            lists.end();
            result
        });
        let (mut written, mut listing) = (Ok(()), shared.options.list_first);
        while let Some(outcome) = said.next() {
            if written.is_ok() {
                let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                written = counted(shared, lists, &mut listing, &mut **log)
                    .and_then(|()| passes::deliver(shared, outcome, &mut totals, &mut **log));
                drop(log);
                shared.live.iter().for_each(Live::told);
                if written.is_err() {
                    lists.end();
                    link.way.cut();
                }
            }
        }
        Ok::<_, Error>((join(telling), join(answering), written))
    })?;
    written?;
    // Whoever is cut off by another's failure only says that it was cut off.
    match (told, answered) {
        (Err(stop), Err(other)) if stop.is_cancellation() => Err(other),
        (Err(stop), Err(other)) if other.is_cancellation() || matches!(other, Stop::Wire(_)) => Err(stop),
        (_, Err(stop)) | (Err(stop), _) => Err(stop),
        (Ok(()), Ok(end)) => {
            totals += &end.totals;
            Ok(End { totals, summary: lists.summary().unwrap_or_default(), ..end })
        }
    }
}

/// Tells how far the list is, as long as that is `listing`.
fn counted(shared: &Shared<'_>, lists: &Lists, listing: &mut bool, log: &mut dyn Log) -> Result<(), Error> {
    if !*listing {
        return Ok(());
    }
    let complete = lists.summary().is_some();
    *listing = !complete;
    log.listing(shared.found.load(Ordering::Relaxed), complete).map_err(Error::Log)
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Who says what there is to say: the log, or the other side.
pub(crate) struct Say<'s, W: ?Sized> {
    to: say::Say,
    /// To a client, which prints.
    way: Option<&'s W>,
}

impl<W: ?Sized> Clone for Say<'_, W> {
    fn clone(&self) -> Self {
        Say { to: self.to.clone(), way: self.way }
    }
}

impl<W: Way + ?Sized> Say<'_, W> {
    pub(crate) fn say(&self, mut outcome: Outcome) -> Result<(), Stop> {
        if let Some(way) = self.way {
            let (text, errors) = (std::mem::take(&mut outcome.text), std::mem::take(&mut outcome.errors));
            if !text.is_empty() {
                way.message(Message::Info(&text));
            }
            match outcome.totals.failed {
                _ if errors.is_empty() => {}
                // What has vanished is told by a bit of its own.
                0 => way.message(Message::Warning(&errors)),
                _ => way.message(Message::Error(&errors)),
            }
        }
        Ok(self.to.send(outcome)?)
    }
}

/// Answers what is asked for.
struct Answering<'a, W: ?Sized> {
    shared: &'a Shared<'a>,
    link: &'a Link<'a, W>,
    lists: &'a Lists,
    stream: &'a Stream<'a, W>,
    faults: &'a Faults<'a>,
    say: Say<'a, W>,
}

impl<W: Way + ?Sized> Answering<'_, W> {
    fn run<R: Read + Send>(&self, spill: Option<SegmentStore>, from: &mut R) -> Result<End, Stop> {
        let Answering { shared, link, lists, .. } = *self;
        let entries = lists.wait_for_first().ok_or(Error::Cancelled)?;
        // As with stock rsync, who has asked for nothing that is there does not go on.
        if entries == 0 && link.server {
            return Ok(End::default());
        }
        let options = shared.options;
        let workers = passes::workers(options);
        let settings = shared.settings(workers);
        let pace = &Pace::default();
        let mut requests = Requests {
            from,
            indexes: Indexes::default(),
            options,
            terms: link.terms,
            lists,
            settings,
            arrivals: link.arrivals,
            pace,
            asked: HashSet::new(),
            links: Vec::new(),
            done: false,
            phases: 0,
            deleted: None,
        };
        let pipeline = passes::pipeline(options, "answer", workers);
        let answering = match spill {
            Some(store) => {
                self.answer(pipeline.spill(store).policy(Prefetch::over(Patience::default())), workers, &mut requests)
            }
            None => self.answer(pipeline, workers, &mut requests),
        }?;
        let errors = self.faults.untold();
        if errors != 0 {
            link.way.message(Message::IoError(errors));
        }
        self.stream.done()?;
        if link.server {
            self.statistics()?;
        }
        let totals = self.goodbye(&mut requests)?;
        Ok(End { totals, answering, ..End::default() })
    }

    fn answer<R: Read + Send, M: Mode<Answer>>(
        &self,
        pipeline: Pipeline<M>,
        workers: usize,
        requests: &mut Requests<'_, R>,
    ) -> Result<Snapshot, Stop> {
        let Answering { shared, link, .. } = *self;
        let (shelf, bodies, pace) = (&Shelf::default(), &Bodies::default(), requests.pace);
        let answerer = |workers| Answerer::new(shared, link.terms, (shelf, bodies), link.server, workers);
        let mut large = answerer(workers);
        let mut found = Totals::default();
        let snapshot = pipeline
            .worker_init(|| answerer(1))
            .run(requests, Answerer::answer, |answer| {
                let sent = self.send(answer, bodies, &mut large).and_then(|outcome| {
                    found += &outcome.totals;
                    self.faults.note(&outcome);
                    self.say.say(outcome)
                });
                if sent.is_err() {
                    link.way.cut();
                }
                pace.sent();
                sent
            })
            .map_err(ended)?;
        if link.server && shared.options.levels.debug_deltasum > 0 {
            let Totals { matches, hash_hits, false_alarms, literal_bytes, .. } = found;
            let line = format!(
                "total: matches={matches}  hash_hits={hash_hits}  false_alarms={false_alarms} data={literal_bytes}\n"
            );
            link.way.message(Message::Info(line.as_bytes()));
            self.say.to.send(Outcome { log: line.into_bytes(), ..Outcome::default() })?;
        }
        Ok(snapshot)
    }

    /// Sends an answer. Long files are read here.
    fn send(&self, answer: Answer, bodies: &Bodies, answerer: &mut Answerer<'_>) -> Result<Outcome, Stop> {
        let mut turn = self.stream.turn();
        let mut head = Vec::new();
        match answer {
            Answer::Whole(mut outcome, index, body) => {
                let passage = self.passage(&mut outcome, index)?;
                turn.number(index, &mut head);
                let (behind, passed) = (answerer.behind(index), (head.len() + body.len()) as u64);
                if body.len() <= SHORT {
                    head.put(&body);
                    turn.send(&head)?;
                } else if let Some(passage) = &passage {
                    turn.send(&head)?;
                    passage.send(&body, outcome.totals.transferred_bytes, |piece| turn.send(piece))?;
                } else {
                    turn.send_behind(&head, &body)?;
                }
                passage.into_iter().for_each(|passage| passage.end(&mut outcome));
                answerer.say_behind(behind, passed, &body, &mut outcome);
                bodies.give(body);
                Ok(outcome)
            }
            Answer::Large(mut outcome, index, body, key) => match answerer.reopen(key) {
                Ok(content) => {
                    let behind = answerer.behind(index);
                    let passage = self.passage(&mut outcome, index)?;
                    turn.number(index, &mut head);
                    head.put(&body);
                    let (mut read, mut passed) = (0, 0);
                    let mut flush = |out: &mut Vec<u8>, bytes: u64| {
                        read += bytes;
                        if out.len() < PIECE {
                            return Ok(());
                        }
                        passed += out.len() as u64;
                        match &passage {
                            Some(passage) => passage.send(out, std::mem::take(&mut read), |piece| turn.send(piece))?,
                            None => turn.send(out)?,
                        }
                        out.clear();
                        Ok(())
                    };
                    answerer.put(content, &mut head, &mut outcome, &mut flush)?;
                    turn.send(&head)?;
                    passage.into_iter().for_each(|passage| passage.end(&mut outcome));
                    self.faults.unsent(&outcome);
                    answerer.say_behind(behind, passed + head.len() as u64, &head, &mut outcome);
                    Ok(outcome)
                }
                Err(outcome) => {
                    drop(answerer.behind(index));
                    self.faults.unsent(&outcome);
                    self.link.way.message(Message::NoSend(index));
                    Ok(*outcome)
                }
            },
            Answer::NoSend(outcome, index) => {
                self.faults.unsent(&outcome);
                self.link.way.message(Message::NoSend(index));
                Ok(outcome)
            }
            Answer::Arrived(key) => Ok(answerer.remove(key)),
            Answer::Done => {
                drop(turn);
                self.stream.done()?;
                Ok(Outcome::default())
            }
        }
    }

    /// Says that the content of the file `index` goes, if that is what `outcome` tells.
    fn passage(&self, outcome: &mut Outcome, index: i32) -> Result<Option<Passage<'_>>, Error> {
        if outcome.totals.transferred == 0 || self.shared.live.is_none() {
            return Ok(None);
        }
        let (size, behind) =
            (outcome.totals.transferred_bytes, behind(index, self.lists.list_of(index), self.link.terms));
        Passage::begin(self.shared, &self.say.to, outcome, (size, 0), behind)
    }

    /// Tells a client what was read and written, the size of everything, and how long the lists took, in milliseconds.
    fn statistics(&self) -> Result<(), WireError> {
        let (read, written) = (self.link.traffic)();
        let summary = self.lists.summary().unwrap_or_default();
        let [made, sent] = [summary.made, summary.sent].map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let mut out = Vec::new();
        for value in [read, written, summary.size_bytes, made, sent] {
            out.put_varlong(value.cast_signed(), 3);
        }
        self.stream.turn().send(&out)
    }

    /// The last words: section 12 of the protocol. Gives what was deleted.
    fn goodbye<R: Read>(&self, requests: &mut Requests<'_, R>) -> Result<Totals, Stop> {
        let mut totals = Totals::default();
        if self.link.terms.protocol >= 31 {
            loop {
                match requests.indexes.read(requests.from)? {
                    special::DONE => break,
                    special::DEL_STATS => requests.deleted = Some(request::deletions(requests.from)?),
                    other => return Err(WireError::protocol("a request behind the last", other).into()),
                }
            }
            self.remove(requests)?;
            if let Some(counts) = requests.deleted {
                let [files, dirs, links, devices, specials] = counts.map(u64::from);
                totals.deleted_files += files;
                totals.deleted_dirs += dirs;
                totals.deleted_links += links;
                totals.deleted_devices += devices;
                totals.deleted_specials += specials;
                if self.link.server {
                    let mut turn = self.stream.turn();
                    let mut out = Vec::new();
                    turn.number(special::DEL_STATS, &mut out);
                    counts.into_iter().for_each(|count| out.put_varint(count.cast_signed()));
                    turn.send(&out)?;
                }
            }
            self.stream.done()?;
        }
        match requests.indexes.read(requests.from)? {
            special::DONE => self.remove(requests).map(|()| totals),
            other => Err(WireError::protocol("a request behind the last", other).into()),
        }
    }

    /// Removes from the source what has arrived behind the last request.
    fn remove<R: Read>(&self, requests: &mut Requests<'_, R>) -> Result<(), Stop> {
        let mut folders = Folders::default();
        while let Some(found) = requests.last_arrived()? {
            let mut out = Outcome::default();
            arrivals::remove(self.shared, &mut folders, &found, &mut out);
            self.say.say(out)?;
        }
        Ok(())
    }
}

pub(super) fn ended(error: RunError<Stop>) -> Stop {
    match error.cause {
        Cause::Source(stop) | Cause::Work { error: stop, .. } | Cause::Sink { error: stop, .. } => stop,
        Cause::Cancelled => Error::Cancelled.into(),
        other => Error::Engine(format!("{other:?}")).into(),
    }
}
