//! The receiving role from the first byte behind the handshake to the last.

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use forebay::SpillStore;

use super::answer::Stop;
use super::asked::Asked;
use super::lists::{Lists, Queue};
use super::reader;
use super::remote::Remote;
use super::role::{self, Incoming};
use super::teller::{Late, Mail, Mailbox, Message, Way};
use crate::credentials::Credentials;
use crate::doomed::Dooms;
use crate::error::Error;
use crate::live::Live;
use crate::mirror::{Log, Peer, Report};
use crate::options::Options;
use crate::outcome::Outcome;
use crate::passes;
use crate::places::Places;
use crate::roots::{self, Shape as Sources};
use crate::select::DeleteWhen;
use crate::shared::{Root, Shared};
use crate::text::as_messages;
use crate::totals::Totals;
use crate::wire::error::WireError;
use crate::wire::limits;
use crate::wire::list::{Decoder, Shape};
use crate::wire::mux::{Outgoing, ReadAhead, Tag};
use crate::wire::number::Indexes;
use crate::wire::terms::Terms;

/// What a session in the receiving role begins with.
pub(crate) struct Link<'l, R> {
    pub(crate) terms: Terms,
    /// The other side has started us.
    pub(crate) server: bool,
    /// The data of the multiplexed stream.
    pub(crate) from: R,
    pub(crate) outgoing: &'l Outgoing,
    /// What was put into the mailbox of messages.
    pub(crate) mailbox: &'l Mailbox,
    pub(crate) mail: Mail,
    pub(crate) asked: Asked,
    /// The other side has a log file.
    pub(crate) logs_there: bool,
}

impl Way for Outgoing {
    fn send(&self, bytes: &[u8]) -> Result<(), WireError> {
        Outgoing::send(self, bytes)
    }

    fn send_behind(&self, head: &[u8], bytes: &[u8]) -> Result<(), WireError> {
        Outgoing::send_behind(self, head, bytes)
    }

    fn message(&self, message: Message<'_>) {
        let (tag, text) = match message {
            Message::Info(text) => (Tag::Info, text),
            Message::Warning(text) => (Tag::Warning, text),
            Message::Error(text) => (Tag::ErrorXfer, text),
            Message::Deleted(name) => return Outgoing::message(self, Tag::Deleted, name),
            Message::NoSend(index) => return Outgoing::message(self, Tag::NoSend, &index.to_le_bytes()),
            Message::Arrived(index) => return Outgoing::message(self, Tag::Success, &index.to_le_bytes()),
            Message::IoError(bits) => return Outgoing::message(self, Tag::IoError, &bits.to_le_bytes()),
        };
        // Line by line: long messages are cut.
        as_messages(text).for_each(|line| Outgoing::message(self, tag, &line));
    }

    fn cut(&self) {
        self.abort();
    }

    fn hang_up(&self) {
        Outgoing::hang_up(self);
    }
}

