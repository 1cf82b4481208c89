//! The course of a session in the sending role.

use std::io::Read;
use std::sync::atomic::Ordering;

use forebay::{Cause, RunError, Snapshot};
use forebay_delta::Settings;

use super::answer::{Answer, Answerer};
use super::arrivals::Arrivals;
use super::entries::{Listed, Lister};
use super::live::Live;
use super::request::{self, Requests};
use crate::error::Error;
use crate::mirror::Log;
use crate::outcome::Outcome;
use crate::passes;
use crate::roots::Top;
use crate::shared::Shared;
use crate::totals::Totals;
use crate::walk::Walk;
use crate::wire::error::WireError;
use crate::wire::limits;
use crate::wire::list::{Encoder, Shape};
use crate::wire::number::{Indexes, Put, special};
use crate::wire::receiver::{Message, Stop, Way};
use crate::wire::terms::Terms;

/// Bytes of the list that go on their way together.
const PIECE: usize = 32 << 10;

/// Bits of an I/O error.
const GENERAL: i32 = 1;
const VANISHED: i32 = 2;

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
}

/// Sends what is beneath `top`; `note` is said first.
pub(crate) fn run<R: Read + Send, W: Way + ?Sized>(
    shared: &Shared<'_>,
    link: &Link<'_, W>,
    top: Top,
    note: Outcome,
    from: &mut R,
    log: &mut dyn Log,
) -> Result<End, Stop> {
    let mut voice = Voice { shared, link, log, totals: Totals::default() };
    let live = list(shared, link, top, note, &mut voice)?;
    let said = voice.io_error();
    // As with stock rsync, who has asked for nothing that is there does not go on.
    if live.len() == 0 && link.server {
        return Ok(End { totals: voice.totals, answering: Snapshot::default() });
    }
    let options = shared.options;
    let workers = passes::workers(options);
    let settings = Settings { workers, budget: options.budget.clone(), cancel: options.cancel.clone() };
    link.arrivals.listed(live.len());
    let (terms, arrivals) = (link.terms, link.arrivals);
    let mut requests = Requests {
        from,
        indexes: Indexes::default(),
        options,
        terms,
        live: &live,
        settings,
        arrivals,
        phases: 0,
        deleted: None,
    };
    let mut answers = Answers { link, indexes: Indexes::default() };
    let mut large = Answerer::new(shared, link.terms, &live, link.server, workers);
    let init = || Answerer::new(shared, link.terms, &live, link.server, 1);
    let answering = passes::pipeline(options, "answer", workers)
        .worker_init(init)
        .run(&mut requests, Answerer::answer, |answer| {
            let sent = answers.send(answer, &mut large).and_then(|outcome| voice.say(outcome));
            if sent.is_err() {
                link.way.cut();
            }
            sent
        })
        .map_err(ended)?;
    let errors = voice.io_error() & !said;
    if errors != 0 {
        link.way.message(Message::IoError(errors));
    }
    answers.done()?;
    if link.server {
        answers.statistics(&voice.totals)?;
    }
    goodbye(&mut requests, &mut answers, &mut voice, &mut large)?;
    Ok(End { totals: voice.totals, answering })
}

/// Who says what there is to say: the other side, or the log.
struct Voice<'v, 's, W: ?Sized> {
    shared: &'v Shared<'s>,
    link: &'v Link<'v, W>,
    log: &'v mut dyn Log,
    totals: Totals,
}

impl<W: Way + ?Sized> Voice<'_, '_, W> {
    fn say(&mut self, outcome: Outcome) -> Result<(), Stop> {
        if !self.link.server {
            return Ok(passes::deliver(self.shared, outcome, &mut self.totals, self.log)?);
        }
        self.totals += &outcome.totals;
        let way = self.link.way;
        if !outcome.text.is_empty() {
            way.message(Message::Info(&outcome.text));
        }
        match outcome.totals.failed + outcome.totals.vanished {
            _ if outcome.errors.is_empty() => {}
            0 => way.message(Message::Warning(&outcome.errors)),
            // What has vanished is told by a bit of its own.
            _ if outcome.totals.failed == 0 => way.message(Message::Warning(&outcome.errors)),
            _ => way.message(Message::Error(&outcome.errors)),
        }
        Ok(())
    }

    /// What could not be listed or read so far.
    fn io_error(&self) -> i32 {
        let general = self.shared.io_error.load(Ordering::Relaxed);
        (if general { GENERAL } else { 0 }) | if self.totals.vanished > 0 { VANISHED } else { 0 }
    }
}

