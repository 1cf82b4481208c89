//! `--list-only`: a line, or an object, for each entry of the sources, and no destination.

use rustix::fs::FileType;

use crate::clock::local_time;
use crate::format::permissions;
use crate::fs::Stat;
use crate::json;
use crate::number::human;
use crate::outcome::Outcome;
use crate::shared::Shared;

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
    // Without commas there is less to make room for.
    let width = if level == 0 { 11 } else { 14 };
    let (mode, size) = (permissions(src.mode), human(src.size, level));
    let head = format!("{kind}{mode} {size:>width$} {} ", local_time(src.mtime.tv_sec, ' '));
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
