//! `Passage`: what a client says of one file while its content is on its way over the connection.
//!
//! Its name goes ahead, and what stands for its progress in the report stays there until all of it has come. Meanwhile, bytes
//! are counted, and who [watches](Live::watch) tells of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    size: u64,
    /// How many entries of the list are behind it, itself among them.
    behind: u64,
    done: Arc<AtomicU64>,
}

impl<'p> Passage<'p> {
    /// Says what `report` has before the progress of the file, which has `size` bytes, `from` of them there already. None where
    /// progress is not asked for.
    pub(crate) fn begin(
        shared: &'p Shared<'_>,
        say: &Say,
        report: &mut Outcome,
        (size, from): (u64, u64),
        behind: u64,
    ) -> Result<Option<Self>, Error> {
        let Some(live) = &shared.live else { return Ok(None) };
        let last = report
            .text
            .strip_suffix(b"\n")
            .map_or(0, |text| text.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1));
        // Names are escaped: a NUL begins nothing else.
        let mark = if report.text.get(last) == Some(&0) { report.text.split_off(last) } else { Vec::new() };
        let (text, log) = (std::mem::replace(&mut report.text, mark), std::mem::take(&mut report.log));
        say.send(Outcome { text, log, ..Outcome::default() })?;
        let done = live.come(say.sent(), size);
        done.fetch_add(from, Ordering::Relaxed);
        Ok(Some(Passage { live, size, behind, done }))
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

    /// All of it has come.
    pub(crate) fn end(self) {
        self.live.came(self.size, self.behind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::shared::Root;

    #[test]
    fn a_name_goes_ahead_of_the_progress() {
        let mut options = Options::default();
        options.levels.progress = 1;
        let nowhere = Root { fd: None, created: false, rename: None, shown: Vec::new() };
        let mut shared = Shared::new(&options, nowhere);
        let (say, said) = Say::new(&options);
        let report =
            || Outcome { text: b"d/\nbig\n\x009 5\n".to_vec(), log: b"logged\n".to_vec(), ..Outcome::default() };
        let mut whole = report();
        assert!(Passage::begin(&shared, &say, &mut whole, (9, 0), 5).unwrap().is_none());
        assert_eq!(whole.text, report().text, "nobody asks for progress");
        shared.live = Some(Live::of_connection());
        let passage = Passage::begin(&shared, &say, &mut whole, (9, 2), 5).unwrap().unwrap();
        let head = said.next().unwrap();
        assert_eq!((&head.text[..], &head.log[..]), (&b"d/\nbig\n"[..], &b"logged\n"[..]));
        assert_eq!((&whole.text[..], &whole.log[..]), (&b"\x009 5\n"[..], &b""[..]));
        assert_eq!(passage.count().load(Ordering::Relaxed), 2);
        let mut pieces = Vec::new();
        let sent = passage.send(&[0; 2 * PIECE], 6, |piece| {
            pieces.push((piece.len(), passage.count().load(Ordering::Relaxed)));
            Ok(())
        });
        assert!(sent.is_ok());
        assert_eq!((pieces, passage.count().load(Ordering::Relaxed)), (vec![(PIECE, 2), (PIECE, 5)], 8));
        passage.end();
        let carried = shared.live.as_ref().and_then(Live::carried).unwrap();
        assert_eq!((carried.files, carried.bytes, carried.behind), (1, 9, 5));
    }
}