/// Sends the list.
fn list<W: Way + ?Sized>(
    shared: &Shared<'_>,
    link: &Link<'_, W>,
    top: Top,
    note: Outcome,
    voice: &mut Voice<'_, '_, W>,
) -> Result<Live, Stop> {
    let (options, terms) = (shared.options, link.terms);
    let shape = Shape::new(options, terms);
    let safe = shape.varint || shape.safe;
    let first = 0;
    let mut encoder = Encoder::new(shape);
    encoder.begin(first);
    let (mut live, mut out) = (Live::new(first), Vec::new());
    let walk = Walk::new(shared, top, Some(note)).map(|item| item.map_err(Stop::from));
    passes::pipeline(options, "list", passes::workers(options))
        .worker_init(|| Lister::new(shared, terms))
        .run(
            walk,
            |lister, item| Ok(lister.list(item)),
            |Listed { outcome, entries }| {
                for listing in entries {
                    encoder.push(&listing.entry, &mut out);
                    let stat = &listing.entry.facts.stat;
                    if live.len() >= limits::ENTRIES || !live.push(&listing.folder, &listing.name, stat, listing.follow)
                    {
                        return Err(Error::Usage("too many entries for one list".into()).into());
                    }
                }
                if out.len() >= PIECE {
                    link.way.send(std::mem::take(&mut out))?;
                }
                voice.say(outcome)
            },
        )
        .map_err(ended)?;
    let io_error = if options.deletion.ignore_errors { 0 } else { voice.io_error() };
    encoder.end(io_error, &mut out);
    link.way.send(out)?;
    if io_error != 0 && !safe {
        link.way.message(Message::IoError(io_error));
    }
    Ok(live)
}

/// What goes to the receiving side.
struct Answers<'a, W: ?Sized> {
    link: &'a Link<'a, W>,
    indexes: Indexes,
}

impl<W: Way + ?Sized> Answers<'_, W> {
    /// Sends an answer. Long files are read here.
    fn send(&mut self, answer: Answer, answerer: &mut Answerer<'_>) -> Result<Outcome, Stop> {
        let way = self.link.way;
        let mut head = Vec::new();
        match answer {
            Answer::Whole(outcome, index, body) => {
                self.indexes.write(&mut head, index);
                way.send(head)?;
                way.send(body)?;
                Ok(outcome)
            }
            Answer::Large(mut outcome, index, body, content) => {
                self.indexes.write(&mut head, index);
                head.put(&body);
                let mut flush = |out: &mut Vec<u8>| match out.len() {
                    0..PIECE => Ok(()),
                    _ => Ok(way.send(std::mem::take(out))?),
                };
                answerer.put(*content, &mut head, &mut outcome, &mut flush)?;
                way.send(head)?;
                Ok(outcome)
            }
            Answer::NoSend(outcome, index) => {
                way.message(Message::NoSend(index));
                Ok(outcome)
            }
            Answer::Arrived(index) => Ok(answerer.remove(index)),
            Answer::Done => {
                self.done()?;
                Ok(Outcome::default())
            }
        }
    }

    /// Ends a phase.
    fn done(&mut self) -> Result<(), WireError> {
        let mut out = Vec::new();
        self.indexes.write(&mut out, special::DONE);
        self.link.way.send(out)
    }

    /// Tells a client what was read and written.
    fn statistics(&self, totals: &Totals) -> Result<(), WireError> {
        let (read, written) = (self.link.traffic)();
        let mut out = Vec::new();
        // How long it took to make and to send the list is not told.
        for value in [read, written, totals.size_bytes, 0, 0] {
            out.put_varlong(value.cast_signed(), 3);
        }
        self.link.way.send(out)
    }
}

/// The last words: section 12 of the protocol.
fn goodbye<R: Read, W: Way + ?Sized>(
    requests: &mut Requests<'_, R>,
    answers: &mut Answers<'_, W>,
    voice: &mut Voice<'_, '_, W>,
    answerer: &mut Answerer<'_>,
) -> Result<(), Stop> {
    let link = answers.link;
    // What was told behind the last request, or will be.
    let mut remove = |voice: &mut Voice<'_, '_, W>| {
        std::iter::from_fn(|| link.arrivals.next()).try_for_each(|index| voice.say(answerer.remove(index)))
    };
    if link.terms.protocol >= 31 {
        loop {
            match requests.indexes.read(requests.from)? {
                special::DONE => break,
                special::DEL_STATS => requests.deleted = Some(request::deletions(requests.from)?),
                other => return Err(WireError::protocol("a request behind the last", other).into()),
            }
        }
        remove(voice)?;
        if let Some(counts) = requests.deleted {
            let totals = &mut voice.totals;
            let [files, dirs, links, devices, specials] = counts.map(u64::from);
            totals.deleted_files += files;
            totals.deleted_dirs += dirs;
            totals.deleted_links += links;
            totals.deleted_devices += devices;
            totals.deleted_specials += specials;
            if link.server {
                let mut out = Vec::new();
                answers.indexes.write(&mut out, special::DEL_STATS);
                counts.into_iter().for_each(|count| out.put_varint(count.cast_signed()));
                link.way.send(out)?;
            }
        }
        answers.done()?;
    }
    match requests.indexes.read(requests.from)? {
        special::DONE => remove(voice),
        other => Err(WireError::protocol("a request behind the last", other).into()),
    }
}

fn ended(error: RunError<Stop>) -> Stop {
    match error.cause {
        Cause::Source(stop) | Cause::Work { error: stop, .. } | Cause::Sink { error: stop, .. } => stop,
        Cause::Cancelled => Error::Cancelled.into(),
        other => Error::Engine(format!("{other:?}")).into(),
    }
}
