//! `--log-file`: lines with time and process before them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};

use forebay_sync::{Ahead, Log, Totals, append_named, as_logged, local_now};

/// The file, open at its end.
#[derive(Debug)]
pub(super) struct LogFile(File);

impl LogFile {
    /// Opens or makes it.
    pub(super) fn open(path: &OsStr, insecure_links: bool) -> io::Result<Self> {
        append_named(path, insecure_links, &mut super::complain).map(LogFile)
    }

    /// Adds whole lines; empty ones are left out. As with rsync, a log that cannot be written does not end the transfer.
    pub(super) fn write(&mut self, lines: &[u8]) {
        let head = format!("{} [{}] ", local_now(), std::process::id());
        let mut text = Vec::with_capacity(lines.len() * 2);
        for line in lines.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
            text.extend_from_slice(head.as_bytes());
            text.extend_from_slice(&as_logged(line));
            text.push(b'\n');
        }
        // There is nowhere better to say so, and it would be said for each line.
        let _ = self.0.write_all(&text);
    }
}

/// A log that says nothing but what is for the file.
#[derive(Debug)]
pub(super) struct Only(pub(super) Option<LogFile>);

impl Log for Only {
    fn text(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn errors(&mut self, _: &[u8]) {}

    fn file(&mut self, lines: &[u8]) {
        if let Some(log) = &mut self.0 {
            log.write(lines);
        }
    }

    fn progress(&mut self, _: &Totals, _: &Ahead) -> io::Result<()> {
        Ok(())
    }
}
