//! How numbers and short texts are written: section 2 of the protocol. Everything is little-endian.

use std::io::{self, Read};

use super::error::WireError;
use super::limits;

type Result<T> = std::result::Result<T, WireError>;

/// Reads what [`Put`] writes. What does not fit its type, or is longer than the bound given, is [`WireError::Protocol`];
/// an end of the stream within is [`WireError::Io`].
pub(crate) trait Get: Read {
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two bytes.
    fn short(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes.
    fn int(&mut self) -> Result<i32> {
        self.array().map(i32::from_le_bytes)
    }

    /// 1 to 5 bytes.
    fn varint(&mut self) -> Result<i32> {
        let first = self.byte()?;
        let extra = first.leading_ones() as usize;
        if extra > 4 {
            return Err(WireError::protocol("a number of more than 32 bits", first));
        }
        let mut bytes = [0; 5];
        self.read_exact(bytes.get_mut(..extra).unwrap_or_default())?;
        if let Some(top) = bytes.get_mut(extra) {
            *top = first & (0x7f_u8 >> extra);
        }
        match bytes {
            [a, b, c, d, 0] => Ok(i32::from_le_bytes([a, b, c, d])),
            _ => Err(WireError::protocol("a number of more than 32 bits", first)),
        }
    }

    /// As [`varint`](Get::varint), not below 0.
    fn varuint(&mut self) -> Result<u32> {
        let value = self.varint()?;
        u32::try_from(value).map_err(|_| WireError::protocol("a number below zero", value))
    }

    /// `min` (3 or 4) to 9 bytes.
    fn varlong(&mut self, min: usize) -> Result<i64> {
        let first = self.byte()?;
        let mut bytes = [0; 9];
        let (low, extra) = (min - 1, first.leading_ones() as usize);
        if low + extra > 8 {
            return Err(WireError::protocol("a number of more than 64 bits", first));
        }
        self.read_exact(bytes.get_mut(..low + extra).unwrap_or_default())?;
        if let Some(top) = bytes.get_mut(low + extra) {
            *top = first & (0xff_u16 >> (extra + 1)) as u8;
        }
        let [value @ .., over] = bytes;
        match over {
            0 => Ok(i64::from_le_bytes(value)),
            _ => Err(WireError::protocol("a number of more than 64 bits", first)),
        }
    }

    /// So many bytes, at most `bound`.
    fn exactly(&mut self, len: usize, bound: usize, what: &'static str) -> Result<Vec<u8>> {
        if len > bound {
            return Err(WireError::protocol(what, i64::try_from(len).unwrap_or(i64::MAX)));
        }
        let mut bytes = Vec::new();
        // What is promised is not believed before it is there.
        self.take(len as u64).read_to_end(&mut bytes)?;
        if bytes.len() < len {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(bytes)
    }

    /// A length of one or two bytes, and a text of that length.
    fn vstring(&mut self, bound: usize, what: &'static str) -> Result<Vec<u8>> {
        let first = self.byte()?;
        let len = match first {
            0x80.. => (usize::from(first & 0x7f) << 8) | usize::from(self.byte()?),
            _ => usize::from(first),
        };
        self.exactly(len, bound.min(limits::VSTRING), what)
    }
}

impl<R: Read + ?Sized> Get for R {}

/// Writes numbers and short texts.
pub(crate) trait Put {
    fn put(&mut self, bytes: &[u8]);

    fn put_byte(&mut self, value: u8) {
        self.put(&[value]);
    }

    fn put_short(&mut self, value: u16) {
        self.put(&value.to_le_bytes());
    }

    fn put_int(&mut self, value: i32) {
        self.put(&value.to_le_bytes());
    }

    fn put_varint(&mut self, value: i32) {
        put_var(self, &value.to_le_bytes(), 1);
    }

    /// A number that takes at least `min` (3 or 4) bytes.
    fn put_varlong(&mut self, value: i64, min: usize) {
        put_var(self, &value.to_le_bytes(), min);
    }

    /// A text of at most 0x7fff bytes; what is longer is cut.
    fn put_vstring(&mut self, text: &[u8]) {
        let text = text.get(..limits::VSTRING).unwrap_or(text);
        if text.len() >= 0x80 {
            self.put_byte(0x80 | (text.len() >> 8) as u8);
        }
        self.put_byte(text.len() as u8);
        self.put(text);
    }
}

impl Put for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// The first byte holds as many ones as bytes follow beyond the least, a zero, and, where there is room, the highest bits.
fn put_var<P: Put + ?Sized>(out: &mut P, bytes: &[u8], min: usize) {
    let used = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1).max(min);
    let (low, top) = bytes.split_at(used - 1);
    let top = top.first().copied().unwrap_or_default();
    let extra = used - min;
    // Ones for `n` bytes more.
    let ones = |n: usize| !(0xff_u16 >> n) as u8;
    if u16::from(top) < 0x80 >> extra {
        out.put_byte(ones(extra) | top);
        out.put(low);
    } else {
        out.put_byte(ones(extra + 1));
        out.put(low);
        out.put_byte(top);
    }
}

/// The numbers that stand for something else than a file. What is below [`FLIST_OFFSET`](special::FLIST_OFFSET) introduces the
/// contents of a directory.
pub(crate) mod special {
    /// A phase, or a list, is done.
    pub(crate) const DONE: i32 = -1;
    /// No more lists follow.
    pub(crate) const FLIST_EOF: i32 = -2;
    /// Counts of deletions follow.
    pub(crate) const DEL_STATS: i32 = -3;
    /// Directory `k` is `FLIST_OFFSET - k`.
    pub(crate) const FLIST_OFFSET: i32 = -101;
}

/// Indexes of files, told as what they differ by from the one before. Each direction of a connection has its own.
#[derive(Debug)]
pub(crate) struct Indexes {
    positive: i32,
    negative: i32,
}

impl Default for Indexes {
    fn default() -> Self {
        Indexes { positive: -1, negative: 1 }
    }
}

impl Indexes {
    pub(crate) fn read<R: Read + ?Sized>(&mut self, from: &mut R) -> Result<i32> {
        let (negative, first) = match from.byte()? {
            0 => return Ok(special::DONE),
            0xff => (true, from.byte()?),
            first => (false, first),
        };
        let state = if negative { &mut self.negative } else { &mut self.positive };
        let value = match first {
            0xfe => {
                let (high, low) = (from.byte()?, from.byte()?);
                if high & 0x80 == 0 {
                    state.checked_add(i32::from(u16::from_be_bytes([high, low])))
                } else {
                    let [c, d] = from.array()?;
                    Some(i32::from_le_bytes([low, c, d, high & 0x7f]))
                }
            }
            first => state.checked_add(first.into()),
        };
        let value = value.ok_or(WireError::protocol("an index beyond all files", *state))?;
        *state = value;
        Ok(if negative { -value } else { value })
    }

