//! What the generator has to tell the other side, as bytes that wait and spill with the report they belong to.

use forebay::DecodeError;

/// Things to tell, in order. Each is a kind, a number, a length (four bytes, little-endian, the last two), and that many
/// bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notices(Vec<u8>);

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice<'n> {
    /// A request, or what was done to an entry: its number in the list, and what stands behind that on the wire.
    Item(i32, &'n [u8]),
    /// The payload of a message about what has been deleted.
    Deleted(&'n [u8]),
    /// All items of this list are before this place.
    Walked(i32),
    /// The entry with this number is there, whole: the source may do without it.
    Arrived(i32),
    /// The entry with this number has waited for another name of its file, and does not any more.
    Settled(i32),
}

const HEAD: usize = 9;

impl Notices {
    pub(crate) fn push(&mut self, notice: Notice<'_>) {
        let (kind, number, bytes) = match notice {
            Notice::Item(index, bytes) => (0, index, bytes),
            Notice::Deleted(bytes) => (1, 0, bytes),
            Notice::Walked(list) => (2, list, &[][..]),
            Notice::Arrived(index) => (3, index, &[][..]),
            Notice::Settled(index) => (4, index, &[][..]),
        };
        self.0.push(kind);
        self.0.extend_from_slice(&number.to_le_bytes());
        self.0.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn append(&mut self, other: &Notices) {
        self.0.extend_from_slice(&other.0);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Notice<'_>> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (notice, behind) = first(rest)?;
            rest = behind;
            Some(notice)
        })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// The reverse of [`as_bytes`](Notices::as_bytes).
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            (_, rest) = first(rest).ok_or(DecodeError("report of a worker: a notice that is none"))?;
        }
        Ok(Notices(bytes.to_vec()))
    }
}

fn first(bytes: &[u8]) -> Option<(Notice<'_>, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
    let [kind, a, b, c, d, len @ ..] = *head;
    let number = i32::from_le_bytes([a, b, c, d]);
    let (bytes, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(len)).ok()?)?;
    let notice = match kind {
        0 => Notice::Item(number, bytes),
        1 => Notice::Deleted(bytes),
        2 => Notice::Walked(number),
        3 => Notice::Arrived(number),
        4 => Notice::Settled(number),
        _ => return None,
    };
    Some((notice, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_keep_their_order_and_damaged_ones_are_refused() {
        let all = [
            Notice::Item(7, b"abc"),
            Notice::Deleted(b"gone\0"),
            Notice::Item(-1, b""),
            Notice::Walked(3),
            Notice::Arrived(8),
            Notice::Settled(9),
        ];
        let mut notices = Notices::default();
        all.into_iter().for_each(|notice| notices.push(notice));
        let decoded = Notices::decode(notices.as_bytes()).unwrap();
        assert_eq!(decoded.iter().collect::<Vec<_>>(), all);
        let bytes = notices.as_bytes();
        for cut in [1, HEAD, HEAD + 2, bytes.len() - 1] {
            assert!(Notices::decode(&bytes[..cut]).is_err(), "{cut}");
        }
        assert!(Notices::decode(&[[9].as_slice(), &[0; 8]].concat()).is_err());
    }
}
