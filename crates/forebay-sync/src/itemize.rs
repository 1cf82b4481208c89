//! The lines that say what changes: rsync's eleven codes, or plain names.

use std::ffi::CStr;

use crate::above::{Above, Named};
use crate::extended::Long;
use crate::format::{Format, Line};
use crate::fs::Stat;
use crate::json;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::shared::Shared;
use crate::totals::Kinds;
use crate::wire::{Notice, Told};

/// The code of what is deleted.
pub(crate) const CODE_DELETED: &[u8] = b"*deleting  ";

/// What happens to an entry.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) kind: Kinds,
    pub(crate) action: Action,
    pub(crate) content: bool,
    pub(crate) size: bool,
    pub(crate) time: Time,
    pub(crate) perms: bool,
    pub(crate) owner: bool,
    pub(crate) group: bool,
    pub(crate) atime: bool,
    pub(crate) acl: bool,
    pub(crate) xattr: bool,
    /// Extended attributes whose values are still to come.
    pub(crate) lacking: Vec<Long>,
    /// It is another name of a file that has been told of.
    pub(crate) hard: bool,
    /// The fraction of its time's second is corrected, for which there is no code.
    pub(crate) exact_time: bool,
    /// The content goes to another machine.
    pub(crate) sent: bool,
    /// The sum of the file, where lines tell it.
    pub(crate) sum: Option<Box<[u8]>>,
    /// Where progress of each file is told: directories that have been listed and not been entered.
    pub(crate) ahead: usize,
    /// What has passed over a connection for it, once it has.
    pub(crate) traffic: Option<Traffic>,
    /// The entry in the source.
    pub(crate) src: Stat,
}

/// Bytes of the stream that have passed for one file, without what frames them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Of its content, from the head of the block sums to the sum of the whole; where it goes, also of what is before that.
    pub(crate) content: u64,
    /// Of the block sums that it was asked for with, and their head. Only where it goes.
    pub(crate) sums: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing but attributes.
    Keep,
    /// It did not exist, or not as this kind.
    Create,
    /// Its content is replaced.
    Replace,
    /// It is made like an entry of another tree at the destination.
    Copy,
    /// It is another name of one.
    Link,
}

/// What happens to the modification time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Time {
    Same,
    /// It is set to the source's.
    Set,
    /// It becomes the time of the transfer.
    Now,
}

impl Change {
    pub(crate) fn new(src: &Stat, action: Action) -> Self {
        Change {
            kind: src.kinds(),
            src: *src,
            action,
            content: false,
            size: false,
            time: Time::Same,
            perms: false,
            owner: false,
            group: false,
            atime: false,
            acl: false,
            xattr: false,
            lacking: Vec::new(),
            hard: false,
            exact_time: false,
            sent: false,
            sum: None,
            ahead: 0,
            traffic: None,
        }
    }

    /// Whether anything changes at all.
    pub(crate) fn any(&self) -> bool {
        matches!(self.action, Action::Create | Action::Replace) || self.differs()
    }

    /// Whether anything but the entry itself changes.
    pub(crate) fn differs(&self) -> bool {
        self.content
            || self.size
            || self.time != Time::Same
            || self.perms
            || self.owner
            || self.group
            || self.atime
            || self.acl
            || self.xattr
    }

    /// Whether content is transferred.
    pub(crate) fn transfers(&self) -> bool {
        self.kind == Kinds::File && matches!(self.action, Action::Create | Action::Replace)
    }

    pub(crate) fn code(&self) -> [u8; 11] {
        let letter = match self.kind {
            Kinds::File => b'f',
            Kinds::Dir => b'd',
            Kinds::Link => b'L',
            Kinds::Device => b'D',
            Kinds::Special => b'S',
        };
        let update = match (self.action, self.kind) {
            _ if self.hard => b'h',
            (Action::Keep, _) => b'.',
            (Action::Copy, _) => b'c',
            (Action::Link, _) => b'h',
            (_, Kinds::File) if self.sent => b'<',
            (_, Kinds::File) => b'>',
            _ => b'c',
        };
        if self.action == Action::Create {
            let mut code = [b'+'; 11];
            code[..2].copy_from_slice(&[update, letter]);
            return code;
        }
        // That a file becomes another name of one that looks the same is told by what follows its name.
        let any = if self.hard { self.differs() } else { self.any() };
        let mut code = [if any { b'.' } else { b' ' }; 11];
        code[..2].copy_from_slice(&[update, letter]);
        let time = if self.time == Time::Now { b'T' } else { b't' };
        for (at, set, letter) in [
            (2, self.content, b'c'),
            (3, self.size, b's'),
            (4, self.time != Time::Same, time),
            (5, self.perms, b'p'),
            (6, self.owner, b'o'),
            (7, self.group, b'g'),
            (8, self.atime, b'u'),
            (9, self.acl, b'a'),
            (10, self.xattr, b'x'),
        ] {
            if set {
                code[at] = letter;
            }
        }
        code
    }
}

