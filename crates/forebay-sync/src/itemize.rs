//! The lines that say what changes: rsync's eleven codes, or plain names.

use rustix::fs::FileType;

use crate::outcome::Outcome;
use crate::shared::Shared;
use crate::totals::Kinds;

/// What happens to an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) kind: Kinds,
    pub(crate) action: Action,
    pub(crate) content: bool,
    pub(crate) size: bool,
    pub(crate) time: Time,
    pub(crate) perms: bool,
    pub(crate) owner: bool,
    pub(crate) group: bool,
    /// The fraction of its time's second is corrected, for which there is no code.
    pub(crate) exact_time: bool,
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
    pub(crate) fn new(kind: FileType, action: Action) -> Self {
        Change {
            kind: crate::fs::kinds(kind),
            action,
            content: false,
            size: false,
            time: Time::Same,
            perms: false,
            owner: false,
            group: false,
            exact_time: false,
        }
    }

    /// Whether anything changes at all.
    pub(crate) fn any(&self) -> bool {
        matches!(self.action, Action::Create | Action::Replace)
            || self.content
            || self.size
            || self.time != Time::Same
            || self.perms
            || self.owner
            || self.group
    }

    fn code(&self) -> [u8; 11] {
        let letter = match self.kind {
            Kinds::File => b'f',
            Kinds::Dir => b'd',
            Kinds::Link => b'L',
            Kinds::Device => b'D',
            Kinds::Special => b'S',
        };
        let update = match (self.action, self.kind) {
            (Action::Keep, _) => b'.',
            (Action::Copy, _) => b'c',
            (Action::Link, _) => b'h',
            (_, Kinds::File) => b'>',
            _ => b'c',
        };
        if self.action == Action::Create {
            let mut code = [b'+'; 11];
            code[..2].copy_from_slice(&[update, letter]);
            return code;
        }
        let mut code = [if self.any() { b'.' } else { b' ' }; 11];
        code[..2].copy_from_slice(&[update, letter]);
        let time = if self.time == Time::Now { b'T' } else { b't' };
        for (at, set, letter) in [
            (2, self.content, b'c'),
            (3, self.size, b's'),
            (4, self.time != Time::Same, time),
            (5, self.perms, b'p'),
            (6, self.owner, b'o'),
            (7, self.group, b'g'),
        ] {
            if set {
                code[at] = letter;
            }
        }
        code
    }
}

/// Writes the line for `change` of the entry `name` in the directory `rel`, if the options ask for it.
pub(crate) fn log(
    shared: &Shared<'_>,
    out: &mut Outcome,
    change: &Change,
    rel: &[u8],
    name: &[u8],
    link: Option<&[u8]>,
) {
    let options = shared.options;
    if options.quiet || (!options.itemize && options.verbose == 0) {
        return;
    }
    let is_dir = change.kind == Kinds::Dir;
    if options.itemize {
        if !change.any() && options.verbose < 2 {
            return;
        }
        out.text.extend_from_slice(&change.code());
        out.text.push(b' ');
    } else if !change.any() {
        if options.verbose > 1 && !is_dir {
            options.escape.push(&mut out.text, rel);
            let end: &[u8] = if change.exact_time { b"\n" } else { b" is uptodate\n" };
            shared.say(out, &[], name, end);
        }
        return;
    } else if change.action == Action::Keep && !is_dir && options.verbose < 2 {
        return;
    }
    options.escape.push(&mut out.text, rel);
    options.escape.push(&mut out.text, name);
    if is_dir {
        out.text.push(b'/');
    }
    // As with rsync, plain names of links tell the target only where it is new.
    if let Some(link) = link.filter(|_| options.itemize || change.action != Action::Keep) {
        out.text.extend_from_slice(b" -> ");
        options.escape.push(&mut out.text, link);
    }
    out.text.push(b'\n');
}

/// Writes the line for a deleted entry at `path`.
pub(crate) fn log_deleted(shared: &Shared<'_>, out: &mut Outcome, path: &[u8], is_dir: bool) {
    let end: &[u8] = if is_dir { b"/\n" } else { b"\n" };
    if shared.options.itemize {
        shared.say(out, &[b"*deleting   "], path, end);
    } else if shared.options.verbose > 0 {
        shared.say(out, &[b"deleting "], path, end);
    }
}
