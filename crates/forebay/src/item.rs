//! What the engine asks of the items that pass through it: [`Weigh`], and [`Spill`] if they may go to disk.
//!
//! ```
//! use bytes::Bytes;
//! use forebay::{DecodeError, Parts, Spill, Weigh};
//!
//! struct Line {
//!     number: u64,
//!     text: Vec<u8>,
//! }
//!
//! impl Weigh for Line {
//!     fn weight(&self) -> usize {
//!         size_of::<Self>() + self.text.capacity() // what it owns elsewhere too
//!     }
//! }
//!
//! impl Spill for Line {
//!     fn encode(self, out: &mut Parts) {
//!         out.write(&self.number.to_le_bytes());
//!         out.put(self.text.into()); // large parts are not copied
//!     }
//!
//!     fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
//!         let (number, text) = bytes.split_first_chunk().ok_or(DecodeError("shorter than a number"))?;
//!         Ok(Line { number: u64::from_le_bytes(*number), text: text.to_vec() })
//!     }
//! }
//! ```

use std::fmt;
use std::mem::{size_of, size_of_val};

use bytes::{Bytes, BytesMut};

/// How many bytes of memory an item keeps alive.
///
/// The default is the size of the value itself, which is right for plain data and wrong for everything that owns memory
/// elsewhere: a budget that counts a 1 MiB buffer as 24 bytes never triggers. `impl Weigh for MyType {}` is therefore a
/// statement, not a formality.
pub trait Weigh {
    /// Whether `weight` is always the size of the value. Lets a vector be weighed without a look at its elements.
    const FLAT: bool = false;

    /// Resident bytes, the value itself included. Must not change while the engine holds the item.
    fn weight(&self) -> usize {
        size_of_val(self)
    }
}

/// How an item goes to a spill store and comes back.
///
/// Both run without the engine's locks: `encode` on its I/O thread, where a panic ends the run with
/// [`DeliverError::Panicked`](crate::DeliverError::Panicked), `decode` on the sink's thread, where a panic is one of
/// the sink.
pub trait Spill: Weigh + Sized {
    /// Hands the item's bytes to `out`. Large parts go by [`Parts::put`], which does not copy.
    fn encode(self, out: &mut Parts);

    /// Makes the item again from the bytes of one [`encode`](Spill::encode). `bytes` is a slice of a larger block (up
    /// to 256 KiB) that stays in memory as long as any slice of it does.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are not what `encode` wrote.
    fn decode(bytes: Bytes) -> Result<Self, DecodeError>;
}

/// The bytes of a spilled item do not decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError(pub &'static str);

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a spilled item does not decode: {}", self.0)
    }
}

impl std::error::Error for DecodeError {}

/// Collects the encoded bytes of items: large parts by reference, small ones copied together.
#[derive(Debug, Default)]
pub struct Parts {
    done: Vec<Bytes>,
    open: BytesMut,
    len: usize,
}

/// Below this many bytes a copy is cheaper than one more slice to write.
const WORTH_A_SLICE: usize = 1024;

impl Parts {
    /// Adds `bytes`, without a copy if they are 1 KiB or more.
    pub fn put(&mut self, bytes: Bytes) {
        if bytes.len() < WORTH_A_SLICE {
            return self.write(&bytes);
        }
        self.close();
        self.len += bytes.len();
        self.done.push(bytes);
    }

    /// Adds a copy of `bytes`.
    pub fn write(&mut self, bytes: &[u8]) {
        self.len += bytes.len();
        self.open.extend_from_slice(bytes);
    }

    /// Bytes added so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn finish(mut self) -> Vec<Bytes> {
        self.close();
        self.done
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.done.push(self.open.split().freeze());
        }
    }
}

/// A slice shorter than this is copied out of its block, so that it does not keep the block in memory.
const WORTH_A_BLOCK: usize = 2048;

impl Spill for Bytes {
    fn encode(self, out: &mut Parts) {
        out.put(self);
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        Ok(if bytes.len() < WORTH_A_BLOCK { Bytes::copy_from_slice(&bytes) } else { bytes })
    }
}

impl Spill for Vec<u8> {
    fn encode(self, out: &mut Parts) {
        out.put(Bytes::from(self));
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        Ok(Vec::from(bytes))
    }
}

