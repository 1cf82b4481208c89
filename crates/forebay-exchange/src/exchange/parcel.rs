//! `Parcel` and `Receipt`: what travels between workers, and what is said about it on the way back.
//!
//! Both are timely containers that count as one record however much they hold: a message without records is not held
//! by the frontier, and the number of records must be the same on both sides.

use std::cell::OnceCell;
use std::io::Write;

use forebay::DecodeError;
use timely::Accountable;
use timely::bytes::arc::Bytes;
use timely::communication::Push;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::dataflow::channels::{ContainerBytes, Message};

use crate::rows::Rows;

/// Something for one worker.
pub(crate) trait Addressed {
    /// Number of the worker.
    fn to(&self) -> usize;
}

/// From one worker to another: rows, or how many there were.
#[derive(Debug)]
pub(crate) struct Parcel<R> {
    pub(crate) to: u32,
    pub(crate) from: u32,
    pub(crate) content: Content<R>,
    /// The content's bytes, from when they are counted until they are written.
    encoded: OnceCell<Vec<u8>>,
}

#[derive(Debug)]
pub(crate) enum Content<R> {
    /// Left behind where a parcel was taken out.
    Nothing,
    Rows(R),
    /// The sender has sent so many rows of this commit to this receiver, and sends no more.
    Sent(u64),
    /// What arrived cannot be read.
    Damaged(DecodeError),
}

/// From a receiver back to a sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) to: u32,
    pub(crate) from: u32,
    /// Bytes that the receiver has paid for: so much may be sent again.
    pub(crate) bytes: u64,
    /// Every commit below this one is sealed here.
    pub(crate) sealed: u64,
    /// Not left behind where a receipt was taken out.
    pub(crate) whole: bool,
}

impl<R> Parcel<R> {
    pub(crate) fn new(from: usize, to: usize, content: Content<R>) -> Self {
        Parcel { to: to as u32, from: from as u32, content, encoded: OnceCell::new() }
    }
}

impl<R> Default for Parcel<R> {
    fn default() -> Self {
        Parcel::new(0, 0, Content::Nothing)
    }
}

impl<R> Addressed for Parcel<R> {
    fn to(&self) -> usize {
        self.to as usize
    }
}

impl Addressed for Receipt {
    fn to(&self) -> usize {
        self.to as usize
    }
}

impl<R> Accountable for Parcel<R> {
    fn record_count(&self) -> i64 {
        i64::from(!matches!(self.content, Content::Nothing))
    }
}

impl Accountable for Receipt {
    fn record_count(&self) -> i64 {
        i64::from(self.whole)
    }
}

/// Bytes in front of a parcel's content: to, from, kind, length of the content.
const HEADER: usize = 24;

impl<R: Rows> Parcel<R> {
    fn kind(&self) -> u64 {
        match &self.content {
            Content::Nothing => 0,
            Content::Rows(_) => 1,
            Content::Sent(_) => 2,
            Content::Damaged(_) => 3,
        }
    }

    fn encoded(&self) -> &[u8] {
        self.encoded.get_or_init(|| {
            let mut bytes = Vec::new();
            match &self.content {
                Content::Nothing | Content::Damaged(_) => {}
                Content::Rows(rows) => rows.encode(&mut bytes),
                Content::Sent(rows) => bytes.extend_from_slice(&rows.to_le_bytes()),
            }
            bytes
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let word = |at: usize| {
            let word = bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or(DecodeError("a parcel ends early"))?;
            Ok::<_, DecodeError>(u64::from_le_bytes(*word))
        };
        let (address, kind, len) = (word(0)?, word(8)?, word(16)?);
        let rest = &bytes[HEADER..];
        let body =
            usize::try_from(len).ok().and_then(|len| rest.get(..len)).ok_or(DecodeError("a parcel ends early"))?;
        let content = match kind {
            0 => Content::Nothing,
            1 => Content::Rows(R::decode(body)?),
            2 => Content::Sent(word(HEADER)?),
            _ => return Err(DecodeError("a parcel of an unknown kind")),
        };
        Ok(Parcel::new((address >> 32) as usize, address as u32 as usize, content))
    }
}

impl<R: Rows> ContainerBytes for Parcel<R> {
    fn from_bytes(bytes: Bytes) -> Self {
        Self::decode(&bytes).unwrap_or_else(|error| Parcel::new(0, 0, Content::Damaged(error)))
    }

    fn length_in_bytes(&self) -> usize {
        HEADER + self.encoded().len().next_multiple_of(8)
    }

    fn into_bytes<W: Write>(&self, writer: &mut W) {
        let body = self.encoded();
        let address = u64::from(self.from) << 32 | u64::from(self.to);
        let pad = body.len().next_multiple_of(8) - body.len();
        for word in [address, self.kind(), body.len() as u64] {
            write(writer, &word.to_le_bytes());
        }
        write(writer, body);
        write(writer, &[0; 8][..pad]);
    }
}

impl ContainerBytes for Receipt {
    fn from_bytes(bytes: Bytes) -> Self {
        let word =
            |at: usize| bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u64::from_le_bytes(*word));
        let address = word(0);
        Receipt { to: address as u32, from: (address >> 32) as u32, bytes: word(8), sealed: word(16), whole: true }
    }

    fn length_in_bytes(&self) -> usize {
        24
    }

    fn into_bytes<W: Write>(&self, writer: &mut W) {
        let address = u64::from(self.from) << 32 | u64::from(self.to);
        for word in [address, self.bytes, self.sealed] {
            write(writer, &word.to_le_bytes());
        }
    }
}

/// Timely writes to memory that it has measured with `length_in_bytes`.
fn write(writer: &mut impl Write, bytes: &[u8]) {
    if let Err(error) = writer.write_all(bytes) {
        unreachable!("a parcel is as long as it said: {error}");
    }
}

/// Hands every container to the worker that it is addressed to.
pub(crate) struct ByAddress;

impl<C: Addressed + Default> Distributor<C> for ByAddress {
    fn partition<T: Clone, P: Push<Message<T, C>>>(&mut self, container: &mut C, time: &T, pushers: &mut [P]) {
        let to = container.to();
        Message::push_at(container, time.clone(), &mut pushers[to]);
    }

    fn flush<T: Clone, P: Push<Message<T, C>>>(&mut self, _: &T, _: &mut [P]) {}
}
