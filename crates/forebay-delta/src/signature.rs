//! `Signature`: the sums of a basis, block by block.

use forebay::{Consumer, Lease, Weigh};

use crate::block::{MAX_BLOCK_LEN, block_len};
use crate::error::{Error, Role, of_run};
use crate::input::{Input, Segment};
use crate::settings::Settings;
use crate::strong::Strong;
use crate::table::Table;
use crate::weak::Weak;

/// The most bytes of a file that are signed as one item: they stay in the processor's cache from reading to hashing.
const SEGMENT: usize = 1 << 20;
/// A file of up to so many segments is signed on the caller's thread, one segment after the other in the same buffer: threads
/// take as long to start.
const SHORT: u64 = 4;

/// How a basis is cut and summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    weak: Weak,
    strong: Strong,
    block_len: u32,
    strong_len: usize,
}

impl Format {
    /// Blocks of `block_len` bytes, and the first `strong_len` bytes of each strong sum.
    ///
    /// # Errors
    /// [`Error::BlockLen`] and [`Error::StrongLen`].
    pub fn new(weak: Weak, strong: Strong, block_len: u32, strong_len: usize) -> Result<Self, Error> {
        if block_len == 0 || block_len > MAX_BLOCK_LEN {
            return Err(Error::BlockLen(block_len.into()));
        }
        let digest_len = strong.digest_len();
        if strong_len == 0 || strong_len > digest_len {
            return Err(Error::StrongLen { len: strong_len, digest_len });
        }
        Ok(Format { weak, strong, block_len, strong_len })
    }

    /// For two files that are both at hand, the basis of `len` bytes: rsync's blocks and weak sums, and whole XXH3
    /// sums of 128 bits, which cost less than reading the basis a second time and never travel.
    pub fn local(len: u64) -> Self {
        Format { weak: Weak::Rsync, strong: Strong::Xxh128(0), block_len: block_len(len), strong_len: 16 }
    }

    /// Which weak sum.
    pub fn weak(&self) -> Weak {
        self.weak
    }

    /// Which strong sum.
    pub fn strong(&self) -> Strong {
        self.strong
    }

    /// Bytes of a block.
    pub fn block_len(&self) -> u32 {
        self.block_len
    }

    /// Bytes of each strong sum that are kept.
    pub fn strong_len(&self) -> usize {
        self.strong_len
    }
}

/// The sums of consecutive blocks.
#[derive(Debug, Default)]
pub struct Sums {
    weak: Vec<u32>,
    strong: Vec<u8>,
    /// Bytes that were summed.
    bytes: u64,
}

impl Sums {
    /// Weak and strong sum of each block, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let strong_len = self.strong.len() / self.weak.len().max(1);
        self.weak.iter().copied().zip(self.strong.chunks_exact(strong_len.max(1)))
    }

    /// Bytes of the basis that they cover.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn of(segment: &Segment<'_>, format: &Format) -> Self {
        let (block_len, bytes) = (format.block_len as usize, segment.bytes());
        let blocks = bytes.len().div_ceil(block_len);
        let mut strong = Vec::with_capacity(blocks * format.strong_len);
        let weak = bytes.chunks(block_len).map(|block| format.weak.sum(block)).collect();
        format.strong.sum_blocks(bytes, block_len, format.strong_len, &mut strong);
        Sums { weak, strong, bytes: bytes.len() as u64 }
    }
}

impl Weigh for Sums {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.weak.capacity() * size_of::<u32>() + self.strong.capacity()
    }
}