/// Writes the lines for `change` of the entry that is `named`, if the options ask for them.
pub(crate) fn log(shared: &Shared<'_>, out: &mut Outcome, change: &Change, named: &Named<'_>, link: Option<&[u8]>) {
    write(shared, out, change, named, link.map(|link| (&b" -> "[..], link)));
}

/// What stands between a name and the one that it has become a link to.
pub(crate) const LINKED: &[u8] = b" => ";

/// As [`log`], for a name that is one of several: `leader` is what it has become a link to.
pub(crate) fn log_hard(shared: &Shared<'_>, out: &mut Outcome, change: &Change, named: &Named<'_>, leader: &[u8]) {
    write(shared, out, change, named, Some((LINKED, leader)));
}

fn write(shared: &Shared<'_>, out: &mut Outcome, change: &Change, named: &Named<'_>, target: Option<(&[u8], &[u8])>) {
    if let (Some(remote), Some(index)) = (&shared.remote, change.src.index) {
        let leader = target.filter(|(arrow, _)| *arrow == LINKED).map(|(_, leader)| leader);
        let path = named.path();
        let told = Told { index, path: &path, leader };
        return remote.tell(shared, out, change, &told, |out| lines(shared, out, change, named, target));
    }
    lines(shared, out, change, named, target);
}

/// The lines themselves, also of what will be told to the other side.
pub(crate) fn lines(
    shared: &Shared<'_>,
    out: &mut Outcome,
    change: &Change,
    named: &Named<'_>,
    target: Option<(&[u8], &[u8])>,
) {
    let options = shared.options;
    if options.json {
        return json::changed(shared, out, change, named, target);
    }
    if (options.quiet || !(options.says_changes() || options.levels.progress == 1)) && options.log_format.is_none() {
        return;
    }
    let is_dir = change.kind == Kinds::Dir;
    // A dry run does not make it another name of what would be made, so that nothing tells but this.
    let moves = options.dry_run && change.hard && change.any();
    // As with rsync, plain names of links tell the target only where it is new.
    let serves = shared.serves || options.log_receives;
    let told = target.filter(|_| options.has_codes() || moves || serves || change.action != Action::Keep);
    let tail = told.map_or_else(Vec::new, |(arrow, target)| [arrow, target].concat());
    let receives = shared.remote.is_some();
    let line = Line { change: Some(change), named: *named, is_dir, tail: &tail, receives };
    let linked = target.is_some_and(|(arrow, _)| arrow == LINKED);
    let all = options.has_codes() && (options.itemize_all || options.levels.name > 1);
    // Without codes, files of which only attributes change are not worth a line.
    let shown =
        all || linked || moves || (change.any() && (options.has_codes() || change.action != Action::Keep || is_dir));
    if shown {
        say(shared, out, &line);
    } else if options.levels.name > 1 && (!is_dir || change.action == Action::Copy) && !(shared.serves && change.sent) {
        // As with rsync, extended attributes alone count for nothing here.
        let other = Change { xattr: false, ..change.clone() };
        let end: &[u8] = if other.any() || change.exact_time { b"\n" } else { b" is uptodate\n" };
        let slash: &[u8] = if is_dir { b"/" } else { b"" };
        let name = shared.renamed(named.rel).map_or(named.name, CStr::to_bytes);
        shared.say_same(out, &[named.rel, name, slash].concat(), end);
    }
    let carried = receives || change.sent;
    if options.levels.progress == 1
        && change.transfers()
        && !(change.hard || carried || options.dry_run || options.quiet)
    {
        // Names are escaped: a NUL is nowhere else in the text.
        let mark = format!("\0{} {} {}\n", change.src.size, out.totals.listed(), change.ahead);
        out.text.extend_from_slice(mark.as_bytes());
    }
    // As with rsync, a server tells plain names of what has come, and codes of all that changes.
    let plain = if serves { change.transfers() && !linked } else { change.any() || linked };
    if let Some(format) = &options.log_format
        && (shown || (serves && change.any()))
        && (plain || format.has(b"i"))
        && !format.is_empty()
        && !(options.dry_run && (serves || change.transfers()))
    {
        push_line(shared, &mut out.log, format, &Line { receives: receives || options.log_receives, ..line });
    }
}

