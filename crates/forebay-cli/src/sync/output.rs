//! Where lines go while the mirror runs: standard output, standard error, a line or a bar of progress.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use forebay_sync::{Ahead, Carried, Copying, Log, Options, Totals, human};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::Report;
use super::log_file::LogFile;
use crate::size::with_commas;

/// How often the line of progress is renewed.
const RENEW: Duration = Duration::from_millis(100);

/// The program's output.
#[derive(Debug)]
pub(crate) struct Output {
    /// Everything goes to standard error.
    all_to_stderr: bool,
    /// Writing to it has failed.
    gone: bool,
    begun: Instant,
    shows: Shows,
    log: Option<LogFile>,
    /// How numbers are written.
    human: u8,
    /// The list is told bit by bit.
    incremental: bool,
    /// What is said of the list while it is made.
    list: Option<List>,
    /// What is said when the other side is there. Until then, everything is written at once.
    head: Option<String>,
    /// A line has been begun: whatever else is said begins another.
    begun_line: bool,
}

/// A list that is complete before anything else happens.
#[derive(Debug, Default)]
struct List {
    /// It is counted on the way.
    counts: bool,
    /// It comes from another machine: what has come is counted, and not what comes next.
    comes: bool,
    /// The log file is of the side that has it, and says so when it is complete.
    logged: bool,
    /// Of how many entries has been told. Before that, of none.
    told: Option<u64>,
    /// What is said behind it.
    behind: String,
}

/// After so many entries, the count is told again.
const COUNT: u64 = 100;

/// How progress is shown.
#[derive(Debug)]
enum Shows {
    Nothing,
    /// `--progress`: a record behind the name of each file, once it is done.
    Files(Box<Files>),
    /// `--info=progress2`.
    Line(Box<Line>),
    Bar(ProgressBar),
}

/// What waits to be written until it is known how far everything is.
#[derive(Debug, Default)]
struct Files {
    text: Vec<u8>,
    /// The sums before that text.
    before: Totals,
    transferred: u64,
}

/// The line that is written again and again.
#[derive(Debug)]
struct Line {
    /// When it was last written.
    last: Instant,
    /// What it is to say.
    totals: Totals,
    ahead: Ahead,
}

