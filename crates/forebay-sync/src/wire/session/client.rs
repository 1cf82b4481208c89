//! The client: it starts the other side.

use std::ffi::{OsStr, OsString};
use std::io;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use forebay::CancelToken;
use rustix::io::Errno;

use super::child::{GRACE, reap};
use super::connection::Connection;
use super::heard::{Heard, Messages, Telling};
use super::sending::{Listed, send};
use super::{Opened, may_be_incremental};
use crate::error::Error;
use crate::fs;
use crate::mirror::{Log, Report};
use crate::options::Options;
use crate::passes;
use crate::roots;
use crate::wire::command;
use crate::wire::error::WireError;
use crate::wire::handshake::{self, Offer};
use crate::wire::mux::{Incoming, MuxReader, Outgoing, Tag};
use crate::wire::names;
use crate::wire::receiver::{self, Asked, Mailbox, Stop};
use crate::wire::rules;
use crate::wire::secluded;
use crate::wire::sender::Arrivals;
use crate::wire::shell::{Connected, Homes, RemoteShell, shown};

/// Mirrors `sources`, which are paths on `host`, into `destination`.
///
/// # Errors
/// What ends the run early, on this side or the other.
pub fn pull(
    mut options: Options,
    connection: &Connection,
    host: &OsStr,
    sources: &[OsString],
    destination: &OsStr,
    log: &mut dyn Log,
) -> Result<Report, Error> {
    let listed = options.files_from.as_deref().map(|from| names::read(from, &options)).transpose()?;
    let asked = match &listed {
        _ if connection.shell.trust_sender => Asked::Trusted,
        // The remote shell makes of old arguments what it likes.
        _ if connection.shell.old_args || connection.names_there.is_some() => Asked::Anything,
        Some(listed) => Asked::names(listed, &options),
        None => Asked::of(&sources.iter().map(|path| path.as_bytes()).collect::<Vec<_>>(), &options),
    };
    let logs_there = connection.remote_options.iter().any(|option| option.as_bytes().starts_with(b"--log-file"));
    let started = start(&options, connection, host, sources, true, log)?;
    if connection.cvs_exclude {
        rules::push_cvs(&mut options.filters, true)?;
    }
    started.run(log, |way, log| {
        let Opened { terms, from, outgoing, mailbox, mail, .. } = way;
        if let Some(listed) = listed {
            names::post(&listed, terms.protocol, outgoing);
        }
        let link = receiver::Link { terms, server: false, from, outgoing, mailbox, mail, asked, logs_there };
        receiver::run(options, link, destination, log)
    })
}

/// Mirrors `sources` into `destination`, which is a path on `host`.
///
/// # Errors
/// What ends the run early, on this side or the other.
pub fn push(
    mut options: Options,
    connection: &Connection,
    host: &OsStr,
    sources: &[impl AsRef<OsStr>],
    destination: &OsStr,
    log: &mut dyn Log,
) -> Result<Report, Error> {
    let listed = match &options.files_from {
        Some(from) => Listed::Names(roots::names_from(from, &options, false)?),
        None if connection.names_there.is_some() => Listed::There,
        None => Listed::No,
    };
    if connection.cvs_exclude {
        rules::push_cvs(&mut options.filters, false)?;
    }
    let started = start(&options, connection, host, &[destination.to_owned()], false, log)?;
    started.run(log, |way, log| send(options, way, listed, false, sources, log))
}