/// What [`lines`] has to say before the content of a file goes over the connection: all but what [`behind`] says then. With
/// progress, its name stands before that in any case.
pub(crate) fn ahead(shared: &Shared<'_>, out: &mut Outcome, change: &Change, named: &Named<'_>) {
    let options = shared.options;
    let mut whole = Outcome::default();
    lines(shared, &mut whole, change, named, None);
    if !is_late(&options.format) {
        out.text.append(&mut whole.text);
    } else if options.levels.progress == 1 && !options.quiet {
        shared.say(out, &[], &named.path(), b"\n");
    }
    if !is_late(&options.log_format) {
        out.log.append(&mut whole.log);
    }
}

/// What [`lines`] has to say once the content of a file has passed.
pub(crate) fn behind(shared: &Shared<'_>, out: &mut Outcome, change: &Change, named: &Named<'_>) {
    let options = shared.options;
    let mut whole = Outcome::default();
    lines(shared, &mut whole, change, named, None);
    if is_late(&options.format) {
        out.text.append(&mut whole.text);
    }
    if is_late(&options.log_format) {
        out.log.append(&mut whole.log);
    }
}

/// Whether there is anything to say once the content of a file has passed.
pub(crate) fn tells_behind(options: &Options) -> bool {
    is_late(&options.format) || is_late(&options.log_format)
}

fn is_late(format: &Option<Format>) -> bool {
    format.as_ref().is_some_and(Format::is_late)
}

/// The line for standard output.
fn say(shared: &Shared<'_>, out: &mut Outcome, line: &Line<'_>) {
    let options = shared.options;
    if options.quiet || !options.says_changes() {
        return;
    }
    if let Some(format) = &options.format {
        return push_line(shared, &mut out.text, format, line);
    }
    if options.itemize
        && let Some(change) = line.change
    {
        out.text.extend_from_slice(&change.code());
        out.text.push(b' ');
    }
    out.text.extend_from_slice(line.slash());
    options.escape.push(&mut out.text, line.named.rel);
    options.escape.push(&mut out.text, line.named.name);
    if line.is_dir {
        out.text.push(b'/');
    }
    options.escape.push(&mut out.text, line.tail);
    out.text.push(b'\n');
}

fn push_line(shared: &Shared<'_>, out: &mut Vec<u8>, format: &Format, line: &Line<'_>) {
    format.push(shared, out, line);
    out.push(b'\n');
}

/// Writes the lines for a deleted entry at `path`.
pub(crate) fn log_deleted(shared: &Shared<'_>, out: &mut Outcome, path: &[u8], is_dir: bool) {
    let options = shared.options;
    let serves = shared.remote.as_ref().is_some_and(|remote| remote.server);
    if serves {
        let end: &[u8] = if is_dir { b"\0" } else { b"" };
        out.notices.push(Notice::Deleted(&[path, end].concat()));
    }
    if options.json && !serves {
        return json::deleted(shared, out, path, is_dir);
    }
    let named = Named { above: Above::NOTHING, rel: path, name: b"" };
    let line = Line { change: None, named, is_dir, tail: b"", receives: false };
    let end: &[u8] = if is_dir { b"/\n" } else { b"\n" };
    let plain = |out: &mut Vec<u8>| {
        out.extend_from_slice(b"deleting ");
        options.escape.push(out, path);
        out.extend_from_slice(end);
    };
    let says = options.levels.del > 0 || options.says_changes();
    if says && !options.quiet && !serves {
        match &options.format {
            Some(format) if format.has(b"io") => push_line(shared, &mut out.text, format, &line),
            None if options.itemize => {
                out.text.extend_from_slice(CODE_DELETED);
                out.text.push(b' ');
                options.escape.push(&mut out.text, path);
                out.text.extend_from_slice(end);
            }
            _ => plain(&mut out.text),
        }
    }
    match &options.log_format {
        Some(_) if options.dry_run => {}
        Some(format) if format.has(b"io") => push_line(shared, &mut out.log, format, &line),
        Some(_) => plain(&mut out.log),
        None => {}
    }
}
