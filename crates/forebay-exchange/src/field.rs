//! `Field`: what a key or a value of [`Changes`](crate::Changes) can be.
//!
//! Integers, booleans, arrays of bytes, tuples of fields, strings, and with [`Serde`] everything that serde can write.
//! Fields of fixed width are written as they lie in memory, little-endian.

use std::cmp::Reverse;

use forebay::DecodeError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use twox_hash::XxHash3_64;

/// A key or a value.
pub trait Field: Ord + Clone + Send + Sync + 'static {
    /// Whether it owns memory beyond its size.
    const ON_HEAP: bool = false;

    /// Bytes that it owns beyond its size.
    fn heap(&self) -> usize {
        0
    }

    /// A hash, spread evenly over all 64 bits, the same in every process of a run.
    fn hash64(&self) -> u64;

    /// Appends its bytes to `out`.
    fn encode(&self, out: &mut Vec<u8>);

    /// Takes what [`encode`](Self::encode) wrote off the front of `bytes`.
    ///
    /// # Errors
    /// If they are anything else.
    fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError>;
}

/// One to one, so two numbers with the same hash are the same number. Stafford's variant 13 of the finaliser of
/// MurmurHash3.
pub(crate) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Result<&'a [u8], DecodeError> {
    let (taken, rest) = bytes.split_at_checked(len).ok_or(DecodeError("the row ends early"))?;
    *bytes = rest;
    Ok(taken)
}

fn chunk<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], DecodeError> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(DecodeError("the row ends early"))?;
    *bytes = rest;
    Ok(*taken)
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Field for $type {
            #[inline]
            fn hash64(&self) -> u64 {
                mix(*self as u64)
            }

            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            #[inline]
            fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
                chunk(bytes).map(Self::from_le_bytes)
            }
        }
    )*};
}

integers!(u8, u16, u32, u64, i8, i16, i32, i64);

macro_rules! wide_integers {
    ($($type:ty),*) => {$(
        impl Field for $type {
            fn hash64(&self) -> u64 {
                mix(*self as u64 ^ mix((*self >> 64) as u64))
            }

            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
                chunk(bytes).map(Self::from_le_bytes)
            }
        }
    )*};
}

wide_integers!(u128, i128);

impl Field for () {
    fn hash64(&self) -> u64 {
        0
    }

    fn encode(&self, _: &mut Vec<u8>) {}

    fn decode(_: &mut &[u8]) -> Result<Self, DecodeError> {
        Ok(())
    }
}

impl Field for bool {
    fn hash64(&self) -> u64 {
        mix(u64::from(*self))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        match u8::decode(bytes)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError("a boolean that is neither")),
        }
    }
}

impl<const N: usize> Field for [u8; N] {
    fn hash64(&self) -> u64 {
        XxHash3_64::oneshot(self)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        chunk(bytes)
    }
}

macro_rules! tuples {
    ($($name:ident)+) => {
        impl<$($name: Field),+> Field for ($($name,)+) {
            const ON_HEAP: bool = $($name::ON_HEAP)||+;

            #[allow(non_snake_case, reason = "the types' names serve as the names of the parts")]
            fn heap(&self) -> usize {
                let ($($name,)+) = self;
                0 $(+ $name.heap())+
            }

            #[allow(non_snake_case, reason = "the types' names serve as the names of the parts")]
            fn hash64(&self) -> u64 {
                let ($($name,)+) = self;
                let mut hash = 0;
                $(hash = mix(hash ^ $name.hash64());)+
                hash
            }

            #[allow(non_snake_case, reason = "the types' names serve as the names of the parts")]
            fn encode(&self, out: &mut Vec<u8>) {
                let ($($name,)+) = self;
                $($name.encode(out);)+
            }

            fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
                Ok(($($name::decode(bytes)?,)+))
            }
        }
    };
}

tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);

/// The same value, in the opposite order.
impl<T: Field> Field for Reverse<T> {
    const ON_HEAP: bool = T::ON_HEAP;

    fn heap(&self) -> usize {
        self.0.heap()
    }

    fn hash64(&self) -> u64 {
        self.0.hash64()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        T::decode(bytes).map(Reverse)
    }
}

impl Field for String {
    const ON_HEAP: bool = true;

    fn heap(&self) -> usize {
        self.len()
    }

    fn hash64(&self) -> u64 {
        XxHash3_64::oneshot(self.as_bytes())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        bytes_out(self.as_bytes(), out);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let text = std::str::from_utf8(bytes_in(bytes)?).map_err(|_| DecodeError("a string that is not UTF-8"))?;
        Ok(text.to_owned())
    }
}

impl Field for Vec<u8> {
    const ON_HEAP: bool = true;

    fn heap(&self) -> usize {
        self.len()
    }

    fn hash64(&self) -> u64 {
        XxHash3_64::oneshot(self)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        bytes_out(self, out);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        Ok(bytes_in(bytes)?.to_vec())
    }
}

fn bytes_out(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn bytes_in<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], DecodeError> {
    let len = usize::try_from(u64::decode(bytes)?).map_err(|_| DecodeError("the row ends early"))?;
    take(bytes, len)
}

/// A field that serde writes (with postcard). Its hash is that of what is written, so writing must be a function of
/// the value: no map whose order changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Serde<T>(pub T);

impl<T: Ord + Clone + Send + Sync + Serialize + DeserializeOwned + 'static> Serde<T> {
    fn written(&self) -> Vec<u8> {
        // Writing to memory fails only where the type's own `Serialize` does.
        postcard::to_stdvec(&self.0).unwrap_or_default()
    }
}

impl<T: Ord + Clone + Send + Sync + Serialize + DeserializeOwned + 'static> Field for Serde<T> {
    const ON_HEAP: bool = true;

    /// About what it writes; what a type owns on the heap is not known.
    fn heap(&self) -> usize {
        self.written().len()
    }

    fn hash64(&self) -> u64 {
        XxHash3_64::oneshot(&self.written())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        bytes_out(&self.written(), out);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let written = bytes_in(bytes)?;
        postcard::from_bytes(written).map(Serde).map_err(|_| DecodeError("serde cannot read the value"))
    }
}
