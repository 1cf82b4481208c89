//! `Say`: the way of reports to the one thread that writes the log.
//!
//! A report wakes that thread. Most have numbers only, and nothing to be said: they are added up, and go with the next that
//! has, or some dozens at a time. Where the numbers are shown as they grow, every report goes by itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::options::Options;
use crate::outcome::Outcome;

/// Reports that wait for the log before whoever has more has to wait.
const WAITING: usize = 256;
/// Reports without a word that are added up. The thread that is woken for them also prints what the other side has said.
const SILENT: u32 = 64;

/// Sends reports. Clones send to the same.
#[derive(Clone, Debug)]
pub(crate) struct Say {
    reports: SyncSender<Outcome>,
    silent: Silent,
    /// Numbers are shown as they grow.
    shown: bool,
    /// How many have been sent.
    sent: Arc<AtomicU64>,
}

/// Takes reports.
#[derive(Debug)]
pub(crate) struct Said {
    reports: Receiver<Outcome>,
    silent: Silent,
}

/// Reports without a word, added up, and how many they are.
#[derive(Clone, Debug, Default)]
struct Silent(Arc<Mutex<(Outcome, u32)>>);

impl Silent {
    fn lock(&self) -> MutexGuard<'_, (Outcome, u32)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Say {
    pub(crate) fn new(options: &Options) -> (Self, Said) {
        let (send, reports) = sync_channel(WAITING);
        let silent = Silent::default();
        let say =
            Say { reports: send, silent: silent.clone(), shown: options.levels.progress > 0, sent: Arc::default() };
        (say, Said { reports, silent })
    }

    /// Sends a report, and waits while many wait.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when nobody takes reports any more.
    pub(crate) fn send(&self, mut report: Outcome) -> Result<(), Error> {
        if !self.shown && report.is_silent() {
            let mut silent = self.silent.lock();
            silent.0.append(report);
            silent.1 += 1;
            if silent.1 < SILENT {
                return Ok(());
            }
            (report, _) = std::mem::take(&mut *silent);
        }
        // Before it is: none is counted too late.
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.reports.send(report).map_err(|_| Error::Cancelled)
    }

    /// How many reports there are up to the last that this thread has sent, or a few more.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Said {
    /// The next report; none when all that sent any are gone and everything was taken.
    pub(crate) fn next(&self) -> Option<Outcome> {
        self.reports.recv().ok().or_else(|| {
            let (rest, reports) = std::mem::take(&mut *self.silent.lock());
            (reports > 0).then_some(rest)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str) -> Outcome {
        let mut report = Outcome { text: text.into(), ..Outcome::default() };
        report.totals.transferred = 1;
        report
    }

    #[test]
    fn numbers_are_added_up_and_words_go_at_once() {
        let (say, said) = Say::new(&Options::default());
        for _ in 0..SILENT + 3 {
            say.send(report("")).unwrap();
        }
        say.send(report("a word\n")).unwrap();
        drop(say);
        let taken: Vec<_> =
            std::iter::from_fn(|| said.next()).map(|report| (report.totals.transferred, report.text)).collect();
        let silent = u64::from(SILENT);
        assert_eq!(taken, [(silent, vec![]), (1, b"a word\n".to_vec()), (3, vec![])]);
    }

    #[test]
    fn numbers_that_are_shown_go_at_once() {
        let mut options = Options::default();
        options.levels.progress = 2;
        let (say, said) = Say::new(&options);
        say.send(report("")).unwrap();
        assert_eq!(said.next().map(|report| report.totals.transferred), Some(1));
    }

    #[test]
    fn nobody_sends_to_nobody() {
        let (say, said) = Say::new(&Options::default());
        drop(said);
        assert!(matches!(say.send(report("lost\n")), Err(Error::Cancelled)));
    }
}
