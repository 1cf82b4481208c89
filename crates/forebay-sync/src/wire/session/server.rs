//! The server: it was started by a client, and speaks over standard input and output.

use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forebay::{CancelToken, OnCancel};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::connection::Connection;
use super::heard::Messages;
use super::sending::{Listed, send};
use super::{Opened, may_be_incremental};
use crate::ending::ending;
use crate::error::Error;
use crate::mirror::Log;
use crate::options::Options;
use crate::roots;
use crate::text::{as_file, as_messages};
use crate::totals::{Ahead, Totals};
use crate::wire::error::WireError;
use crate::wire::handshake::{self, Letters, Offer};
use crate::wire::mux::{self, Incoming, MuxReader, Outgoing, Tag, Writing};
use crate::wire::names;
use crate::wire::receiver::{self, Asked, Mailbox, Stop};
use crate::wire::rules;
use crate::wire::secluded;
use crate::wire::sender::Arrivals;
use crate::wire::terms::Terms;

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
    /// The client sends its rules although nothing is deleted: it only lists what it would send.
    pub rules: bool,
    /// No shell has read the paths: wildcards in them are expanded here.
    pub secluded: bool,
    /// What is wrong with the other options, which the client is told before anything else.
    pub refused: Option<String>,
}

impl Served {
    /// Which side this is, as messages call it.
    pub fn role(&self) -> &'static str {
        if self.sends { "sender" } else { "Receiver" }
    }
}

/// Does what a client asks for, over standard input and output. Returns the exit code. Of `log`, only what is for a log file is
/// asked for ([`Log::file`]): the client prints. `cancelled` gives the exit code of a run that was cancelled.
pub fn serve(
    options: Options,
    connection: &Connection,
    served: &Served,
    cancelled: &dyn Fn() -> u8,
    log: &mut dyn Log,
) -> u8 {
    let incremental = connection.offer.incremental && may_be_incremental(&options, served.sends);
    let offer = Offer { incremental, ..connection.offer.clone() };
    let role = served.role();
    let mut count = Arc::default();
    match Server::begin(connection, &offer, served, (options.bwlimit, &options.cancel), &mut count) {
        Ok(server) => server.run(options, served, (connection.cvs_exclude, cancelled), log),
        Err(WireError::Ended) => {
            let code = cancelled();
            complain("", code, role);
            code
        }
        Err(error) => {
            complain(&error.told(role, count.load(Ordering::Relaxed)), error.exit_code(), role);
            error.exit_code()
        }
    }
}

/// Says on standard error why the session has ended: who is gone cannot be told.
fn complain(why: &str, code: u8, role: &str) {
    let lines = [Some(why.to_owned()).filter(|why| !why.is_empty()), ending(code, role)];
    let text: String = lines.into_iter().flatten().map(|line| line + "\n").collect();
    // Nobody may be there to read it.
    let _ = io::Write::write_all(&mut io::stderr(), text.as_bytes());
}

/// The server's end of a connection.
struct Server {
    terms: Terms,
    from: Incoming,
    outgoing: Outgoing,
    writing: Writing,
    _cancelled: OnCancel,
}

impl Server {
    fn begin(
        connection: &Connection,
        offer: &Offer,
        served: &Served,
        (rate, cancel): (Option<NonZeroU64>, &CancelToken),
        count: &mut Arc<AtomicU64>,
    ) -> Result<Self, WireError> {
        let (stdin, stdout) = (io::stdin(), io::stdout());
        let mut from = Incoming::new(stdin.as_fd().try_clone_to_owned()?, connection.timeout);
        *count = from.count();
        let (outgoing, writing) = Outgoing::start(stdout.as_fd().try_clone_to_owned()?, connection.timeout, rate)?;
        from.watch(&outgoing)?;
        let _cancelled = cancel.on_cancel({
            let outgoing = outgoing.clone();
            move || outgoing.hang_up()
        });
        let letters = Letters::parse(served.letters.as_bytes());
        let seed = match connection.checksum_seed {
            0 => (RandomState::new().build_hasher().finish() as i32 & i32::MAX).max(1),
            seed => seed,
        };
        let terms = match handshake::server(&mut from, |bytes| outgoing.send(bytes), offer, &letters, seed) {
            Ok(terms) => terms,
            Err(error) => {
                // From what was sent, a client may find out the same.
                writing.finish_within(LEAVE);
                return Err(error);
            }
        };
        outgoing.multiplex();
        from.multiplexed();
        Ok(Server { terms, from, outgoing, writing, _cancelled })
    }