    pub(crate) fn write<P: Put + ?Sized>(&mut self, out: &mut P, index: i32) {
        if index == special::DONE {
            return out.put_byte(0);
        }
        let (state, value) = if index < 0 {
            out.put_byte(0xff);
            (&mut self.negative, index.saturating_neg())
        } else {
            (&mut self.positive, index)
        };
        let more = i64::from(value) - i64::from(*state);
        *state = value;
        match more {
            1..=253 => out.put_byte(more as u8),
            0 | 254..=0x7fff => {
                out.put_byte(0xfe);
                out.put(&(more as u16).to_be_bytes());
            }
            _ => {
                let [a, b, c, d] = value.to_le_bytes();
                out.put(&[0xfe, d | 0x80, a, b, c]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        text.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
    }

    #[test]
    fn numbers_of_the_protocol() {
        for (value, bytes) in [
            (0, "00"),
            (0x7f, "7f"),
            (0x80, "80 80"),
            (0x1ff, "81 ff"),
            (0x3fff, "bf ff"),
            (0x4000, "c0 00 40"),
            (0x1f_ffff, "df ff ff"),
            (0x20_0000, "e0 00 00 20"),
            (0xfff_ffff, "ef ff ff ff"),
            (0x1000_0000, "f0 00 00 00 10"),
            (0x7fff_ffff, "f0 ff ff ff 7f"),
            (-1, "f0 ff ff ff ff"),
        ] {
            let mut out = Vec::new();
            out.put_varint(value);
            assert_eq!(out, hex(bytes), "{value:#x}");
            assert_eq!(hex(bytes).as_slice().varint().unwrap(), value);
        }
        for (value, min, bytes) in [
            (0, 3, "00 00 00"),
            (255, 3, "00 ff 00"),
            (65_535, 3, "00 ff ff"),
            (200_000, 3, "03 40 0d"),
            (0x7f_ffff, 3, "7f ff ff"),
            (0x80_0000, 3, "80 00 00 80"),
            (1 << 24, 3, "81 00 00 00"),
            (1 << 30, 3, "c0 00 00 00 40"),
            (1 << 40, 3, "e1 00 00 00 00 00"),
            (1 << 33, 4, "82 00 00 00 00"),
            (0x6b00_21a0, 4, "6b a0 21 00"),
            (-1, 4, "f8 ff ff ff ff ff ff ff ff"),
        ] {
            let mut out = Vec::new();
            out.put_varlong(value, min);
            assert_eq!(out, hex(bytes), "{value:#x}");
            assert_eq!(hex(bytes).as_slice().varlong(min).unwrap(), value);
        }
    }

    #[test]
    fn indexes_of_the_protocol() {
        let bytes = hex("01 01 fe 01 2b ff 64 ff 01 ff fe 80 02 00 00 00");
        let all = [0, 1, 300, -101, -102, -2, -1];
        let (mut out, mut indexes) = (Vec::new(), Indexes::default());
        all.iter().for_each(|&index| indexes.write(&mut out, index));
        assert_eq!(out, bytes);
        let (mut from, mut indexes) = (&bytes[..], Indexes::default());
        assert_eq!(all.map(|_| indexes.read(&mut from).unwrap()), all);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            ints in any::<Vec<i32>>(), longs in any::<Vec<i64>>(), text in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut out = Vec::new();
            ints.iter().for_each(|&value| out.put_varint(value));
            longs.iter().for_each(|&value| out.put_varlong(value, 3));
            longs.iter().for_each(|&value| out.put_varlong(value, 4));
            out.put_vstring(&text);
            let mut indexes = Indexes::default();
            ints.iter().for_each(|&value| indexes.write(&mut out, value.max(-i32::MAX)));
            let mut from = &out[..];
            for &value in &ints {
                prop_assert_eq!(from.varint().unwrap(), value);
            }
            for min in [3, 4] {
                for &value in &longs {
                    prop_assert_eq!(from.varlong(min).unwrap(), value);
                }
            }
            prop_assert_eq!(from.vstring(300, "").unwrap(), text);
            let mut indexes = Indexes::default();
            for &value in &ints {
                prop_assert_eq!(indexes.read(&mut from).unwrap(), value.max(-i32::MAX));
            }
            prop_assert!(from.is_empty());
        }

        #[test]
        fn anything_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let _ = (&bytes[..]).varint();
            let _ = (&bytes[..]).varlong(3);
            let _ = (&bytes[..]).vstring(100, "");
            let (mut from, mut indexes) = (&bytes[..], Indexes::default());
            while indexes.read(&mut from).is_ok() {}
        }
    }
}