/// Starts the other side, and says how.
fn start(
    options: &Options,
    connection: &Connection,
    host: &OsStr,
    paths: &[OsString],
    server_sends: bool,
    log: &mut dyn Log,
) -> Result<Started, Error> {
    let Connection { shell, offer, timeout, .. } = connection;
    let incremental = offer.incremental && may_be_incremental(options, !server_sends);
    let offer = Offer { incremental, ..offer.clone() };
    let mut args = command::server_args(options, connection, &offer, server_sends);
    args.extend(connection.remote_options.iter().cloned());
    args.push(".".into());
    args.extend(paths.iter().map(|path| if path.is_empty() { OsString::from(".") } else { path.clone() }));
    // Behind the letters, which say that more follow.
    let rest =
        args.split_off(if shell.secluded { command::LETTERS + 1 + usize::from(server_sends) } else { args.len() });
    let secluded = if shell.secluded { secluded::told(&rest) } else { Vec::new() };
    let paths = if shell.secluded { 0 } else { paths.len() };
    // As with rsync, which keeps the meaning of what is a path from there on.
    let homes = match (server_sends, options.select.relative) {
        (false, _) => Homes::All,
        (true, false) => Homes::Above,
        (true, true) => Homes::None,
    };
    let words = shell.words(host, &args, paths, homes)?;
    let heard = Heard::new(options);
    if options.levels.debug_cmd > 0 {
        heard.say(&[&b"opening connection using: "[..], &shown(&words)].concat(), log)?;
    }
    let who = if server_sends { "Receiver" } else { "sender" };
    let Connected { child, to, from } = RemoteShell::start(&words).map_err(|error| {
        let why = Errno::from_io_error(&error).map_or_else(|| error.to_string(), fs::describe);
        let program = words.first().map(|word| word.to_string_lossy()).unwrap_or_default();
        Error::Remote { text: format!("rsync: [{who}] Failed to exec {program}: {why}"), code: 14 }
    })?;
    if shell.secluded && options.levels.debug_cmd > 0 {
        heard.say(&[&b"protected args: "[..], &shown(&rest)].concat(), log)?;
    }
    let mut rules = Vec::new();
    if rules::are_sent(options, server_sends) {
        let told = passes::with_own_rules(options).map_err(|error| Error::Usage(error.to_string()))?;
        rules::write(&told, server_sends, &mut rules);
    }
    Ok(Started {
        child,
        pipes: Some((to, from)),
        secluded,
        offer,
        timeout: *timeout,
        rules,
        rate: options.bwlimit,
        cancel: options.cancel.clone(),
        listing: options.list_first && !server_sends,
        heard,
        who,
        received: Arc::default(),
    })
}

/// The other side runs.
struct Started {
    child: Child,
    /// Where it is written to and read from, until that begins.
    pipes: Option<(OwnedFd, OwnedFd)>,
    /// What it is told before anything else.
    secluded: Vec<u8>,
    offer: Offer,
    timeout: Option<Duration>,
    rules: Vec<u8>,
    /// How much may be sent in a second.
    rate: Option<NonZeroU64>,
    cancel: CancelToken,
    /// The list is made here, before anything else is told of.
    listing: bool,
    heard: Heard,
    /// Which side this is, as messages call it.
    who: &'static str,
    /// Bytes that have come.
    received: Arc<AtomicU64>,
}

