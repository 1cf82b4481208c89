//! `--json`: an object a line for each entry and message.

use std::fmt::Write;

use crate::above::Named;
use crate::fs::Stat;
use crate::itemize::{Action, Change, LINKED, Time};
use crate::outcome::Outcome;
use crate::shared::Shared;
use crate::totals::Kinds;

/// A change of the entry that is `named`. What stays as it is, is told where names of it would be.
pub(crate) fn changed(
    shared: &Shared<'_>,
    out: &mut Outcome,
    change: &Change,
    named: &Named<'_>,
    target: Option<(&[u8], &[u8])>,
) {
    let options = shared.options;
    let told = change.any()
        || target.is_some_and(|(arrow, _)| arrow == LINKED)
        || options.itemize_all
        || options.levels.name > 1;
    if options.quiet || !told {
        return;
    }
    let mut object = Object::new("item");
    object.bytes("path", &named.path());
    object.text("kind", kind(change.kind));
    object.text(
        "action",
        match change.action {
            Action::Keep if change.any() => "attributes",
            Action::Keep => "keep",
            Action::Create => "create",
            Action::Replace => "replace",
            Action::Copy => "copy",
            Action::Link => "link",
        },
    );
    object.text("code", &String::from_utf8_lossy(&change.code()));
    let changes: Vec<_> = [
        ("content", change.content || (change.kind == Kinds::File && change.transfers())),
        ("size", change.size),
        ("time", change.time != Time::Same),
        ("permissions", change.perms),
        ("owner", change.owner),
        ("group", change.group),
        ("access_time", change.atime),
        ("acl", change.acl),
        ("xattrs", change.xattr),
    ]
    .into_iter()
    .filter(|&(_, set)| set)
    .map(|(name, _)| format!("\"{name}\""))
    .collect();
    object.raw("changes", &format!("[{}]", changes.join(",")));
    object.stat(&change.src);
    if let Some((arrow, target)) = target {
        object.bytes(if arrow == LINKED { "hard_link_to" } else { "target" }, target);
    }
    object.end(&mut out.text);
}

/// The entry of the sources at `path`, which is as `src` says, for `--list-only`.
pub(crate) fn listed(shared: &Shared<'_>, out: &mut Outcome, src: &Stat, path: &[u8], link: Option<&[u8]>) {
    if shared.options.quiet {
        return;
    }
    let mut object = Object::new("item");
    object.bytes("path", path);
    object.text("kind", kind(src.kinds()));
    object.text("action", "list");
    object.stat(src);
    if let Some(link) = link {
        object.bytes("target", link);
    }
    object.end(&mut out.text);
}

/// The deletion of the entry at `path`.
pub(crate) fn deleted(shared: &Shared<'_>, out: &mut Outcome, path: &[u8], is_dir: bool) {
    if !shared.options.quiet {
        let mut object = Object::new("item");
        object.bytes("path", path);
        object.text("kind", if is_dir { "directory" } else { "other" });
        object.text("action", "delete");
        object.end(&mut out.text);
    }
}

/// A line that is no entry.
pub(crate) fn message(out: &mut Vec<u8>, line: &[u8]) {
    let mut object = Object::new("message");
    object.bytes("text", line.strip_suffix(b"\n").unwrap_or(line));
    object.end(out);
}

fn kind(kind: Kinds) -> &'static str {
    match kind {
        Kinds::File => "file",
        Kinds::Dir => "directory",
        Kinds::Link => "symlink",
        Kinds::Device => "device",
        Kinds::Special => "special",
    }
}

/// One line of JSON in the making.
#[derive(Debug)]
struct Object(String);

impl Object {
    fn new(of: &str) -> Self {
        Object(format!("{{\"type\":\"{of}\""))
    }

    fn raw(&mut self, name: &str, value: &str) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, ",\"{name}\":{value}");
    }

    fn text(&mut self, name: &str, value: &str) {
        let mut quoted = String::with_capacity(value.len() + 2);
        quote(&mut quoted, value);
        self.raw(name, &quoted);
    }

    /// What the source's entry is.
    fn stat(&mut self, src: &Stat) {
        self.raw("size", &src.size.to_string());
        self.text("mode", &format!("{:04o}", src.mode));
        self.raw("modified", &src.mtime.tv_sec.to_string());
    }

    /// What is not UTF-8 gets a second member, `NAME_hex`, with the bytes themselves.
    fn bytes(&mut self, name: &str, value: &[u8]) {
        match std::str::from_utf8(value) {
            Ok(text) => self.text(name, text),
            Err(_) => {
                self.text(name, &String::from_utf8_lossy(value));
                let hex: String = value.iter().map(|b| format!("{b:02x}")).collect();
                self.text(&format!("{name}_hex"), &hex);
            }
        }
    }

    fn end(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_bytes());
        out.extend_from_slice(b"}\n");
    }
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if u32::from(c) < 0x20 || c == '\x7f' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_is_valid_json() {
        let mut object = Object::new("item");
        object.bytes("path", b"a\"b\\\n");
        object.bytes("target", b"\xff");
        let mut out = Vec::new();
        object.end(&mut out);
        let text = String::from_utf8(out).unwrap();
        let expected =
            "{\"type\":\"item\",\"path\":\"a\\\"b\\\\\\u000a\",\"target\":\"\u{fffd}\",\"target_hex\":\"ff\"}\n";
        assert_eq!(text, expected);
    }
}