impl Spill for String {
    fn encode(self, out: &mut Parts) {
        out.put(Bytes::from(self));
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        String::from_utf8(Vec::from(bytes)).map_err(|_| DecodeError("the bytes are not UTF-8"))
    }
}

impl Weigh for Bytes {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.len()
    }
}

impl Weigh for String {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.capacity()
    }
}

impl<T: Weigh> Weigh for Vec<T> {
    fn weight(&self) -> usize {
        let elsewhere: usize =
            if T::FLAT { 0 } else { self.iter().map(|item| item.weight().saturating_sub(size_of::<T>())).sum() };
        size_of::<Self>() + self.capacity() * size_of::<T>() + elsewhere
    }
}

impl<T: Weigh + ?Sized> Weigh for Box<T> {
    fn weight(&self) -> usize {
        size_of::<Self>() + (**self).weight()
    }
}

impl<T: Weigh> Weigh for Option<T> {
    const FLAT: bool = T::FLAT;

    fn weight(&self) -> usize {
        self.as_ref().map_or(size_of::<Self>(), |item| item.weight().max(size_of::<Self>()))
    }
}

impl<T: Weigh, E: Weigh> Weigh for Result<T, E> {
    const FLAT: bool = T::FLAT && E::FLAT;

    fn weight(&self) -> usize {
        let inner = match self {
            Ok(item) => item.weight(),
            Err(error) => error.weight(),
        };
        inner.max(size_of::<Self>())
    }
}

impl<A: Weigh, B: Weigh> Weigh for (A, B) {
    const FLAT: bool = A::FLAT && B::FLAT;

    fn weight(&self) -> usize {
        self.0.weight() + self.1.weight()
    }
}

impl<A: Weigh, B: Weigh, C: Weigh> Weigh for (A, B, C) {
    const FLAT: bool = A::FLAT && B::FLAT && C::FLAT;

    fn weight(&self) -> usize {
        self.0.weight() + self.1.weight() + self.2.weight()
    }
}

impl<T: Weigh, const N: usize> Weigh for [T; N] {
    const FLAT: bool = T::FLAT;

    fn weight(&self) -> usize {
        if T::FLAT { size_of_val(self) } else { self.iter().map(Weigh::weight).sum() }
    }
}

macro_rules! flat {
    ($($name:ty),*) => {$(
        impl Weigh for $name {
            const FLAT: bool = true;
        }
    )*};
}

macro_rules! number {
    ($($name:ty),*) => {$(
        flat!($name);

        impl Spill for $name {
            fn encode(self, out: &mut Parts) {
                out.write(&self.to_le_bytes());
            }

            fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
                let bytes = bytes.as_ref().try_into().map_err(|_| DecodeError("wrong size of a number"))?;
                Ok(Self::from_le_bytes(bytes))
            }
        }
    )*};
}

flat!((), bool, char);
number!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64);

/// Anything that serde can write, as an item that can be spilled (feature `serde`; the encoding is postcard's).
///
/// It weighs what the inner value says it weighs.
///
/// ```
/// use forebay::{Parts, Serde, Spill};
///
/// let mut parts = Parts::default();
/// Serde(vec![(1u64, "one".to_owned())]).encode(&mut parts);
/// assert_eq!(parts.len(), 6); // a length, a number, a length and three letters
/// ```
#[cfg(feature = "serde")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serde<T>(pub T);

#[cfg(feature = "serde")]
impl<T: Weigh> Weigh for Serde<T> {
    const FLAT: bool = T::FLAT;

    fn weight(&self) -> usize {
        self.0.weight()
    }
}

#[cfg(feature = "serde")]
impl<T: Weigh + serde::Serialize + serde::de::DeserializeOwned> Spill for Serde<T> {
    /// # Panics
    /// If the value refuses to be serialised.
    fn encode(self, out: &mut Parts) {
        match postcard::to_stdvec(&self.0) {
            Ok(bytes) => out.put(bytes.into()),
            Err(error) => panic!("an item to be spilled cannot be serialised: {error}"),
        }
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        postcard::from_bytes(&bytes).map(Serde).map_err(|_| DecodeError("not what was serialised"))
    }
}