    fn run(
        self,
        mut options: Options,
        served: &Served,
        (cvs_exclude, cancelled): (bool, &dyn Fn() -> u8),
        log: &mut dyn Log,
    ) -> u8 {
        let Server { terms, from, outgoing, writing, _cancelled } = self;
        let role = served.role();
        let ((mailbox, mail), arrivals) = (Mailbox::new(), Arrivals::default());
        let received = from.count();
        let mut from =
            MuxReader::new(from, Messages { heard: None, mailbox: mailbox.clone(), arrivals: arrivals.clone() });
        let (protocol, mut told, count) = (terms.protocol, false, Arc::clone(&received));
        log.file(if served.sends { b"building file list\n" } else { b"receiving file list\n" });
        let result = (|| {
            if let Some(why) = &served.refused {
                return Err(Error::Usage(why.clone()).into());
            }
            if served.rules || rules::are_sent(&options, served.sends) {
                rules::read(&mut from, &mut options.filters)?;
            }
            if served.sends && cvs_exclude {
                rules::push_cvs(&mut options.filters, false)?;
            }
            let opened =
                Opened { terms, from: &mut from, outgoing: &outgoing, received, mailbox: &mailbox, mail, arrivals };
            let paths: Vec<_> = match served.secluded {
                true => served.paths.iter().flat_map(|path| secluded::expand(path)).collect(),
                false => served.paths.clone(),
            };
            if served.sends {
                let listed = match options.files_from.take() {
                    None => Listed::No,
                    Some(from) if from == names::STREAM => Listed::There,
                    Some(from) => Listed::Names(roots::names_from(&from, &options, false)?),
                };
                return send(options, opened, listed, true, &paths, &mut Silent(log));
            }
            if let Some(from) = &options.files_from {
                names::post(&names::read(from, &options)?, protocol, opened.outgoing);
            }
            let Opened { terms, from, outgoing, mailbox, mail, .. } = opened;
            let link = receiver::Link {
                terms,
                server: true,
                from,
                outgoing,
                mailbox,
                mail,
                asked: Asked::Anything,
                logs_there: false,
            };
            // As with rsync, the first of what its wildcards stand for.
            let destination = paths.into_iter().next().unwrap_or_else(|| ".".into());
            receiver::run(options, link, &destination, &mut Speaking(outgoing, log))
        })();
        let done = result.is_ok();
        let code = match result {
            Ok(report) => {
                let (sent, received) = (outgoing.written(), count.load(Ordering::Relaxed));
                let (size, code) = (report.totals.size_bytes, report.exit_code());
                // As with rsync, which of what has failed sums up where it sends.
                if code == 0 || served.sends {
                    log.file(format!("sent {sent} bytes  received {received} bytes  total size {size}\n").as_bytes());
                }
                code
            }
            Err(stop) => {
                let (text, code, gone) = match &stop {
                    _ if stop.is_cancellation() => (String::new(), cancelled(), false),
                    Stop::Here(error) => (format!("{error}\n"), error.exit_code(), false),
                    Stop::Wire(error) => (error.told(role, count.load(Ordering::Relaxed)), error.exit_code(), true),
                };
                told = !gone;
                if gone {
                    // Who ends it has said so.
                    if !matches!(stop, Stop::Wire(WireError::Peer(_))) {
                        complain(&text, code, role);
                    }
                } else {
                    // A client that is told how it ended says nothing more.
                    let text = text + &ending(code, role).map_or_else(String::new, |end| end + "\n");
                    as_messages(text.as_bytes()).for_each(|line| outgoing.message(Tag::Error, &line));
                    log.file(&as_file(text.as_bytes()));
                    // Who sends is believed by its own exit code alone; of 19, stock rsync's two processes of a client make something
                    // else.
                    if protocol >= 31 && code != 19 && !served.sends {
                        outgoing.message(Tag::ErrorExit, &i32::from(code).to_le_bytes());
                    }
                }
                code
            }
        };
        // Who is gone cannot be told, and who does not read is not waited for.
        match done {
            true => drop(writing.finish()),
            false => writing.finish_within(LEAVE),
        }
        if told {
            discard(served.sends);
        }
        code
    }
}

/// How long a client may take to read why the session ends.
const LEAVE: Duration = Duration::from_secs(10);

/// How long it may do so where it sends files. It reads what it was told when it can send no more.
const LINGER: Duration = Duration::from_millis(500);

/// How long it may say nothing. It takes the exit code of this process for why the session ends, and waits for that.
const QUIET: Duration = Duration::from_secs(1);

/// Reads what a client still sends until it ends: it might fail at that before it has read what it was told. One that `asks` is to
/// have asked for everything: that is little.
fn discard(asks: bool) {
    let (stdin, mut buffer) = (io::stdin(), vec![0; 64 << 10]);
    let until = Instant::now() + if asks { LEAVE } else { LINGER };
    loop {
        let left = until.saturating_duration_since(Instant::now()).min(QUIET);
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

/// The log of a server that sends: its role says everything over the wire.
struct Silent<'l>(&'l mut dyn Log);

impl Log for Silent<'_> {
    fn text(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn errors(&mut self, _: &[u8]) {}

    fn file(&mut self, lines: &[u8]) {
        self.0.file(&as_file(lines));
    }

    fn progress(&mut self, _: &Totals, _: &Ahead) -> io::Result<()> {
        Ok(())
    }
}

/// The log of a server that receives: its client prints.
struct Speaking<'s>(&'s Outgoing, &'s mut dyn Log);

impl Log for Speaking<'_> {
    fn text(&mut self, lines: &[u8]) -> io::Result<()> {
        as_messages(lines).for_each(|line| self.0.message(Tag::Info, &line));
        Ok(())
    }

    fn errors(&mut self, lines: &[u8]) {
        as_messages(lines).for_each(|line| self.0.message(Tag::ErrorXfer, &line));
    }

    fn file(&mut self, lines: &[u8]) {
        self.1.file(&as_file(lines));
    }

    fn progress(&mut self, _: &Totals, _: &Ahead) -> io::Result<()> {
        Ok(())
    }
}
