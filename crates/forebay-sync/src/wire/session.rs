//! A session from its first byte to its last: as a client, which starts the other side, or as a server, which was started.

use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use forebay::SpillStore;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::command;
use super::error::WireError;
use super::handshake::{self, Letters, Offer};
use super::limits;
use super::mux::{self, Incoming, MuxReader, Outgoing, Tag, Writing};
use super::names;
use super::receiver::{self, Asked, Mail, Mailbox, Stop};
use super::rules;
use super::secluded;
use super::sender::{self, Arrivals};
use super::shell::{Connected, RemoteShell};
use super::terms::Terms;
use crate::credentials::Credentials;
use crate::error::Error;
use crate::itemize;
use crate::mirror::{Log, Peer, Report};
use crate::options::Options;
use crate::origins::Origins;
use crate::outcome::Outcome;
use crate::passes;
use crate::roots;
use crate::shared::{Identity, Root, Shared};
use crate::totals::{Ahead, Totals};

/// How the other side is reached, and what may be agreed on with it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Connection {
    /// How it is started.
    pub shell: RemoteShell,
    /// What is offered to it.
    pub offer: Offer,
    /// `--timeout`: how long nothing may come. Default: for ever.
    pub timeout: Option<Duration>,
    /// `--files-from=:FILE`: the names are in this file of the other side.
    pub names_there: Option<OsString>,
    /// `--usermap` and `--groupmap`, where the other side receives: it reads them.
    pub owner_maps: [Option<OsString>; 2],
    /// `-M`: what else the other side is told.
    pub remote_options: Vec<OsString>,
}

/// What a server was told about its client and its paths.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Served {
    /// `--sender`: it sends.
    pub sends: bool,
    /// The value of `-e`: what the client can do.
    pub letters: OsString,
    /// What it sends, or where it puts what it receives.
    pub paths: Vec<OsString>,
    /// No shell has read the paths: wildcards in them are expanded here.
    pub secluded: bool,
}

/// Mirrors `sources`, which are paths on `host`, into `destination`.
///
/// # Errors
/// What ends the run early, on this side or the other.
pub fn pull(
    options: Options,
    connection: &Connection,
    host: &OsStr,
    sources: &[OsString],
    destination: &OsStr,
    log: &mut dyn Log,
) -> Result<Report, Error> {
    let listed = options.files_from.as_deref().map(|from| names::read(from, &options)).transpose()?;
    let asked = match &listed {
        _ if connection.shell.trust_sender || connection.names_there.is_some() => Asked::Anything,
        Some(listed) => Asked::names(listed, options.select.relative),
        None => Asked::of(&sources.iter().map(|path| path.as_bytes()).collect::<Vec<_>>(), options.select.relative),
    };
    start(&options, connection, host, sources, true)?.run(log, |way, log| {
        let Opened { terms, from, outgoing, mailbox, mail, .. } = way;
        if let Some(listed) = listed {
            names::post(&listed, terms.protocol, outgoing);
        }
        let link = receiver::Link { terms, server: false, from, outgoing, mailbox, mail, asked };
        receiver::run(options, link, destination, log)
    })
}

/// Mirrors `sources` into `destination`, which is a path on `host`.
///
/// # Errors
/// What ends the run early, on this side or the other.
pub fn push(
    options: Options,
    connection: &Connection,
    host: &OsStr,
    sources: &[impl AsRef<OsStr>],
    destination: &OsStr,
    log: &mut dyn Log,
) -> Result<Report, Error> {
    let listed = match &options.files_from {
        Some(from) => Listed::Names(roots::names_from(from, options.filters.nul, false)?),
        None if connection.names_there.is_some() => Listed::There,
        None => Listed::No,
    };
    let started = start(&options, connection, host, &[destination.to_owned()], false)?;
    started.run(log, |way, log| send(options, way, listed, false, sources, log))
}

/// Starts the other side and shakes hands.
fn start(
    options: &Options,
    connection: &Connection,
    host: &OsStr,
    paths: &[OsString],
    server_sends: bool,
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
    let Connected { child, to, from } = shell.start(host, &args, paths).map_err(|error| Error::Remote {
        text: format!("rsync: [client] Failed to exec {}: {error}", shell.command.to_string_lossy()),
        code: 14,
    })?;
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
        heard: Heard::new(options),
    })
}

/// Whether lists may follow one by one, as far as this side is concerned.
fn may_be_incremental(options: &Options, sends: bool) -> bool {
    if sends { sender::may_be_incremental(options) } else { receiver::may_be_incremental(options) }
}

