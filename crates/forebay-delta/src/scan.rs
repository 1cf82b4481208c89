//! Finds the blocks of a basis in one segment of the new file.
//!
//! Three ways to a match, the likely one first:
//!
//! * *a guess*: the block that follows the last match, or at the beginning the one that lies at the same offset. A file
//!   that has hardly changed is compared block by block and never rolled along.
//! * *a hop*: where the block that should follow is not, one of the two behind it may be where it belongs all the same, because
//!   bytes were changed in place. What is between is literal, but for a block that fits there whole. A block that occurs more
//!   than once in the basis proves nothing: what is before it may be the same again.
//! * *the window*: the weak sum moves byte by byte, a filter of bits turns most sums away, the table has candidates, and
//!   a strong sum of the window decides.
//!
//! Where the new file replaces the basis in its place, what lies before the window has been overwritten. A block from there
//! serves all the same if the new file has it in the same place, too: that is looked for in the new file.
//!
//! Strong sums of windows that then match nothing are bounded by [`ALARMS`] times the segment: after that only guesses
//! are followed, and whoever made a file to slow us down has a larger delta instead.

use crate::error::Role;
use crate::input::{ReadAt, read_exact_at};
use crate::search::Options;
use crate::signature::Signature;
use crate::stats::Stats;
use crate::strong::StrongSum;
use crate::table::Table;
use crate::weak::{RabinKarpRoll, Roll, RollsumRoll, RsyncRoll, Weak};

/// How often a segment's length may be hashed in vain.
const ALARMS: u64 = 16;
/// How many blocks a hop goes over: one change often reaches into two.
const HOP: usize = 2;
/// Strong sums of fewer bytes are the same by chance too often to be compared without the weak ones: those on the wire have two,
/// and a file in which one block is taken for another has to be sent again.
const ENOUGH: usize = 8;

/// Consecutive blocks of the basis that are in the new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Match {
    /// Where in the new file.
    pub(crate) at: u64,
    /// Where in the basis.
    pub(crate) offset: u64,
    /// Bytes: whole blocks, of which the basis's last may be shorter.
    pub(crate) len: u64,
}

/// What is searched, and with what.
pub(crate) struct Scan<'a> {
    pub(crate) signature: &'a Signature,
    pub(crate) table: &'a Table,
    pub(crate) options: Options,
    /// The new file and its length, if it replaces the basis in its place and can be read anywhere.
    pub(crate) new: Option<(&'a dyn ReadAt, u64)>,
}

impl Scan<'_> {
    /// The matches that begin in the first `own` of `bytes`, which lie at `at` in the new file. If fewer than a block less
    /// one byte follow, they are the end of the file.
    pub(crate) fn matches(&self, bytes: &[u8], own: usize, at: u64) -> (Vec<Match>, Stats) {
        if self.signature.blocks() == 0 {
            return (Vec::new(), Stats::default());
        }
        let mut walk = Walk::new(self, bytes, at);
        match self.signature.format().weak() {
            Weak::Rsync => walk.run::<RsyncRoll>(own),
            Weak::Rollsum => walk.run::<RollsumRoll>(own),
            Weak::RabinKarp => walk.run::<RabinKarpRoll>(own),
        }
        (walk.found, walk.stats)
    }
}

/// The state of one search.
struct Walk<'a> {
    scan: &'a Scan<'a>,
    bytes: &'a [u8],
    at: u64,
    block_len: usize,
    found: Vec<Match>,
    stats: Stats,
    /// Bytes that may still be hashed in vain.
    patience: u64,
    ahead: Ahead,
    /// The last answer of [`stays`](Walk::stays), and the block's bytes.
    stays: Option<(u32, bool)>,
    block: Vec<u8>,
}

/// Digests of consecutive windows whose weak sums are those of consecutive blocks: most likely they are the next to be asked
/// for, and they were hashed side by side.
#[derive(Default)]
struct Ahead {
    /// Where the first window is.
    pos: usize,
    /// The block of its weak sum.
    block: u32,
    sums: Vec<StrongSum>,
}

impl Ahead {
    /// The digest of the window at `pos`, if it has the weak sum of `block`.
    fn get(&self, pos: usize, block: u32, block_len: usize) -> Option<&StrongSum> {
        let nth = block.checked_sub(self.block)? as usize;
        self.sums.get(nth).filter(|_| self.pos + nth * block_len == pos)
    }
}

impl<'a> Walk<'a> {
    fn new(scan: &'a Scan<'a>, bytes: &'a [u8], at: u64) -> Self {
        let block_len = scan.signature.format().block_len() as usize;
        let patience = (bytes.len() as u64).saturating_mul(ALARMS);
        let (found, stats, ahead) = (Vec::new(), Stats::default(), Ahead::default());
        Walk { scan, bytes, at, block_len, found, stats, patience, ahead, stays: None, block: Vec::new() }
    }

