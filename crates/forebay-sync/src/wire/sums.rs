//! Block sums and sums of whole files: sections 9.1 and 10 of the protocol.

use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroU32;
use std::os::unix::fs::FileExt;

use forebay::CancelToken;
use forebay_delta::{
    Error, Format, Hasher, Input, MAX_DIGEST_LEN, Settings, Signature, Strong, Token, Weak, block_len, sign, strong_len,
};

use super::error::WireError;
use super::limits;
use super::number::{Get, Put};
use super::terms::Checksum;

/// The most bytes of a strong sum that travel.
const STRONG: usize = 16;
/// How many sums are read at once.
const PIECE: usize = 1024;

/// How the basis of a file is cut into blocks. The default is no basis: the whole file is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SumHead {
    /// Blocks.
    pub(crate) count: u32,
    /// Bytes of a block.
    pub(crate) block_len: u32,
    /// Bytes of each strong sum.
    pub(crate) strong_len: u32,
    /// Bytes of the last block, if it is shorter.
    pub(crate) remainder: u32,
}

impl SumHead {
    /// For a basis of `len` bytes, in blocks of rsync's choice or of `block`, and sums of `digest_len` bytes: as much of
    /// them as the first phase needs, or all where `whole` sums are asked for. What has no blocks or too many is no basis.
    pub(crate) fn of(len: u64, block: Option<NonZeroU32>, digest_len: usize, whole: bool) -> Self {
        let block_len = block.map_or_else(|| block_len(len), |block| block.get().min(limits::BLOCK.unsigned_abs()));
        let count = len.div_ceil(block_len.into());
        let strong = if whole { digest_len.min(STRONG) } else { strong_len(len, block_len, digest_len) };
        match u32::try_from(count) {
            Ok(count) if count > 0 && i64::from(count) <= limits::BLOCKS => SumHead {
                count,
                block_len,
                // No digest is longer than 32 bytes.
                strong_len: strong as u32,
                // Less than a block.
                remainder: (len % u64::from(block_len)) as u32,
            },
            _ => SumHead::default(),
        }
    }

    /// Reads it, and holds it against the length of a digest.
    pub(crate) fn read<R: Read + ?Sized>(from: &mut R, digest_len: usize) -> Result<Self, WireError> {
        let mut bounded = |most: u32, what| {
            let value = from.int()?;
            u32::try_from(value).ok().filter(|value| *value <= most).ok_or(WireError::protocol(what, value))
        };
        let count = bounded(i32::MAX.unsigned_abs() - 1, "a count of blocks")?;
        let block_len = bounded(limits::BLOCK.unsigned_abs(), "the length of blocks")?;
        let strong_len = bounded(digest_len.min(MAX_DIGEST_LEN) as u32, "the length of strong sums")?;
        let remainder = bounded(block_len, "the length of the last block")?;
        if count > 0 && block_len == 0 {
            return Err(WireError::protocol("blocks of no bytes", count));
        }
        Ok(SumHead { count, block_len, strong_len, remainder })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        // Each is at most `i32::MAX`.
        [self.count, self.block_len, self.strong_len, self.remainder]
            .into_iter()
            .for_each(|value| out.put_int(value as i32));
    }

    /// Bytes of the basis.
    pub(crate) fn basis_len(&self) -> u64 {
        let whole = u64::from(self.count) * u64::from(self.block_len);
        match (self.count, self.remainder) {
            (0, _) | (_, 0) => whole,
            (_, remainder) => whole - u64::from(self.block_len - remainder),
        }
    }

    /// Bytes of it and of the sums of all blocks on the wire.
    pub(crate) fn wire_len(&self, sums: bool) -> u64 {
        let each = if sums { 4 + u64::from(self.strong_len) } else { 0 };
        16 + u64::from(self.count) * each
    }

    /// Where in the basis `count` blocks from `block` on are, and how many bytes. `None` if it has not got them.
    pub(crate) fn bytes(&self, block: u32, count: u32) -> Option<(u64, u64)> {
        let end = block.checked_add(count).filter(|end| *end <= self.count)?;
        let at = |block: u32| u64::from(block) * u64::from(self.block_len);
        Some((at(block), at(end).min(self.basis_len()) - at(block)))
    }