/// Sums the blocks of `basis`, on several threads if it is longer than 4 MiB, and gives them to `sink` in order, some at a time.
/// Returns how many threads worked.
///
/// # Errors
/// [`Error::Read`] and [`Error::Short`] of the basis, [`Error::Engine`], [`Error::Cancelled`], and what `sink` returns.
pub fn sign<E, K>(basis: Input<'_>, format: &Format, settings: &Settings, mut sink: K) -> Result<u64, E>
where
    E: From<Error> + Send,
    K: FnMut(Sums) -> Result<(), E>,
{
    let len = settings.segment_len(SEGMENT, format.block_len as usize);
    let short = matches!(basis, Input::File(_, whole) if whole <= SHORT * len as u64);
    let spares = &settings.spares;
    let segments = basis.segments(Role::Basis, len, 0, spares);
    let sum = |mut segment: Segment<'_>| {
        segment.load(spares, short)?;
        let sums = Sums::of(&segment, format);
        spares.keep(segment.into_buf());
        Ok(sums)
    };
    if short {
        for segment in segments {
            sink(sum(segment?)?)?;
        }
        return Ok(1);
    }
    let source = segments.map(|segment| segment.map_err(E::from));
    let done = settings.pipeline("sign").run(source, |segment| sum(segment).map_err(|error: Error| error.into()), sink);
    done.map(|snapshot| snapshot.workers_used).map_err(of_run)
}

/// The sums of all blocks of a basis. The memory is paid for by the budget as long as it lives.
#[derive(Debug)]
pub struct Signature {
    format: Format,
    weak: Vec<u32>,
    strong: Vec<u8>,
    /// The length of the basis, where it is known.
    basis_len: Option<u64>,
    /// One for each time that the sums grew.
    leases: Vec<Lease>,
    /// Bytes of them for the table of one search.
    table: usize,
    consumer: Consumer,
}

impl Signature {
    /// Sums the blocks of `basis`, on several threads if it is long.
    ///
    /// ```
    /// use forebay_delta::{Format, Input, Settings, Signature};
    ///
    /// let basis = vec![7; 10_000];
    /// let signature = Signature::of(Input::bytes(&basis), &Format::local(10_000), &Settings::default())?;
    /// assert_eq!(signature.blocks(), 15); // 14 of 700 bytes and one of 200
    /// # Ok::<(), forebay_delta::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::Short`] of the basis, [`Error::Blocks`], [`Error::Memory`], [`Error::Engine`] and
    /// [`Error::Cancelled`].
    pub fn of(basis: Input<'_>, format: &Format, settings: &Settings) -> Result<Self, Error> {
        let mut signature = Signature::empty(format, settings)?;
        if let Input::File(_, len) = basis {
            signature.reserve(len.div_ceil(format.block_len.into()))?;
        }
        let mut len = 0;
        sign(basis, format, settings, |sums| {
            len += sums.bytes;
            signature.reserve(sums.weak.len() as u64)?;
            signature.weak.extend_from_slice(&sums.weak);
            signature.strong.extend_from_slice(&sums.strong);
            Ok::<_, Error>(())
        })?;
        signature.basis_len = Some(len);
        Ok(signature)
    }

    /// No blocks yet, of a basis whose length is not known. For sums that were made elsewhere.
    ///
    /// # Errors
    /// [`Error::Memory`] never for lack of it: only if the budget refuses to be used at all.
    pub fn empty(format: &Format, settings: &Settings) -> Result<Self, Error> {
        let consumer = settings.budget.consumer("signature", 0).map_err(Error::Memory)?;
        let (weak, strong) = (Vec::new(), Vec::new());
        Ok(Signature { format: *format, weak, strong, basis_len: None, leases: Vec::new(), table: 0, consumer })
    }

