//! `--list-only`: a line, or an object, for each entry of the sources, and no destination.

use rustix::fs::FileType;

use crate::clock::local_time;
use crate::format::permissions;
use crate::fs::Stat;
use crate::json;
use crate::number::human;
use crate::outcome::Outcome;
use crate::shared::Shared;

/// How wide a time is.
const TIME: usize = 19;

/// How wide sizes are that are written so. Without commas there is less to make room for.
fn width(level: u8) -> usize {
    if level == 0 { 11 } else { 14 }
}

/// Adds the line for the entry `path` that was given and is not there.
pub(crate) fn missing(shared: &Shared<'_>, out: &mut Outcome, level: u8, path: &[u8]) {
    // A mode, a size and a time, or two, each with a blank behind it.
    let times = if shared.options.atimes { 2 } else { 1 };
    let all = 10 + 1 + width(level) + 1 + times * (TIME + 1);
    shared.say(out, &[format!("{:all$}", "*missing").as_bytes()], path, b"\n");
}

/// Adds the line for the entry `name` in the directory `rel`. `level` says how its size is written.
pub(crate) fn entry(
    shared: &Shared<'_>,
    out: &mut Outcome,
    level: u8,
    src: &Stat,
    rel: &[u8],
    name: &[u8],
    link: Option<&[u8]>,
) {
    let kind = match src.kind {
        FileType::Directory => 'd',
        FileType::Symlink => 'l',
        FileType::CharacterDevice => 'c',
        FileType::BlockDevice => 'b',
        FileType::Fifo => 'p',
        FileType::Socket => 's',
        _ => '-',
    };
    let (mode, size, width) = (permissions(src.mode), human(src.size, level), width(level));
    // As with rsync, those of directories are not for being told.
    let accessed = match shared.options.atimes {
        true if src.kind == FileType::Directory => " ".repeat(1 + TIME),
        true => local_time(src.atime.tv_sec, ' ') + " ",
        false => String::new(),
    };
    let head = format!("{kind}{mode} {size:>width$} {} {accessed}", local_time(src.mtime.tv_sec, ' '));
    let mut tail = Vec::new();
    if let Some(link) = link {
        tail.extend_from_slice(b" -> ");
        shared.options.escape.push(&mut tail, link);
    }
    tail.push(b'\n');
    let (before, path) = (out.text.len(), [rel, name].concat());
    shared.say(out, &[head.as_bytes()], &path, &tail);
    if shared.options.json {
        out.text.truncate(before);
        json::listed(shared, out, src, &path, link);
    }
}
