//! Where lines go while the mirror runs: standard output, standard error, a line or a bar of progress.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use forebay_sync::{Ahead, Log, Options, Totals};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::size::with_commas;

/// How often the line of progress is renewed.
const RENEW: Duration = Duration::from_millis(100);

/// The program's output.
#[derive(Debug)]
pub(crate) struct Output {
    stdout: io::Stdout,
    /// Writing to it has failed.
    gone: bool,
    begun: Instant,
    shows: Shows,
}

/// How progress is shown.
#[derive(Debug)]
enum Shows {
    Nothing,
    /// `--info=progress2`.
    Line(Box<Line>),
    Bar(ProgressBar),
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
    /// What `options` and `--info=progress2` ask for. The bar is for a terminal that nothing else is written to.
    pub(crate) fn new(options: &Options, progress: bool) -> Self {
        let now = Instant::now();
        let shows = if progress && !options.quiet {
            Shows::Line(Box::new(Line { last: now, totals: Totals::default(), ahead: Ahead::default() }))
        } else if !progress && !options.quiet && !options.itemize && options.verbose == 0 && io::stderr().is_terminal()
        {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg} {elapsed}") {
                bar.set_style(style);
            }
            Shows::Bar(bar)
        } else {
            Shows::Nothing
        };
        Output { stdout: io::stdout(), gone: false, begun: now, shows }
    }

    /// Writes to standard output at once. As with rsync, a reader that has gone away does not end the transfer; neither
    /// does any other failure, which is reported once.
    pub(crate) fn write(&mut self, text: &[u8]) {
        if text.is_empty() || self.gone {
            return;
        }
        let mut stdout = self.stdout.lock();
        if let Err(error) = stdout.write_all(text).and_then(|()| stdout.flush()) {
            self.gone = true;
            if error.kind() != io::ErrorKind::BrokenPipe {
                let text = format!("forebay: cannot write to standard output: {error}\n");
                self.errors(text.as_bytes());
            }
        }
    }

    /// Ends what shows progress after an orderly end.
    pub(crate) fn finish(&mut self) {
        match &self.shows {
            Shows::Nothing => {}
            Shows::Line(line) => {
                // What was there twice or has vanished was counted as found.
                let mut ahead = line.ahead;
                (ahead.found, ahead.complete) = (line.totals.listed(), true);
                let line = format!("{}\n", self.line(&line.totals, &ahead));
                self.write(line.as_bytes());
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

    /// rsync's line. The percentage counts entries, not bytes: sizes are known only once an entry has been worked on.
    fn line(&self, totals: &Totals, ahead: &Ahead) -> String {
        let (done, found) = (totals.listed(), ahead.found.max(totals.listed()));
        let percent = (done * 100).checked_div(found).unwrap_or(100);
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        let mut rate = totals.transferred_bytes as f64 / seconds / 1024.0;
        let mut unit = "kB/s";
        for larger in ["MB/s", "GB/s"] {
            if rate > 1024.0 {
                (rate, unit) = (rate / 1024.0, larger);
            }
        }
        let left = if done == 0 { 0 } else { ((found - done) as f64 / done as f64 * seconds) as u64 };
        let left = if ahead.complete { left } else { seconds as u64 };
        format!(
            "\r{:>15} {percent:>3}% {rate:>7.2}{unit} {:>4}:{:02}:{:02} (xfr#{}, {}-chk={}/{found})",
            with_commas(totals.transferred_bytes),
            left / 3600,
            left / 60 % 60,
            left % 60,
            totals.transferred,
            if ahead.complete { "to" } else { "ir" },
            found - done,
        )
    }
}

impl Log for Output {
    fn text(&mut self, lines: &[u8]) -> io::Result<()> {
        self.write(lines);
        Ok(())
    }

    fn errors(&mut self, lines: &[u8]) {
        // There is nowhere left to complain.
        let write = || drop(io::stderr().write_all(lines));
        match &self.shows {
            Shows::Bar(bar) => bar.suspend(write),
            _ => write(),
        }
    }

    fn progress(&mut self, totals: &Totals, ahead: &Ahead) -> io::Result<()> {
        match &mut self.shows {
            Shows::Nothing => {}
            Shows::Line(line) => {
                (line.totals, line.ahead) = (*totals, *ahead);
                if line.last.elapsed() >= RENEW {
                    line.last = Instant::now();
                    let line = self.line(totals, ahead);
                    self.write(line.as_bytes());
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