    /// No blocks yet, and room for so many. Waits until the budget has the memory: see [`Consumer::lease`] about where that
    /// is not done. For sums that come from elsewhere and were announced. What one search needs beside them is paid for, too, so
    /// that it is not refused later, whoever has used up the budget by then.
    ///
    /// # Errors
    /// [`Error::Blocks`]; [`Error::Memory`] if they can never fit into the budget.
    pub fn with_room(format: &Format, blocks: u64, settings: &Settings) -> Result<Self, Error> {
        let mut signature = Signature::empty(format, settings)?;
        let block_len = format.block_len;
        let room = usize::try_from(blocks).ok().filter(|_| blocks < u64::from(u32::MAX));
        let room = room.ok_or(Error::Blocks { len: blocks.saturating_mul(block_len.into()), block_len })?;
        signature.table = Table::bytes_of(room);
        let bytes = room.saturating_mul(size_of::<u32>() + format.strong_len).saturating_add(signature.table);
        signature.leases.push(signature.consumer.lease(bytes).map_err(Error::Memory)?);
        signature.weak.reserve_exact(room);
        signature.strong.reserve_exact(room * format.strong_len);
        Ok(signature)
    }

    /// Appends a block.
    ///
    /// # Errors
    /// [`Error::Blocks`], [`Error::Memory`], and [`Error::StrongLen`] if `strong` does not have the format's length.
    pub fn push(&mut self, weak: u32, strong: &[u8]) -> Result<(), Error> {
        if strong.len() != self.format.strong_len {
            return Err(Error::StrongLen { len: strong.len(), digest_len: self.format.strong_len });
        }
        self.reserve(1)?;
        self.weak.push(weak);
        self.strong.extend_from_slice(strong);
        Ok(())
    }

    /// Says how long the basis is, after its blocks: the last one may be shorter than the others.
    ///
    /// # Errors
    /// [`Error::Blocks`] if so many bytes have not so many blocks.
    pub fn set_basis_len(&mut self, len: u64) -> Result<(), Error> {
        if len.div_ceil(self.format.block_len.into()) != self.blocks() {
            return Err(Error::Blocks { len, block_len: self.format.block_len });
        }
        self.basis_len = Some(len);
        Ok(())
    }

    /// Makes room for so many more blocks, paid for.
    fn reserve(&mut self, more: u64) -> Result<(), Error> {
        let block_len = self.format.block_len;
        let needed = self.blocks().saturating_add(more);
        if needed >= u64::from(u32::MAX) {
            return Err(Error::Blocks { len: needed.saturating_mul(block_len.into()), block_len });
        }
        // Below 2^32.
        let needed = needed as usize;
        if needed <= self.weak.capacity() {
            return Ok(());
        }
        // Growing by half keeps appending linear.
        let room = needed.max(self.weak.len() * 3 / 2);
        let more = (room - self.weak.capacity()) * (size_of::<u32>() + self.format.strong_len);
        self.leases.push(self.consumer.try_lease(more).map_err(Error::Memory)?);
        self.weak.reserve_exact(room - self.weak.len());
        self.strong.reserve_exact(room * self.format.strong_len - self.strong.len());
        Ok(())
    }

    /// How the basis was cut and summed.
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> u64 {
        self.weak.len() as u64
    }

    /// The length of the basis, in bytes, if it is known.
    pub fn basis_len(&self) -> Option<u64> {
        self.basis_len
    }

    /// Weak and strong sum of each block, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.weak.iter().copied().zip(self.strong.chunks_exact(self.format.strong_len))
    }

    pub(crate) fn weak(&self, block: u32) -> u32 {
        self.weak[block as usize]
    }

    pub(crate) fn strong(&self, block: u32) -> &[u8] {
        let len = self.format.strong_len;
        &self.strong[block as usize * len..][..len]
    }

    /// The length of `block`; none for a block that there is not, and for a last one whose length is not known.
    pub(crate) fn block_len(&self, block: u32) -> Option<usize> {
        let (block, blocks) = (u64::from(block), self.blocks());
        let whole = self.format.block_len;
        if block + 1 < blocks {
            Some(whole as usize)
        } else if block + 1 == blocks {
            self.basis_len.map(|len| (len - block * u64::from(whole)) as usize)
        } else {
            None
        }
    }

    /// Bytes of a table that have been paid for.
    pub(crate) fn paid_for_table(&self) -> usize {
        self.table
    }

    pub(crate) fn consumer(&self) -> &Consumer {
        &self.consumer
    }
}