    fn run<R: Roll>(&mut self, own: usize) {
        let mut pos = 0;
        while pos < own {
            let near = self.guess(pos).map(|block| (pos, block)).or_else(|| self.hop::<R>(pos, own));
            let Some((start, block)) = near.or_else(|| self.roll::<R>(pos, own)) else { return };
            pos = start + self.note(start, block);
        }
    }

    /// Notes a match and returns its length.
    fn note(&mut self, pos: usize, block: u32) -> usize {
        let len = self.block_len.min(self.bytes.len() - pos);
        let (at, offset) = (self.at + pos as u64, u64::from(block) * self.block_len as u64);
        self.stats.matches += 1;
        match self.found.last_mut() {
            Some(last) if last.at + last.len == at && last.offset + last.len == offset => last.len += len as u64,
            _ => self.found.push(Match { at, offset, len: len as u64 }),
        }
        len
    }

    /// One of the blocks behind the expected one, if it is where it belongs, begins before `own`, and no earlier block of the
    /// basis is the same; or a block that fits before that.
    fn hop<R: Roll>(&mut self, pos: usize, own: usize) -> Option<(usize, u32)> {
        let at = self.at + pos as u64;
        let expected = self.next(at).or_else(|| self.found.is_empty().then_some(at))?;
        let expected = u32::try_from(expected / self.block_len as u64).ok()?;
        let (signature, table) = (self.scan.signature, self.scan.table);
        for hop in 1..=HOP {
            let (start, block) = (pos + hop * self.block_len, expected.checked_add(hop as u32)?);
            if start >= own || u64::from(block) >= signature.blocks() {
                return None;
            }
            let same = |other: &u32| signature.strong(*other) == signature.strong(block);
            if self.is_at(block, start) && table.blocks(signature.weak(block)).find(same) == Some(block) {
                return self.roll::<R>(pos, start - self.block_len + 1).or(Some((start, block)));
            }
        }
        None
    }

    /// The offset that follows the last match in the basis, if that ends at `at`.
    fn next(&self, at: u64) -> Option<u64> {
        self.found.last().filter(|last| last.at + last.len == at).map(|last| last.offset + last.len)
    }

    /// A block that is likely to be at `pos`, if it is.
    fn guess(&mut self, pos: usize) -> Option<u32> {
        let at = self.at + pos as u64;
        let block_len = self.block_len as u64;
        let next = self.next(at);
        let same = (next.is_none() || self.scan.options.in_place).then_some(at);
        let aligned = |offset: &u64| offset.is_multiple_of(block_len);
        [next, same.filter(|same| Some(*same) != next)]
            .into_iter()
            .flatten()
            .filter(aligned)
            .filter_map(|offset| u32::try_from(offset / block_len).ok())
            .find(|block| self.is_at(*block, pos))
    }

    /// Whether `block` is at `pos`, and still there to be copied. Quick to say no.
    fn is_at(&mut self, block: u32, pos: usize) -> bool {
        self.is_like(block, pos) && (self.is_ahead(block, pos) || self.stays(block))
    }

    fn is_like(&mut self, block: u32, pos: usize) -> bool {
        let signature = self.scan.signature;
        let rest = &self.bytes[pos..];
        let window = &rest[..rest.len().min(self.block_len)];
        if u64::from(block) >= signature.blocks() || !self.fits(block, window.len()) || !self.may_serve(block, pos) {
            return false;
        }
        let format = signature.format();
        let is = |sum: &StrongSum| sum.as_ref()[..format.strong_len()] == *signature.strong(block);
        if let Some(sum) = self.ahead.get(pos, block, self.block_len) {
            return is(sum);
        }
        let enough = format.strong().is_cheap() && format.strong_len() >= ENOUGH;
        if !enough && format.weak().sum(window) != signature.weak(block) {
            return false;
        }
        if window.len() == self.block_len && format.strong().lanes() > 1 {
            self.look_ahead(block, pos);
            return self.ahead.get(pos, block, self.block_len).is_some_and(is);
        }
        is(&format.strong().sum(window))
    }

    /// Hashes the window at `pos`, which has the weak sum of `block`, and those behind it that are likely to be the next blocks.
    fn look_ahead(&mut self, block: u32, pos: usize) {
        let (signature, strong) = (self.scan.signature, self.scan.signature.format().strong());
        let windows = self.bytes[pos..].chunks_exact(self.block_len).zip(u64::from(block)..);
        let likely = |(nth, (window, block)): &(usize, (&[u8], u64))| {
            let known = u32::try_from(*block).ok().filter(|_| *block < signature.blocks());
            *nth == 0 || known.is_some_and(|block| signature.format().weak().sum(window) == signature.weak(block))
        };
        let windows = windows.enumerate().take(strong.lanes()).take_while(likely).map(|(_, (window, _))| window);
        self.ahead = Ahead { pos, block, sums: strong.sum_side_by_side(windows) };
    }

    /// Whether `block` has `len` bytes. A last block whose length nobody knows has at most a block's.
    fn fits(&self, block: u32, len: usize) -> bool {
        self.scan.signature.block_len(block).is_none_or(|block_len| block_len == len)
    }