/// Does what a client asks for, over standard input and output. Returns the exit code.
pub fn serve(options: Options, connection: &Connection, served: &Served) -> u8 {
    let incremental = connection.offer.incremental && may_be_incremental(&options, served.sends);
    let offer = Offer { incremental, ..connection.offer.clone() };
    match Server::begin(connection, &offer, served, options.bwlimit) {
        Ok(server) => server.run(options, served),
        Err(error) => {
            // Nobody may be there to read it.
            let _ = io::Write::write_all(&mut io::stderr(), format!("rsync: {error}\n").as_bytes());
            error.exit_code()
        }
    }
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
    heard: Heard,
}

/// A connection whose terms are known.
struct Opened<'o> {
    terms: Terms,
    from: MuxReader<Incoming, Messages>,
    outgoing: &'o Outgoing,
    /// Bytes that have come.
    received: Arc<AtomicU64>,
    mailbox: &'o Mailbox,
    mail: Mail,
    arrivals: Arrivals,
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
                Stop::Wire(error) => {
                    // What the other side ended with says more than that it has ended.
                    let code = error.exit_code().max(theirs);
                    Error::Remote { text: format!("rsync: {error}"), code }
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
        let (outgoing, writing) =
            Outgoing::start(to, self.timeout.map(|timeout| timeout / 2), self.rate).map_err(WireError::from)?;
        incoming.watch(&outgoing).map_err(WireError::from)?;
        outgoing.send(&self.secluded)?;
        let terms = handshake::client(&mut incoming, |bytes| outgoing.send(bytes), &self.offer)?;
        outgoing.multiplex();
        outgoing.send(&self.rules)?;
        let (mailbox, mail) = Mailbox::new();
        let received = incoming.count();
        let arrivals = Arrivals::default();
        let messages =
            Messages { heard: Some(self.heard.clone()), mailbox: mailbox.clone(), arrivals: arrivals.clone() };
        let from = MuxReader::new(incoming, messages);
        let opened = Opened {
            terms,
            from,
            outgoing: &outgoing,
            received: Arc::clone(&received),
            mailbox: &mailbox,
            mail,
            arrivals,
        };
        let mut told = Telling { log, heard: &self.heard };
        let mut report = role(opened, &mut told)?;
        writing.finish()?;
        let peer = report.peer.get_or_insert_default();
        (peer.sent, peer.received) = (outgoing.written(), received.load(Ordering::Relaxed));
        Ok(report)
    }
}

/// Where names are that say what takes part.
enum Listed {
    No,
    /// These, each with a NUL behind it.
    Names(Vec<u8>),
    /// The other side sends them.
    There,
}

/// The sending role, as either.
fn send(
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
    let Opened { terms, mut from, outgoing, received, arrivals, .. } = opened;
    let _taken = options.copy_as.as_ref().map(Credentials::take_on).transpose()?;
    let nowhere = Root { fd: None, created: false, rename: None, shown: Vec::new() };
    let mut shared = Shared::new(&options, nowhere);
    shared.sums = (terms.transfer, terms.files);
    let mut note = Outcome::default();
    shared.listed = match listed {
        Listed::No => None,
        Listed::Names(names) => Some(names),
        Listed::There => Some(names::take(&mut from, terms.protocol)?),
    };
    shared.origins = Origins::new(&options, sources, shared.listed.as_deref());
    let top = roots::sources(&shared, sources, &mut note)?;
    let traffic = || (received.load(Ordering::Relaxed), outgoing.written());
    let link = sender::Link { terms: &terms, server, way: outgoing, arrivals: &arrivals, traffic: &traffic };
    let end = sender::run(&shared, &link, (top, note), spill, &mut from, log)?;
    Ok(Report {
        totals: end.totals,
        engine: end.answering,
        undeleted: 0,
        spill: location,
        elapsed: begun.elapsed(),
        peer: Some(Peer { list_made: end.summary.made, list_sent: end.summary.sent, ..Peer::default() }),
    })
}

/// The server's end of a connection.
struct Server {
    terms: Terms,
    from: Incoming,
    outgoing: Outgoing,
    writing: Writing,
}

impl Server {
    fn begin(
        connection: &Connection,
        offer: &Offer,
        served: &Served,
        rate: Option<NonZeroU64>,
    ) -> Result<Self, WireError> {
        let (stdin, stdout) = (io::stdin(), io::stdout());
        let mut from = Incoming::new(stdin.as_fd().try_clone_to_owned()?, connection.timeout);
        let keep_alive = connection.timeout.map(|timeout| timeout / 2);
        let (outgoing, writing) = Outgoing::start(stdout.as_fd().try_clone_to_owned()?, keep_alive, rate)?;
        from.watch(&outgoing)?;
        let letters = Letters::parse(served.letters.as_bytes());
        let seed = (RandomState::new().build_hasher().finish() as i32 & i32::MAX).max(1);
        let terms = handshake::server(&mut from, |bytes| outgoing.send(bytes), offer, &letters, seed)?;
        outgoing.multiplex();
        Ok(Server { terms, from, outgoing, writing })
    }