impl Started {
    fn run<F>(mut self, log: &mut dyn Log, role: F) -> Result<Report, Error>
    where
        F: FnOnce(Opened<'_>, &mut dyn Log) -> Result<Report, Stop>,
    {
        let heard = self.heard.clone();
        let result = self.converse(log, role);
        let theirs = reap(&mut self.child, result.is_ok());
        heard.tell(log)?;
        match result {
            Ok(mut report) => {
                report.peer.get_or_insert_default().code = theirs;
                Ok(report)
            }
            Err(stop) => Err(match stop {
                Stop::Here(error) => error,
                Stop::Wire(WireError::Ended) => Error::Cancelled,
                Stop::Wire(error) => {
                    let code = match error {
                        WireError::Version(_) | WireError::Unsupported(_) => error.exit_code(),
                        // What the other side ended with says more than that it has ended.
                        _ => error.exit_code().max(theirs),
                    };
                    Error::Remote { text: error.told(self.who, self.received.load(Ordering::Relaxed)), code }
                }
            }),
        }
    }

    fn converse<F>(&mut self, log: &mut dyn Log, role: F) -> Result<Report, Stop>
    where
        F: FnOnce(Opened<'_>, &mut dyn Log) -> Result<Report, Stop>,
    {
        let closed = || WireError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        let (to, from) = self.pipes.take().ok_or_else(closed)?;
        let mut incoming = Incoming::new(from, self.timeout);
        self.received = incoming.count();
        let (outgoing, writing) = Outgoing::start(to, self.timeout, self.rate).map_err(WireError::from)?;
        incoming.watch(&outgoing).map_err(WireError::from)?;
        let _cancelled = self.cancel.on_cancel({
            let outgoing = outgoing.clone();
            move || outgoing.hang_up()
        });
        let begun = outgoing
            .send(&self.secluded)
            .and_then(|()| handshake::client(&mut incoming, |bytes| outgoing.send(bytes), &self.offer));
        let terms = match begun {
            // Whoever has been told to end has, whatever came of that.
            Err(_) if self.cancel.is_cancelled() => return Err(Error::Cancelled.into()),
            terms => terms?,
        };
        let protocol = terms.protocol;
        outgoing.multiplex();
        incoming.multiplexed();
        outgoing.send(&self.rules)?;
        log.begin().map_err(Error::Log)?;
        let (mailbox, mail) = Mailbox::new();
        let received = Arc::clone(&self.received);
        let arrivals = Arrivals::default();
        let messages =
            Messages { heard: Some(self.heard.clone()), mailbox: mailbox.clone(), arrivals: arrivals.clone() };
        let mut from = MuxReader::new(incoming, messages);
        let opened = Opened {
            terms,
            from: &mut from,
            outgoing: &outgoing,
            received: Arc::clone(&received),
            mailbox: &mailbox,
            mail,
            arrivals,
        };
        let mut told = Telling { log, heard: &self.heard, listing: self.listing };
        let mut report = match role(opened, &mut told) {
            Ok(report) => report,
            Err(stop) => {
                // Whoever was cut off by another's failure says only that. A signal needs no words.
                let stop = match (stop, outgoing.check()) {
                    (stop, Err(error @ (WireError::Write(_) | WireError::Timeout(_)))) if stop.is_cancellation() => {
                        Stop::Wire(error)
                    }
                    (Stop::Wire(WireError::Ended), _) => Error::Cancelled.into(),
                    (stop, _) => stop,
                };
                return Err(match stop {
                    // The other side may have said why before it went: that nothing can be written was noticed first.
                    Stop::Wire(error @ (WireError::Io(_) | WireError::Write(_))) => {
                        let gone = from.hear_out(GRACE);
                        Stop::Wire(match (self.heard.ended(), error, gone) {
                            (Some(code), ..) => WireError::Peer(code),
                            // As with rsync, that it is gone says more than that nothing can be written to it.
                            (None, WireError::Write(_), Err(gone @ WireError::Io(_))) => gone,
                            (None, error, _) => error,
                        })
                    }
                    Stop::Here(Error::Cancelled) => match self.heard.ended() {
                        Some(code) => Stop::Wire(WireError::Peer(code)),
                        None => Error::Cancelled.into(),
                    },
                    // It need not wonder where we are.
                    Stop::Here(error) if protocol >= 31 => {
                        outgoing.message(Tag::ErrorExit, &i32::from(error.exit_code()).to_le_bytes());
                        writing.let_go();
                        error.into()
                    }
                    stop => stop,
                });
            }
        };
        writing.finish()?;
        // Its last words: it fails if nobody takes them. Nothing depends on them any more.
        let _ = from.hear_out(GRACE);
        let peer = report.peer.get_or_insert_default();
        peer.protocol = protocol;
        (peer.sent, peer.received) = (outgoing.written(), received.load(Ordering::Relaxed));
        Ok(report)
    }
}
