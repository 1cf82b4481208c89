//! What is said.

use forebay_sync::{Escape, Format};

use super::row::{Row, flag, value};
use super::state::State;
use crate::sync::help;

/// The options that decide what is printed.
pub(super) const ROWS: &[Row] = &[
    flag("help", |s, _| s.print = Some(help::text())),
    flag("version", |s, _| s.version = s.version.saturating_add(1)).short('V'),
    flag("verbose", |s, on| s.verbose = if on { s.verbose.saturating_add(1) } else { 0 }).short('v').no(),
    flag("quiet", |s, _| s.options.quiet = true).short('q'),
    value("info", |s, value| {
        if s.info.take(&value.lossy())? {
            s.print = Some(s.info.help());
        }
        Ok(())
    }),
    value("debug", |s, value| {
        if s.debug.take(&value.lossy())? {
            s.print = Some(s.debug.help());
        }
        Ok(())
    }),
    value("stderr", |s, value| {
        let text = value.lossy();
        let is = |mode: &str| !text.is_empty() && mode.starts_with(&text);
        let to_stderr = match () {
            () if is("errors") => None,
            () if is("client") => Some(false),
            () if is("all") => Some(true),
            () => return Err(format!("rsync: --stderr mode \"{text}\" is not one of errors, all, or client").into()),
        };
        s.wire.connection.messages_to_stderr = to_stderr;
        Ok(())
    }),
    flag("msgs2stderr", |s, on| s.wire.connection.messages_to_stderr = Some(on)).no(),
    flag("itemize-changes", |s, on| s.itemize = if on { s.itemize.saturating_add(1) } else { 0 }).short('i').no(),
    flag("stats", |s, _| s.stats = true),
    flag("progress", |s, on| s.progress = on).no(),
    flag("P", |s, _| (s.progress, s.options.partial) = (true, true)).short('P'),
    flag("human-readable", |s, on| s.report.human = if on { s.report.human.max(1).saturating_add(1) } else { 0 })
        .short('h')
        .no(),
    flag("8-bit-output", |s, on| s.eight_bit = on).short('8').no(),
    value("out-format", |s, value| {
        s.options.format = Some(Format::new(value.bytes()));
        Ok(())
    })
    .alias(&["log-format"]),
    value("log-file", |s, value| {
        // As with rsync, no name is no file.
        s.report.log_file = Some(value.text.clone()).filter(|path| !path.is_empty());
        Ok(())
    }),
    value("log-file-format", |s, value| {
        s.log_file_format = Some(Format::new(value.bytes()));
        Ok(())
    }),
    flag("list-only", |s, _| s.list_only = true),
    // Lines are written as soon as they are there, whatever the buffer.
    value("outbuf", |_, value| match value.bytes().first() {
        Some(b'n' | b'N' | b'l' | b'L' | b'b' | b'B' | b'u' | b'U' | b'f' | b'F') => Ok(()),
        _ => Err("rsync: Invalid --outbuf setting -- specify N, L, or B.".into()),
    }),
    flag("json", |s, _| s.options.json = true),
];

/// Brings together what the options above say.
pub(super) fn settle(s: &mut State) {
    let options = &mut s.options;
    if s.stats {
        options.levels.stats = 2;
    }
    let connection = &mut s.wire.connection;
    (connection.verbose, connection.info, connection.stats) = (s.verbose, s.info.given(), s.stats);
    // The client's messages and those of the other processes are one stream here.
    s.report.all_to_stderr = connection.messages_to_stderr == Some(true);
    if s.progress {
        (options.levels.flist, options.levels.name, options.levels.progress) = (2, 1, 1);
    }
    s.info.enter(&mut options.levels, s.verbose);
    s.debug.enter(&mut options.levels, s.verbose);
    let all = s.wire.server && options.format.as_ref() == Some(&Format::new(b"%i%I"));
    (options.itemize, options.itemize_all) = (s.itemize > 0, s.itemize > 1 || all);
    if s.report.log_file.is_some() {
        let format = s.log_file_format.take();
        options.log_format = Some(format.unwrap_or_else(|| Format::new(b"%i %n%L")));
    }
    if s.list_only || (s.paths.len() == 1 && !s.wire.server) {
        options.list_only = Some(s.report.human);
        s.wire.connection.list_only = s.list_only;
        s.wire.served.rules = options.delete;
        (options.dry_run, options.delete) = (true, false);
        if !options.recursive {
            s.dirs = s.dirs.or(Some(true));
        }
    }
    // What a server says is escaped where it is printed.
    options.escape = match (s.wire.server, s.eight_bit) {
        (true, _) => Escape::Wire,
        (false, true) => Escape::Bytes,
        (false, false) => escape(),
    };
}

/// Which bytes the locale prints.
fn escape() -> Escape {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(std::env::var_os)
        .find(|value| !value.is_empty())
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase();
    if locale.contains("utf-8") || locale.contains("utf8") { Escape::Utf8 } else { Escape::Ascii }
}