    /// Whether `block` has not been overwritten where the new file replaces the basis from the beginning on.
    fn is_ahead(&self, block: u32, pos: usize) -> bool {
        !self.scan.options.in_place || u64::from(block) * self.block_len as u64 >= self.at + pos as u64
    }

    /// Whether `block` is to be looked at: it is still there, or may be.
    fn may_serve(&self, block: u32, pos: usize) -> bool {
        self.scan.new.is_some() || self.is_ahead(block, pos)
    }

    /// Whether the new file has `block` where the basis has it. What cannot be read is said where it is the turn of that.
    fn stays(&mut self, block: u32) -> bool {
        if let Some((known, stays)) = self.stays
            && known == block
        {
            return stays;
        }
        let (signature, format) = (self.scan.signature, self.scan.signature.format());
        let offset = u64::from(block) * self.block_len as u64;
        let mut read = || {
            let (new, end) = self.scan.new?;
            let len = signature.block_len(block).filter(|len| offset + *len as u64 <= end)?;
            self.block.resize(len, 0);
            read_exact_at(new, Role::New, &mut self.block, offset).ok()
        };
        let stays = read().is_some()
            && format.weak().sum(&self.block) == signature.weak(block)
            && format.strong().sum(&self.block).as_ref()[..format.strong_len()] == *signature.strong(block);
        self.stays = Some((block, stays));
        stays
    }

    /// The next match at or after `pos` that begins before `own`.
    fn roll<R: Roll>(&mut self, pos: usize, own: usize) -> Option<(usize, u32)> {
        // Windows that begin before this are whole.
        let whole = (self.bytes.len() + 1).saturating_sub(self.block_len).min(own);
        if pos < whole {
            let (bytes, table) = (self.bytes, self.scan.table);
            let entering = &bytes[pos + self.block_len..whole - 1 + self.block_len];
            let mut roll = R::start(&bytes[pos..pos + self.block_len]);
            for (start, (leaving, entering)) in (pos..).zip(bytes[pos..whole - 1].iter().zip(entering)) {
                if table.may_have(roll.value()) {
                    if let Some(block) = self.confirm(start, roll.value()) {
                        return Some((start, block));
                    }
                    if self.patience == 0 {
                        return self.leap(start + 1, own);
                    }
                }
                roll.roll(*leaving, *entering);
            }
            if let Some(block) = self.confirm(whole - 1, roll.value()) {
                return Some((whole - 1, block));
            }
        }
        self.tail::<R>(pos.max(whole), own)
    }

    /// The block with the weak sum `weak` that is at `pos`, where a whole window begins.
    fn confirm(&mut self, pos: usize, weak: u32) -> Option<u32> {
        let signature = self.scan.signature;
        let window = &self.bytes[pos..pos + self.block_len];
        let mut sum = None;
        for block in self.scan.table.blocks(weak) {
            if !self.fits(block, window.len()) || !self.may_serve(block, pos) {
                continue;
            }
            let sum = sum.get_or_insert_with(|| {
                self.stats.hash_hits += 1;
                self.patience = self.patience.saturating_sub(window.len() as u64);
                signature.format().strong().sum(window)
            });
            self.patience = self.patience.saturating_sub(1);
            let same = sum.as_ref()[..signature.format().strong_len()] == *signature.strong(block);
            if same && (self.is_ahead(block, pos) || self.stays(block)) {
                self.patience = self.patience.saturating_add(window.len() as u64);
                return Some(block);
            }
        }
        self.stats.false_alarms += u64::from(sum.is_some());
        None
    }

    /// As [`roll`](Walk::roll), looking at the basis's own offsets only.
    fn leap(&mut self, pos: usize, own: usize) -> Option<(usize, u32)> {
        self.stats.leaps += 1;
        let first = (self.at + pos as u64).next_multiple_of(self.block_len as u64) - self.at;
        let first = usize::try_from(first).unwrap_or(own);
        (first..own).step_by(self.block_len).find_map(|pos| Some((pos, self.guess(pos)?)))
    }

    /// A short last block of the basis at the end of the new file.
    fn tail<R: Roll>(&mut self, pos: usize, own: usize) -> Option<(usize, u32)> {
        let signature = self.scan.signature;
        let last = u32::try_from(signature.blocks().checked_sub(1)?).ok()?;
        let end = self.bytes.len();
        if let Some(len) = signature.block_len(last) {
            let start = end.checked_sub(len)?;
            return (len < self.block_len && (pos..own).contains(&start) && self.is_at(last, start))
                .then_some((start, last));
        }
        if pos >= own {
            return None;
        }
        let mut roll = R::start(&self.bytes[pos..]);
        for start in pos..own {
            if roll.value() == signature.weak(last) && self.patience > 0 {
                if self.is_at(last, start) {
                    return Some((start, last));
                }
                self.patience = self.patience.saturating_sub((end - start) as u64);
            }
            roll.shrink(self.bytes[start]);
        }
        None
    }
}