impl Output {
    /// What `options` ask for. The bar is for a terminal that nothing else is written to.
    pub(crate) fn new(
        options: &Options,
        log: Option<LogFile>,
        report: &Report,
        incremental: bool,
        pulls: bool,
    ) -> Self {
        let now = Instant::now();
        let silent = options.levels.name == 0 && !options.itemize && options.format.is_none() && !options.json;
        let shows = if options.levels.progress > 1 && !options.quiet && !options.json {
            Shows::Line(Box::new(Line { last: now, totals: Totals::default(), ahead: Ahead::default() }))
        } else if options.levels.progress == 1 && !options.quiet && !options.json {
            Shows::Files(Box::default())
        } else if silent && !options.quiet && options.levels.progress == 0 && io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg} {elapsed}") {
                bar.set_style(style);
            }
            Shows::Bar(bar)
        } else {
            Shows::Nothing
        };
        let Report { all_to_stderr, human, .. } = *report;
        let list = options.list_first.then(|| List {
            counts: options.levels.flist > 1,
            comes: pulls,
            logged: !options.log_receives,
            ..List::default()
        });
        let (head, begun_line) = (None, false);
        Output { all_to_stderr, gone: false, begun: now, shows, log, human, incremental, list, head, begun_line }
    }

    /// What comes before everything else: `now`, or when the other side is there. Where the list is made first, that ends the
    /// line.
    pub(crate) fn head(&mut self, head: String, now: bool) {
        self.head = Some(head);
        if now {
            self.write_head();
        }
    }

    fn write_head(&mut self) {
        let Some(head) = self.head.take() else { return };
        match (&mut self.list, head.split_once("... ")) {
            (Some(list), Some((line, behind))) => {
                list.behind = behind.to_owned();
                self.put(format!("{line}... ").as_bytes());
                self.begun_line = true;
            }
            _ => self.write(head.as_bytes()),
        }
    }

    /// Writes to standard output, or what stands for it, at once. As with rsync, a reader that has gone away does not end the transfer; neither
    /// does any other failure, which is reported once.
    pub(crate) fn write(&mut self, text: &[u8]) {
        if !text.is_empty() && std::mem::take(&mut self.begun_line) {
            self.put(b"\n");
        }
        self.put(text);
    }

    /// Writes on in the line that has been begun.
    fn put(&mut self, text: &[u8]) {
        if text.is_empty() || self.gone {
            return;
        }
        let written = match self.all_to_stderr {
            true => io::stderr().write_all(text),
            false => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(text).and_then(|()| stdout.flush())
            }
        };
        if let Err(error) = written {
            self.gone = true;
            if error.kind() != io::ErrorKind::BrokenPipe {
                let text = format!("forebay: cannot write to standard output: {error}\n");
                self.errors(text.as_bytes());
            }
        }
    }

    /// Writes lines to the log file alone.
    pub(crate) fn note(&mut self, text: &[u8]) {
        if let Some(log) = &mut self.log {
            log.write(text);
        }
    }

    /// Writes a line to standard error and the log file.
    pub(crate) fn complain(&mut self, text: &str) {
        let line = format!("{text}\n");
        self.note(line.as_bytes());
        self.errors(line.as_bytes());
    }

    /// Ends what shows progress after an orderly end.
    pub(crate) fn finish(&mut self) {
        match &self.shows {
            Shows::Nothing => {}
            // What the other side has said last.
            Shows::Files(files) => {
                let before = files.before;
                self.flush_files(&before, &Ahead::default());
            }
            Shows::Line(line) => {
                // What was there twice or has vanished was counted as found.
                let mut ahead = line.ahead;
                match &mut ahead.carried {
                    Some(carried) => carried.behind = ahead.found,
                    None => ahead.found = line.totals.listed(),
                }
                ahead.complete = true;
                let line = format!("{}\n", self.line(&line.totals, &ahead));
                self.put(line.as_bytes());
                self.begun_line = false;
            }
            Shows::Bar(bar) => bar.finish_and_clear(),
        }
    }

    /// Takes the bar away before an error is written.
    pub(crate) fn abandon(&mut self) {
        if let Shows::Bar(bar) = &self.shows {
            bar.finish_and_clear();
        }
    }

    /// rsync's line. On one machine, the percentage counts entries, not bytes: sizes are known only once an entry has been worked
    /// on.
    fn line(&self, totals: &Totals, ahead: &Ahead) -> String {
        if let Some(carried) = &ahead.carried {
            let head = self.carried(carried, None);
            return format!("{head} {}", counts(carried.files, carried.behind, ahead.found, ahead.complete));
        }
        let (done, found) = (totals.listed(), ahead.found.max(totals.listed()));
        let percent = (done * 100).checked_div(found).unwrap_or(100);
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        let left = if done == 0 { 0 } else { ((found - done) as f64 / done as f64 * seconds) as u64 };
        let left = if ahead.complete { left } else { seconds as u64 };
        let bytes = totals.transferred_bytes;
        let head = record(bytes, percent, bytes as f64 / seconds, left, self.human);
        format!("{head} {}", counts(totals.transferred, done, found, ahead.complete))
    }

    /// rsync's line of what a connection has carried, with what it has of one more file.
    fn carried(&self, carried: &Carried, copying: Option<&Copying>) -> String {
        let bytes = carried.bytes + copying.map_or(0, |copying| copying.done);
        let percent = (u128::from(bytes) * 100).checked_div(carried.size_bytes.into()).unwrap_or(100).min(100);
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        let rate = bytes as f64 / seconds;
        // As with rsync: between files, the time that it has taken.
        let left = match copying {
            Some(_) => rest(carried.size_bytes, bytes, rate),
            None => seconds as u64,
        };
        record(bytes, percent as u64, rate, left, self.human)
    }

    /// Writes what waits, with the records of its files, now that `ahead` is known.
    fn flush_files(&mut self, totals: &Totals, ahead: &Ahead) {
        let Shows::Files(files) = &mut self.shows else { return };
        let text = std::mem::take(&mut files.text);
        self.write_files(&text, ahead.found.max(totals.listed()), ahead.complete);
        if let Shows::Files(files) = &mut self.shows {
            files.before = *totals;
        }
    }

    /// Writes lines with the records of their files, when `found` entries are known.
    fn write_files(&mut self, text: &[u8], found: u64, complete: bool) {
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        let level = self.human;
        let Shows::Files(files) = &mut self.shows else { return };
        let mut out = Vec::with_capacity(text.len());
        for line in text.split_inclusive(|&b| b == b'\n') {
            let Some(mark) = line.strip_prefix(b"\0") else {
                out.extend_from_slice(line);
                continue;
            };
            let mark = String::from_utf8_lossy(mark);
            let words: Vec<&str> = mark.split_whitespace().collect();
            let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
            let (bytes, behind) = (number(0).unwrap_or(0), number(1).unwrap_or(0));
            files.transferred += 1;
            let took = words.get(2).and_then(|word| word.strip_suffix("ms")?.parse::<u64>().ok());
            let (done, seconds, left) = match took {
                Some(took) => (behind, (took as f64 / 1000.0).max(0.001), took / 1000),
                // As with rsync, a list that comes bit by bit counts a directory where it is listed.
                None if self.incremental => (files.before.listed() + behind + number(2).unwrap_or(0), seconds, 0),
                None => (files.before.listed() + behind, seconds, 0),
            };
            let record = record(bytes, 100, bytes as f64 / seconds, left, level);
            out.extend_from_slice(
                format!("{record} {}\n", counts(files.transferred, done, found, complete)).as_bytes(),
            );
        }
        // A record takes the place of the one before it.
        self.begun_line &= !out.starts_with(b"\r");
        self.write(&out);
    }
}

/// How many seconds it takes until `done` bytes are `size`. Where nothing moves, nobody knows.
fn rest(size: u64, done: u64, rate: f64) -> u64 {
    if done == 0 { 0 } else { (size.saturating_sub(done) as f64 / rate.max(1.0)) as u64 }
}