    fn run(self, mut options: Options, served: &Served) -> u8 {
        let Server { terms, from, outgoing, writing } = self;
        let ((mailbox, mail), arrivals) = (Mailbox::new(), Arrivals::default());
        let received = from.count();
        let mut from =
            MuxReader::new(from, Messages { heard: None, mailbox: mailbox.clone(), arrivals: arrivals.clone() });
        let (protocol, mut told) = (terms.protocol, false);
        let result = (|| {
            if rules::are_sent(&options, served.sends) {
                rules::read(&mut from, &mut options.filters)?;
            }
            let opened = Opened { terms, from, outgoing: &outgoing, received, mailbox: &mailbox, mail, arrivals };
            if served.sends {
                let listed = match options.files_from.take() {
                    None => Listed::No,
                    Some(from) if from == names::STREAM => Listed::There,
                    Some(from) => Listed::Names(roots::names_from(&from, options.filters.nul, false)?),
                };
                let paths = match served.secluded {
                    true => &served.paths.iter().flat_map(|path| secluded::expand(path)).collect(),
                    false => &served.paths,
                };
                return send(options, opened, listed, true, paths, &mut Silent);
            }
            if let Some(from) = &options.files_from {
                names::post(&names::read(from, &options)?, protocol, opened.outgoing);
            }
            let Opened { terms, from, outgoing, mailbox, mail, .. } = opened;
            let link = receiver::Link { terms, server: true, from, outgoing, mailbox, mail, asked: Asked::Anything };
            let destination = served.paths.first().cloned().unwrap_or_else(|| ".".into());
            receiver::run(options, link, &destination, &mut Speaking(outgoing))
        })();
        let code = match result {
            Ok(report) => report.exit_code(),
            Err(stop) => {
                let (text, code, gone) = match &stop {
                    Stop::Here(Error::Cancelled) => (String::new(), 20, false),
                    Stop::Here(error) => (format!("{error}\n"), error.exit_code(), false),
                    Stop::Wire(error) => (format!("rsync: {error}\n"), error.exit_code(), true),
                };
                told = !gone;
                if !gone {
                    if !text.is_empty() {
                        outgoing.message(Tag::Error, text.as_bytes());
                    }
                    if protocol >= 31 {
                        outgoing.message(Tag::ErrorExit, &i32::from(code).to_le_bytes());
                    }
                }
                code
            }
        };
        // Who is gone cannot be told.
        let _ = writing.finish();
        if told {
            discard();
        }
        code
    }
}

/// How long a client that has been told why the session ends may go on sending.
const LEAVE: Duration = Duration::from_secs(10);

/// Reads what a client still sends until it ends: it might fail at that before it has read what it was told.
fn discard() {
    let (stdin, until, mut buffer) = (io::stdin(), Instant::now() + LEAVE, vec![0; 64 << 10]);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match mux::ready(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(left)) {
            Ok(true) => {}
            Ok(false) | Err(_) => return,
        }
        match rustix::io::read(&stdin, &mut *buffer) {
            Ok(0) => return,
            Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return,
        }
    }
}

/// Messages in their order.
#[derive(Debug, Default)]
struct Said {
    all: Vec<(Tag, Vec<u8>)>,
    bytes: usize,
}

/// What the other side has said and nobody has printed yet.
#[derive(Clone, Debug)]
struct Heard {
    queue: Arc<Mutex<Said>>,
    /// By which deletions are told.
    lines: Arc<Options>,
    me: Identity,
}

impl Heard {
    fn new(options: &Options) -> Self {
        Heard {
            queue: Arc::default(),
            lines: Arc::new(Options {
                itemize: options.itemize,
                format: options.format.clone(),
                log_format: options.log_format.clone(),
                levels: options.levels,
                json: options.json,
                quiet: options.quiet,
                escape: options.escape,
                ..Options::default()
            }),
            me: Identity::now(),
        }
    }

    /// Prints it.
    fn tell(&self, log: &mut dyn Log) -> Result<(), Error> {
        let all = std::mem::take(&mut *self.queue.lock().unwrap_or_else(PoisonError::into_inner));
        let options = &*self.lines;
        for (tag, text) in all.all {
            let mut line = Vec::new();
            match tag {
                Tag::Deleted => {
                    let nowhere = Root { fd: None, created: false, rename: None, shown: Vec::new() };
                    let (shared, mut out) = (Shared::of(options, nowhere, self.me.clone()), Outcome::default());
                    let (path, is_dir) = match text.strip_suffix(b"\0") {
                        Some(path) => (path, true),
                        None => (&text[..], false),
                    };
                    itemize::log_deleted(&shared, &mut out, path, is_dir);
                    log.text(&out.text).map_err(Error::Log)?;
                    log.file(&out.log);
                }
                tag => {
                    // Ends of lines stay; everything else that is no text is escaped.
                    for piece in text.split_inclusive(|&byte| byte == b'\n') {
                        let end = piece.ends_with(b"\n");
                        options.escape.push(&mut line, piece.strip_suffix(b"\n").unwrap_or(piece));
                        line.extend_from_slice(if end { b"\n" } else { b"" });
                    }
                    match tag {
                        Tag::Info => log.text(&line).map_err(Error::Log)?,
                        _ => log.errors(&line),
                    }
                    log.file(&line);
                }
            }
        }
        Ok(())
    }
}