    /// The token for so many blocks.
    pub(crate) fn copy(&self, block: u32, count: u32) -> Option<Token<'static>> {
        self.bytes(block, count).map(|(offset, len)| Token::Copy { offset, len })
    }

    /// How the sums of blocks are made. `None` where there are no blocks.
    fn format(&self, strong: Strong) -> Option<Result<Format, WireError>> {
        (self.count > 0).then(|| {
            Format::new(Weak::Rsync, strong, self.block_len, self.strong_len as usize)
                .map_err(|_| WireError::protocol("the length of strong sums", i64::from(self.strong_len)))
        })
    }

    /// Appends the sums of all blocks of `basis`, on several threads if it is long. Returns how many threads worked.
    pub(crate) fn sign(
        &self,
        basis: Input<'_>,
        strong: Strong,
        settings: &Settings,
        out: &mut Vec<u8>,
    ) -> Result<u64, Error> {
        if self.count == 0 {
            return Ok(0);
        }
        let format = Format::new(Weak::Rsync, strong, self.block_len, self.strong_len as usize)?;
        out.reserve(self.count as usize * (size_of::<u32>() + format.strong_len()));
        sign(basis, &format, settings, |sums| {
            put_sums(sums.iter(), out);
            Ok(())
        })
    }

    /// Reads the sums of all blocks. Waits for memory from the budget, also for that of the search; sums that can never fit into it
    /// are skipped, and the file is sent as if it had no basis, which is what `None` stands for.
    pub(crate) fn read_sums<R: Read + ?Sized>(
        &self,
        from: &mut R,
        strong: Strong,
        settings: &Settings,
    ) -> Result<Option<Signature>, WireError> {
        let Some(format) = self.format(strong).transpose()? else { return Ok(None) };
        let each = size_of::<u32>() + format.strong_len();
        let mut signature = match Signature::with_room(&format, self.count.into(), settings) {
            Ok(signature) => signature,
            Err(Error::Memory(_)) => {
                let bytes = u64::from(self.count) * each as u64;
                return match io::copy(&mut from.take(bytes), &mut io::sink())? {
                    read if read < bytes => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                    _ => Ok(None),
                };
            }
            Err(_) => return Err(WireError::protocol("a count of blocks", self.count)),
        };
        let misfit = |_| WireError::protocol("block sums", self.count);
        let mut buffer = vec![0; each * (self.count as usize).min(PIECE)];
        let mut left = self.count as usize;
        while left > 0 {
            let now = left.min(PIECE);
            let piece = buffer.get_mut(..each * now).unwrap_or_default();
            from.read_exact(piece)?;
            for sums in piece.chunks_exact(each) {
                if let Some((weak, strong)) = sums.split_first_chunk() {
                    signature.push(u32::from_le_bytes(*weak), strong).map_err(misfit)?;
                }
            }
            left -= now;
        }
        signature.set_basis_len(self.basis_len()).map_err(misfit)?;
        Ok(Some(signature))
    }
}

/// Appends weak and strong sums.
fn put_sums<'a>(sums: impl Iterator<Item = (u32, &'a [u8])>, out: &mut Vec<u8>) {
    for (weak, strong) in sums {
        out.put(&weak.to_le_bytes());
        out.put(strong);
    }
}

/// The sum of a whole file, which follows its tokens.
#[derive(Clone, Debug)]
pub(crate) struct FileSum(Option<Hasher>);

impl FileSum {
    pub(crate) fn new(checksum: Checksum) -> Self {
        FileSum(checksum.of_file().map(Hasher::new))
    }