impl Mailbox {
    /// Takes a message that concerns this role. Whether it does.
    pub(crate) fn take(&self, tag: Tag, payload: &[u8]) -> Result<bool, WireError> {
        let number = || payload.first_chunk().map(|bytes| i32::from_le_bytes(*bytes));
        let number = || number().ok_or(WireError::protocol("a message that is too short", payload.len() as i64));
        match tag {
            Tag::NoSend => self.put(Late::NoSend(number()?)),
            Tag::IoError => self.put(Late::IoError(number()? & limits::IO_ERROR)),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Whether lists may come one by one: not where all has to be known first, or in the end.
pub(crate) fn may_be_incremental(options: &Options) -> bool {
    let waits = options.delete && matches!(options.deletion.when, DeleteWhen::Before | DeleteWhen::After);
    options.recursive && !waits && !options.delay_updates && !options.select.prune_empty_dirs
}

/// Brings `destination` up to date with what comes over `link`.
///
/// # Errors
/// What ends the session early: the other side breaks the protocol or is gone, or something here makes it pointless to go on.
pub(crate) fn run<R: ReadAhead + Send>(
    mut options: Options,
    link: Link<'_, R>,
    destination: &OsStr,
    log: &mut dyn Log,
) -> Result<Report, Stop> {
    let begun = Instant::now();
    let spill = options.spill.take().map(Arc::new);
    let location = spill.as_ref().map(SpillStore::location);
    let Link { terms, server, mut from, outgoing, mailbox, mail, asked, logs_there } = link;
    // What comes has been made usable, if at all, where it was read.
    let munges = std::mem::take(&mut options.munge_links);
    passes::own_rules(&mut options).map_err(|error| Error::Usage(error.to_string()))?;
    let _taken = options.copy_as.as_ref().map(Credentials::take_on).transpose()?;
    let nowhere = Root { fd: None, created: false, rename: None, shown: Vec::new() };
    let mut shared = Shared::new(&options, nowhere);
    shared.dooms = Dooms::spilling(spill.clone().map(|store| store as _));
    // What is written comes no faster than it is sent.
    shared.rate = None;
    shared.serves = server;
    shared.live = (!server && Live::is_wanted(&options)).then(Live::of_connection);
    let mut decoder = Decoder::new(Shape::new(&options, &terms), options.select.relative);
    decoder.ids.maps = [options.user_map.clone(), options.group_map.clone()];
    decoder.modes = (options.chmod.clone(), shared.me.umask);
    let incremental = terms.incremental();
    let mut lists = Lists::new(decoder, asked, incremental, munges);
    let mut remote = Remote::new(terms, server, &options);
    remote.logs_there = logs_there;
    shared.remote = Some(remote);
    let (queue, mut indexes) = (Queue::default(), Indexes::default());
    let batch = lists.first(&mut from, &shared)?;
    outgoing.both_ways();
    if options.list_first {
        log.listing(batch.len() as u64, true).map_err(Error::Log)?;
    }
    let nothing = |totals| Report {
        totals,
        engine: <_>::default(),
        undeleted: 0,
        spill: location.clone(),
        elapsed: begun.elapsed(),
        peer: None,
    };
    // A client that gets nothing leaves at once; a server goes through the phases.
    if batch.len() == 0 && !server {
        return Ok(nothing(Totals::default()));
    }
    let mut note = Outcome::default();
    let mut alone = batch.len() == 1;
    if let Some(remote) = &shared.remote {
        remote.ledger.add_list(batch.first, batch.len());
        match incremental {
            // Whether it is alone is told by what follows.
            true if alone => {
                let index = indexes.read(&mut from)?;
                alone = !reader::list(&mut from, index, &mut lists, &queue, &shared)?;
            }
            true => {}
            false => remote.ledger.complete(),
        }
    }
    let sources = Sources { single: alone, single_file: alone && !batch.is_dir(0), contents: batch.has_root() };
    let mut totals = Totals::default();
    let opened = match options.list_only {
        None if batch.len() > 0 => roots::destination(&shared, sources, destination, &mut note),
        None => roots::destination_of_nothing(&shared, destination, &mut note),
        Some(_) => Ok(Root { fd: None, created: false, rename: None, shown: Vec::new() }),
    };
    let opened = opened.and_then(|root| {
        shared.root = root;
        Places::open(&shared, &mut note)
    });
    match opened {
        Ok(places) => shared.places = places,
        Err(error) => {
            passes::deliver(&shared, note, &mut totals, log)?;
            return Err(error.into());
        }
    }
    let incoming = Incoming { from: &mut from, indexes, lists, queue: &queue };
    let end = role::run(&mut shared, &batch, note, incoming, outgoing, (mailbox, mail), (spill, log))?;
    let undeleted = shared.undeleted.load(Ordering::Relaxed);
    let told =
        shared.remote.as_ref().map(|remote| remote.list_times.each_ref().map(|time| time.load(Ordering::Relaxed)));
    let [list_made, list_sent] = told.unwrap_or_default().map(Duration::from_millis);
    let lists = shared.remote.as_ref().map_or(0, |remote| remote.ledger.lists());
    let unread = shared.remote.as_ref().map_or(0, |remote| remote.unread.load(Ordering::Relaxed));
    let peer = Some(Peer {
        list_made,
        list_sent,
        unread: unread & limits::GENERAL != 0,
        vanished: unread & limits::VANISHED != 0,
        lists,
        list_bytes: end.list_bytes,
        assembly: end.assembly,
        ..Peer::default()
    });
    Ok(Report { engine: end.engine, undeleted, peer, ..nothing(end.totals) })
}