/// How far something is, how fast, and how many seconds are left.
fn record(bytes: u64, percent: u64, rate: f64, left: u64, level: u8) -> String {
    let (mut rate, mut unit) = (rate / 1024.0, "kB/s");
    for larger in ["MB/s", "GB/s"] {
        if rate > 1024.0 {
            (rate, unit) = (rate / 1024.0, larger);
        }
    }
    let (hours, minutes, seconds) = (left / 3600, left / 60 % 60, left % 60);
    let bytes = human(bytes, level);
    format!("\r{bytes:>15} {percent:>3}% {rate:>7.2}{unit} {hours:>4}:{minutes:02}:{seconds:02}")
}

/// How many files were transferred, and how many entries are left to check.
fn counts(transferred: u64, done: u64, found: u64, complete: bool) -> String {
    let list = if complete { "to" } else { "ir" };
    format!("(xfr#{transferred}, {list}-chk={}/{found})", found.saturating_sub(done))
}

impl Log for Output {
    fn text(&mut self, lines: &[u8]) -> io::Result<()> {
        match &mut self.shows {
            Shows::Files(files) if self.head.is_none() => files.text.extend_from_slice(lines),
            _ => self.write(lines),
        }
        Ok(())
    }

    fn errors(&mut self, lines: &[u8]) {
        // As with rsync: on a terminal, both are the same.
        let end: &[u8] = if std::mem::take(&mut self.begun_line) { b"\n" } else { b"" };
        let lines = &[end, lines].concat()[..];
        // There is nowhere left to complain.
        let write = || drop(io::stderr().write_all(lines));
        match &self.shows {
            Shows::Bar(bar) => bar.suspend(write),
            _ => write(),
        }
    }

    fn file(&mut self, lines: &[u8]) {
        self.note(lines);
    }

    fn begin(&mut self) -> io::Result<()> {
        self.write_head();
        Ok(())
    }

    fn listing(&mut self, entries: u64, complete: bool) -> io::Result<()> {
        let Some(List { counts, comes, told, .. }) = &mut self.list else { return Ok(()) };
        if *counts {
            let begin = if *comes { COUNT } else { 0 };
            let (first, from) = (told.is_none(), told.map_or(begin, |told| told + COUNT));
            let counts: Vec<u64> = (from..entries + u64::from(*comes)).step_by(COUNT as usize).collect();
            *told = counts.last().copied().or(*told);
            let text: String = counts.iter().map(|count| format!(" {count} files...\r")).collect();
            match first {
                true => self.write(text.as_bytes()),
                false => self.put(text.as_bytes()),
            }
            self.begun_line |= !text.is_empty();
        }
        if complete && let Some(List { counts, logged, behind, .. }) = self.list.take() {
            let end = match (counts, entries) {
                (false, _) => "done\n".to_owned(),
                (true, 1) => "1 file to consider\n".to_owned(),
                (true, _) => format!("{entries} files to consider\n"),
            };
            self.begun_line = false;
            self.put(format!("{end}{behind}").as_bytes());
            if logged {
                self.note(end.as_bytes());
            }
        }
        Ok(())
    }

    fn copying(&mut self, lines: &[u8], copying: &Copying, ahead: &Ahead) -> io::Result<()> {
        match &self.shows {
            Shows::Files(files) => {
                let found = ahead.found.max(files.before.listed());
                self.write_files(lines, found, ahead.complete);
                let rate = copying.done as f64 / copying.elapsed.as_secs_f64().max(0.001);
                let left = rest(copying.size, copying.done, rate);
                let percent = (u128::from(copying.done) * 100).checked_div(copying.size.into()).unwrap_or(100);
                let record = record(copying.done, percent.min(100) as u64, rate, left, self.human);
                // What comes instead in the end is longer.
                self.put(format!("{record}  ").as_bytes());
                self.begun_line = true;
            }
            Shows::Line(line) => {
                let line = match &ahead.carried {
                    Some(carried) => format!("{}  ", self.carried(carried, Some(copying))),
                    None => {
                        let mut totals = line.totals;
                        totals.transferred_bytes += copying.done;
                        self.line(&totals, ahead)
                    }
                };
                self.put(line.as_bytes());
                self.begun_line = true;
            }
            Shows::Nothing | Shows::Bar(_) => {}
        }
        Ok(())
    }

    fn progress(&mut self, totals: &Totals, ahead: &Ahead) -> io::Result<()> {
        match &mut self.shows {
            Shows::Nothing => {}
            Shows::Files(_) => self.flush_files(totals, ahead),
            Shows::Line(line) => {
                (line.totals, line.ahead) = (*totals, *ahead);
                if line.last.elapsed() >= RENEW {
                    line.last = Instant::now();
                    let line = self.line(totals, ahead);
                    self.put(line.as_bytes());
                    self.begun_line = true;
                }
            }
            Shows::Bar(bar) => {
                bar.set_length(ahead.found);
                bar.set_position(totals.listed());
                bar.set_message(format!("{} bytes", with_commas(totals.literal_bytes)));
            }
        }
        Ok(())
    }
}