/// Takes messages while the stream is read.
#[derive(Debug)]
struct Messages {
    /// For whoever prints; a server does not.
    heard: Option<Heard>,
    mailbox: Mailbox,
    arrivals: Arrivals,
}

impl super::mux::Messages for Messages {
    fn message(&mut self, tag: Tag, payload: &[u8]) -> Result<(), WireError> {
        if self.mailbox.take(tag, payload)? || self.arrivals.take(tag, payload)? {
            return Ok(());
        }
        match tag {
            Tag::ErrorExit => {
                let code = payload.first_chunk().map_or(12, |bytes| i32::from_le_bytes(*bytes));
                Err(WireError::Peer(u8::try_from(code).unwrap_or(12)))
            }
            Tag::Info | Tag::Error | Tag::ErrorXfer | Tag::Warning | Tag::Deleted => {
                if let Some(heard) = &self.heard {
                    let mut queue = heard.queue.lock().unwrap_or_else(PoisonError::into_inner);
                    queue.bytes += size_of::<(Tag, Vec<u8>)>() + payload.len();
                    if queue.bytes > limits::MESSAGES {
                        return Err(WireError::protocol("more messages than can be printed", queue.all.len() as i64));
                    }
                    queue.all.push((tag, payload.to_vec()));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// A log that also prints what the other side has said.
struct Telling<'t> {
    log: &'t mut dyn Log,
    heard: &'t Heard,
}

impl Telling<'_> {
    fn heard(&mut self) -> io::Result<()> {
        self.heard.tell(self.log).map_err(|error| match error {
            Error::Log(error) => error,
            error => io::Error::other(error),
        })
    }
}

impl Log for Telling<'_> {
    fn text(&mut self, lines: &[u8]) -> io::Result<()> {
        // What has been heard came before.
        self.heard()?;
        self.log.text(lines)
    }

    fn errors(&mut self, lines: &[u8]) {
        self.log.errors(lines);
    }

    fn file(&mut self, lines: &[u8]) {
        self.log.file(lines);
    }

    fn listing(&mut self, entries: u64, complete: bool) -> io::Result<()> {
        self.log.listing(entries, complete)
    }

    fn progress(&mut self, totals: &Totals, ahead: &Ahead) -> io::Result<()> {
        self.heard()?;
        self.log.progress(totals, ahead)
    }
}

/// The log of a server that sends: its role says everything over the wire.
struct Silent;

impl Log for Silent {
    fn text(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn errors(&mut self, _: &[u8]) {}

    fn progress(&mut self, _: &Totals, _: &Ahead) -> io::Result<()> {
        Ok(())
    }
}

/// The log of a server that receives: its client prints.
struct Speaking<'s>(&'s Outgoing);

impl Log for Speaking<'_> {
    fn text(&mut self, lines: &[u8]) -> io::Result<()> {
        lines.split_inclusive(|&byte| byte == b'\n').for_each(|line| self.0.message(Tag::Info, line));
        Ok(())
    }

    fn errors(&mut self, lines: &[u8]) {
        lines.split_inclusive(|&byte| byte == b'\n').for_each(|line| self.0.message(Tag::ErrorXfer, line));
    }

    fn progress(&mut self, _: &Totals, _: &Ahead) -> io::Result<()> {
        Ok(())
    }
}

/// How long a remote shell is waited for when the session has failed.
const GRACE: Duration = Duration::from_secs(1);

/// Waits for the remote shell to end, and gives its exit code. Behind a session that has failed it may never do so: it is
/// killed then.
fn reap(child: &mut Child, ended: bool) -> u8 {
    let failed = Instant::now();
    while !ended && failed.elapsed() < GRACE {
        match child.try_wait() {
            Ok(None) => std::thread::sleep(Duration::from_millis(10)),
            Ok(Some(status)) => return code_of(status),
            Err(_) => break,
        }
    }
    if !ended {
        // It may have ended by now.
        let _ = child.kill();
        let _ = child.wait();
        return 0;
    }
    child.wait().map_or(14, code_of)
}

/// The exit code of what was started.
fn code_of(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(12),
        (None, Some(_)) => 14,
        (None, None) => 12,
    }
}
