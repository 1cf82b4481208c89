//! `Passage`: what a client says of one file while its content is on its way over the connection.
//!
//! What is said of it before goes ahead, and what stands for its progress goes into the report when all of it has come.
//! Meanwhile, bytes are counted, and who [watches](Live::watch) tells of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::error::WireError;
use super::say::Say;
use crate::error::Error;
use crate::live::Live;
use crate::outcome::Outcome;
use crate::shared::Shared;

/// After so many bytes, it is counted how far it is.
const PIECE: usize = 32 << 10;

/// The content of a file on its way.
#[derive(Debug)]
pub(crate) struct Passage<'p> {
    live: &'p Live,
    /// Each file is told of.
    each: bool,
    size: u64,
    /// How many entries of the list are behind it, itself among them.
    behind: u64,
    begun: Instant,
    done: Arc<AtomicU64>,
}

impl<'p> Passage<'p> {
    /// Says what `report` has of the file, which has `size` bytes, `from` of them there already. None where progress is not
    /// asked for.
    pub(crate) fn begin(
        shared: &'p Shared<'_>,
        say: &Say,
        report: &mut Outcome,
        (size, from): (u64, u64),
        behind: u64,
    ) -> Result<Option<Self>, Error> {
        let Some(live) = &shared.live else { return Ok(None) };
        let (text, log) = (std::mem::take(&mut report.text), std::mem::take(&mut report.log));
        say.send(Outcome { text, log, ..Outcome::default() })?;
        let done = live.come(say.sent(), size);
        done.fetch_add(from, Ordering::Relaxed);
        let each = shared.options.levels.progress == 1;
        Ok(Some(Passage { live, each, size, behind, begun: Instant::now(), done }))
    }

    /// Where bytes are counted.
    pub(crate) fn count(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.done)
    }

    /// Sends `out` piece by piece, which stands for so many `bytes` of the file.
    pub(crate) fn send(
        &self,
        out: &[u8],
        bytes: u64,
        mut send: impl FnMut(&[u8]) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let (before, mut sent) = (self.done.load(Ordering::Relaxed), 0);
        for piece in out.chunks(PIECE) {
            send(piece)?;
            sent += piece.len();
            let share = u128::from(bytes) * sent as u128 / out.len() as u128;
            self.done.store(before + u64::try_from(share).unwrap_or(bytes), Ordering::Relaxed);
        }
        Ok(())
    }

    /// All of it has come. With progress of each file, what stands for that is added to `report`.
    pub(crate) fn end(self, report: &mut Outcome) {
        let Passage { live, each, size, behind, begun, .. } = self;
        live.came(size, behind);
        if each {
            // Names are escaped: a NUL begins nothing else.
            let mark = format!("\0{size} {behind} {}ms\n", begun.elapsed().as_millis());
            report.text.extend_from_slice(mark.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::shared::Root;

    #[test]
    fn a_name_goes_ahead_and_the_progress_comes_behind() {
        let mut options = Options::default();
        options.levels.progress = 1;
        let nowhere = Root { fd: None, created: false, rename: None, shown: Vec::new() };
        let mut shared = Shared::new(&options, nowhere);
        let (say, said) = Say::new(&options);
        let report = || Outcome { text: b"d/\nbig\n".to_vec(), log: b"logged\n".to_vec(), ..Outcome::default() };
        let mut whole = report();
        assert!(Passage::begin(&shared, &say, &mut whole, (9, 0), 5).unwrap().is_none());
        assert_eq!(whole.text, report().text, "nobody asks for progress");
        shared.live = Some(Live::of_connection());
        let passage = Passage::begin(&shared, &say, &mut whole, (9, 2), 5).unwrap().unwrap();
        let head = said.next().unwrap();
        assert_eq!((&head.text[..], &head.log[..]), (&b"d/\nbig\n"[..], &b"logged\n"[..]));
        assert_eq!((&whole.text[..], &whole.log[..]), (&b""[..], &b""[..]));
        assert_eq!(passage.count().load(Ordering::Relaxed), 2);
        let mut pieces = Vec::new();
        let sent = passage.send(&[0; 2 * PIECE], 6, |piece| {
            pieces.push((piece.len(), passage.count().load(Ordering::Relaxed)));
            Ok(())
        });
        assert!(sent.is_ok());
        assert_eq!((pieces, passage.count().load(Ordering::Relaxed)), (vec![(PIECE, 2), (PIECE, 5)], 8));
        passage.end(&mut whole);
        assert!(whole.text.starts_with(b"\x009 5 ") && whole.text.ends_with(b"ms\n"), "{whole:?}");
        let carried = shared.live.as_ref().and_then(Live::carried).unwrap();
        assert_eq!((carried.files, carried.bytes, carried.behind), (1, 9, 5));
    }
}