    /// The bytes that travel for what is behind the byte `from` of `file`.
    ///
    /// # Errors
    /// It cannot be read, or was interrupted by `cancel`.
    pub(crate) fn of(checksum: Checksum, file: &File, from: u64, cancel: &CancelToken) -> io::Result<Vec<u8>> {
        let (mut sum, mut at) = (FileSum::new(checksum), from);
        let mut buffer = vec![0; 256 << 10];
        loop {
            if cancel.is_cancelled() {
                return Err(io::ErrorKind::Other.into());
            }
            match file.read_at(&mut buffer, at) {
                Ok(0) => return Ok(sum.finish()),
                Ok(n) => {
                    sum.update(buffer.get(..n).unwrap_or_default());
                    at += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Adds the next bytes of the file.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        if let Some(hasher) = &mut self.0 {
            hasher.update(bytes);
        }
    }

    /// The bytes that travel. Without a sum that is a zero byte.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.0.map_or_else(|| vec![0], |hasher| hasher.finish().as_ref().to_vec())
    }

    /// What is sent instead of the sum of a file that could not be read to its end: surely not that of what was sent.
    pub(crate) fn spoilt(self) -> Vec<u8> {
        let mut sum = self.finish();
        let all_zero = sum.iter().all(|byte| *byte == 0);
        sum.fill(0);
        if let Some(last) = sum.last_mut() {
            *last = u8::from(all_zero);
        }
        sum
    }

    /// Reads the sum that the other side has sent.
    pub(crate) fn read<R: Read + ?Sized>(from: &mut R, checksum: Checksum) -> Result<Vec<u8>, WireError> {
        Get::exactly(from, checksum.len(), MAX_DIGEST_LEN, "the length of a sum")
    }
}

#[cfg(test)]
mod tests {
    use forebay::Budget;
    use forebay_delta::search;
    use proptest::prelude::*;

    use super::*;
    use crate::wire::terms::{Compat, Terms};

    fn terms(transfer: Checksum, seed: i32) -> Terms {
        Terms {
            protocol: 32,
            compat: Compat(Compat::CHECKSUM_SEED_FIX),
            seed,
            transfer,
            files: transfer,
            compress: None,
        }
    }

    #[test]
    fn weak_sums_of_the_protocol() {
        let all: Vec<u8> = (0..=255).collect();
        let long: Vec<u8> = (0..700u32).map(|n| (n % 251) as u8).collect();
        for (bytes, sum) in [
            (&b""[..], 0),
            (b"abcd", 0x03d4_018a),
            (b"\x80", 0xff80_ff80),
            (&all, 0x6a80_ff80),
            (&[0xff; 700], 0x419a_fd44),
            (&long, 0xc4c4_054d),
        ] {
            assert_eq!(Weak::Rsync.sum(bytes), sum);
        }
    }

    #[test]
    fn heads_of_the_protocol() {
        let head = SumHead::of(1 << 30, None, 16, false);
        assert_eq!(head, SumHead { count: 32_768, block_len: 32_768, strong_len: 3, remainder: 0 });
        assert_eq!(SumHead::of(1 << 30, None, 8, true).strong_len, 8);
        let head = SumHead::of(200_000, None, 20, false);
        assert_eq!(head, SumHead { count: 286, block_len: 700, strong_len: 2, remainder: 500 });
        assert_eq!(SumHead::of(200_000, None, 20, true).strong_len, 16);
        assert_eq!((head.bytes(285, 1), head.bytes(285, 2)), (Some((199_500, 500)), None));
        assert_eq!((head.bytes(0, 286), head.bytes(u32::MAX, 2)), (Some((0, 200_000)), None));
        assert_eq!([0, u64::MAX].map(|len| SumHead::of(len, None, 16, false)), [SumHead::default(); 2]);
        assert_eq!(SumHead::of(1 << 30, NonZeroU32::new(1 << 29), 16, false).block_len, 1 << 17);
    }

    #[test]
    fn heads_beyond_bounds_are_refused() {
        for (values, ok) in [
            ([0, 0, 0, 0], true),
            ([1, 700, 2, 700], true),
            ([1, 1 << 17, 16, 1], true),
            ([0, 700, 2, 0], true),
            ([-1, 700, 2, 0], false),
            ([1, -1, 2, 0], false),
            ([1, (1 << 17) + 1, 2, 0], false),
            ([1, 0, 2, 0], false),
            // CVE-2024-12084: a strong sum longer than a digest.
            ([1, 700, 17, 0], false),
            ([1, 700, -1, 0], false),
            ([1, 700, 2, 701], false),
            ([1, 700, 2, -1], false),
            ([i32::MAX, 700, 2, 0], false),
        ] {
            let bytes: Vec<u8> = values.into_iter().flat_map(i32::to_le_bytes).collect();
            let head = SumHead::read(&mut &bytes[..], 16);
            assert_eq!(head.is_ok(), ok, "{values:?}");
            if let Ok(head) = head {
                let mut out = Vec::new();
                head.write(&mut out);
                assert_eq!(out, bytes);
            }
        }
        assert!(SumHead::read(&mut &[0; 15][..], 16).is_err());
    }

    #[test]
    fn sums_beyond_the_budget_are_skipped() {
        let strong = Strong::Xxh128(0);
        let head = SumHead { count: 1000, block_len: 700, strong_len: 2, remainder: 0 };
        // The sums, and what the search needs.
        let needed = 6000 + 16_196;
        let settings = Settings { budget: Budget::new(needed - 1), ..Settings::default() };
        let bytes = vec![1; 6001];
        let mut from = &bytes[..];
        assert!(head.read_sums(&mut from, strong, &settings).unwrap().is_none());
        assert_eq!(from.len(), 1, "they were read all the same");
        assert!(head.read_sums(&mut &bytes[..5999], strong, &settings).is_err(), "the stream ends within");

        let settings = Settings { budget: Budget::new(needed + 1000), ..Settings::default() };
        let signature = head.read_sums(&mut &bytes[..], strong, &settings).unwrap().unwrap();
        assert_eq!((signature.blocks(), settings.budget.used()), (1000, needed));
        // What waits behind it takes the rest, and the search goes on.
        let behind = settings.budget.consumer("behind", 0).unwrap();
        let rest = behind.try_lease(1000).unwrap();
        let new = vec![2; 2000];
        let stats = search(&signature, Input::bytes(&new), <_>::default(), &settings, |_| Ok::<_, Error>(()));
        assert_eq!(stats.unwrap().literal, 2000);
        drop(rest);
        drop(signature);
        assert_eq!(settings.budget.used(), 0);
        let none = SumHead { strong_len: 0, ..head };
        assert!(none.read_sums(&mut &bytes[..], strong, &settings).is_err(), "sums of no bytes");
    }

    #[test]
    fn sums_of_files() {
        for (checksum, expected) in [
            (Checksum::Md5, "5eb63bbbe01eeed093cb22bb8f5acdc3"),
            (Checksum::Md4, "aa010fbc1d14c795d86ef98c95479d17"),
            (Checksum::Sha1, "2aae6c35c94fcfb415dbe95f408b9ce91ee846ed"),
            (Checksum::Xxh64, "68691eb23467ab45"),
            (Checksum::None, "00"),
        ] {
            let mut sum = FileSum::new(checksum);
            sum.update(b"hello ");
            sum.update(b"world");
            let hex: String = sum.clone().finish().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, expected, "{checksum:?}");
            assert_eq!(hex.len(), checksum.len() * 2);
            let spoilt = sum.clone().spoilt();
            assert_ne!(spoilt, sum.finish());
            assert_eq!(FileSum::read(&mut &spoilt[..], checksum).unwrap(), spoilt);
        }
    }

    proptest! {
        #[test]
        fn what_is_signed_is_read(
            len in 0usize..50_000, block in 1u32..5000, seed in any::<i32>(), whole in any::<bool>(),
        ) {
            let basis: Vec<u8> = (0..len).map(|n| (n.wrapping_mul(n) >> 5) as u8).collect();
            let settings = Settings::default();
            for checksum in [
                Checksum::Xxh128, Checksum::Xxh3, Checksum::Xxh64, Checksum::Md5, Checksum::Md4, Checksum::Sha1,
            ] {
                let strong = terms(checksum, seed).of_block().unwrap();
                let head = SumHead::of(len as u64, NonZeroU32::new(block), checksum.len(), whole);
                prop_assert_eq!(head.basis_len(), len as u64);
                let mut out = Vec::new();
                head.write(&mut out);
                head.sign(Input::bytes(&basis), strong, &settings, &mut out).unwrap();
                let mut from = &out[..];
                prop_assert_eq!(SumHead::read(&mut from, checksum.len()).unwrap(), head);
                let read = head.read_sums(&mut from, strong, &settings).unwrap();
                prop_assert!(from.is_empty());
                prop_assert_eq!(read.is_some(), len > 0);
                if let Some(read) = read {
                    let format = *read.format();
                    let made = Signature::of(Input::bytes(&basis), &format, &settings).unwrap();
                    prop_assert_eq!(read.basis_len(), made.basis_len());
                    prop_assert!(read.iter().eq(made.iter()));
                }
            }
        }
    }
}
