//! What the other side says beside the data, and who prints it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use forebay::CancelToken;

use crate::error::Error;
use crate::itemize;
use crate::json;
use crate::live::Copying;
use crate::mirror::Log;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::shared::{Identity, Root, Shared};
use crate::totals::{Ahead, Totals};
use crate::wire::error::WireError;
use crate::wire::limits;
use crate::wire::mux::{self, Tag};
use crate::wire::receiver::Mailbox;
use crate::wire::sender::Arrivals;

/// Messages in their order.
#[derive(Debug, Default)]
struct Said {
    all: Vec<(Tag, Vec<u8>)>,
    bytes: usize,
    /// The exit code with which the other side has ended, if it has said so.
    ended: Option<u8>,
}

/// What the other side has said and nobody has printed yet.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    queue: Arc<Mutex<Said>>,
    /// By which deletions are told.
    lines: Arc<Options>,
    me: Identity,
    cancel: CancelToken,
}

impl Heard {
    pub(super) fn new(options: &Options) -> Self {
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
            cancel: options.cancel.clone(),
        }
    }

    /// Prints a line that this side says of the connection. It is in no log file.
    pub(super) fn say(&self, line: &[u8], log: &mut dyn Log) -> Result<(), Error> {
        let (shared, mut out) = (self.shared(), Outcome::default());
        shared.say(&mut out, &[], line, b"\n");
        if out.text.is_empty() { Ok(()) } else { log.text(&out.text).map_err(Error::Log) }
    }

    /// The exit code with which the other side has ended, if it has said so: whoever has read that may not be the one that is
    /// asked why the session ends.
    pub(super) fn ended(&self) -> Option<u8> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).ended
    }

    /// What a line is made with.
    fn shared(&self) -> Shared<'_> {
        let nowhere = Root { fd: None, created: false, rename: None, shown: Vec::new() };
        Shared::of(&self.lines, nowhere, self.me.clone())
    }

    /// Prints it.
    pub(super) fn tell(&self, log: &mut dyn Log) -> Result<(), Error> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let all = std::mem::take(&mut queue.all);
        queue.bytes = 0;
        drop(queue);
        let options = &*self.lines;
        for (tag, text) in all {
            let mut line = Vec::new();
            match tag {
                Tag::Deleted => {
                    let (shared, mut out) = (self.shared(), Outcome::default());
                    let (path, is_dir) = match text.strip_suffix(b"\0") {
                        Some(path) => (path, true),
                        None => (&text[..], false),
                    };
                    itemize::log_deleted(&shared, &mut out, path, is_dir);
                    log.text(&out.text).map_err(Error::Log)?;
                    log.file(&out.log);
                }
                tag => {
                    // The end of the line stays; everything else that is no text is escaped, so that no name makes a line.
                    let said = text.strip_suffix(b"\n");
                    options.escape.push(&mut line, said.unwrap_or(&text));
                    line.extend_from_slice(if said.is_some() { b"\n" } else { b"" });
                    match tag {
                        Tag::Info if options.json => {
                            let mut object = Vec::new();
                            json::message(&mut object, &line);
                            log.text(&object).map_err(Error::Log)?;
                        }
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
pub(super) struct Messages {
    /// For whoever prints; a server does not.
    pub(super) heard: Option<Heard>,
    pub(super) mailbox: Mailbox,
    pub(super) arrivals: Arrivals,
}

impl mux::Messages for Messages {
    fn message(&mut self, tag: Tag, payload: &[u8]) -> Result<(), WireError> {
        if self.mailbox.take(tag, payload)? || self.arrivals.take(tag, payload)? {
            return Ok(());
        }
        match tag {
            Tag::ErrorExit => {
                let code = payload.first_chunk().map_or(12, |bytes| i32::from_le_bytes(*bytes));
                let code = u8::try_from(code).unwrap_or(12);
                if let Some(heard) = &self.heard {
                    heard.queue.lock().unwrap_or_else(PoisonError::into_inner).ended = Some(code);
                    // Who is about to send it much need not.
                    heard.cancel.cancel();
                }
                Err(WireError::Peer(code))
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
pub(super) struct Telling<'t> {
    pub(super) log: &'t mut dyn Log,
    pub(super) heard: &'t Heard,
    /// The list is still being made, and is told of in one line: what is heard comes behind that.
    pub(super) listing: bool,
}

impl Telling<'_> {
    fn heard(&mut self) -> io::Result<()> {
        if self.listing {
            return Ok(());
        }
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
        self.listing &= !complete;
        self.log.listing(entries, complete)
    }

    fn begin(&mut self) -> io::Result<()> {
        self.log.begin()
    }

    fn copying(&mut self, lines: &[u8], copying: &Copying, ahead: &Ahead) -> io::Result<()> {
        self.log.copying(lines, copying, ahead)
    }

    fn progress(&mut self, totals: &Totals, ahead: &Ahead) -> io::Result<()> {
        self.heard()?;
        self.log.progress(totals, ahead)
    }
}
