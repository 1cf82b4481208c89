//! The sending role, as a client or as a server.

use std::ffi::OsStr;
use std::sync::atomic::Ordering;
use std::time::Instant;

use forebay::SpillStore;

use super::Opened;
use crate::credentials::Credentials;
use crate::live::Live;
use crate::mirror::{Log, Peer, Report};
use crate::options::Options;
use crate::outcome::Outcome;
use crate::roots;
use crate::shared::{Root, Shared};
use crate::text::as_messages;
use crate::wire::mux::Tag;
use crate::wire::names;
use crate::wire::receiver::Stop;
use crate::wire::sender;

/// Where names are that say what takes part.
pub(super) enum Listed {
    No,
    /// These, each with a NUL behind it.
    Names(Vec<u8>),
    /// The other side sends them.
    There,
}

/// The sending role, as either.
pub(super) fn send(
    mut options: Options,
    opened: Opened<'_>,
    listed: Listed,
    server: bool,
    sources: &[impl AsRef<OsStr>],
    log: &mut dyn Log,
) -> Result<Report, Stop> {
    let begun = Instant::now();
    let spill = options.spill.take();
    let location = spill.as_ref().map(SpillStore::location);
    let Opened { terms, from, outgoing, received, arrivals, .. } = opened;
    let _taken = options.copy_as.as_ref().map(Credentials::take_on).transpose()?;
    let nowhere = Root { fd: None, created: false, rename: None, shown: Vec::new() };
    let mut shared = Shared::new(&options, nowhere);
    shared.sums = (terms.transfer, terms.files);
    shared.serves = server;
    shared.live = (!server && Live::is_wanted(&options)).then(Live::of_connection);
    let mut note = Outcome::default();
    shared.listed = match listed {
        Listed::No => None,
        Listed::Names(names) => Some(names),
        Listed::There => Some(names::take(from, terms.protocol)?),
    };
    let top = match roots::sources(&shared, sources, &mut note) {
        Ok(top) => top,
        Err(error) => {
            // What was said of the sources before that one.
            match server {
                true => as_messages(&note.errors).for_each(|line| outgoing.message(Tag::ErrorXfer, &line)),
                false => log.errors(&note.errors),
            }
            log.file(&note.log);
            return Err(error.into());
        }
    };
    let traffic = || (received.load(Ordering::Relaxed), outgoing.written());
    let link = sender::Link { terms: &terms, server, way: outgoing, arrivals: &arrivals, traffic: &traffic };
    outgoing.both_ways();
    let end = sender::run(&shared, &link, (top, note), spill, from, log)?;
    Ok(Report {
        totals: end.totals,
        engine: end.answering,
        undeleted: 0,
        spill: location,
        elapsed: begun.elapsed(),
        peer: Some(Peer { list_made: end.summary.made, list_sent: end.summary.sent, ..Peer::default() }),
    })
}
