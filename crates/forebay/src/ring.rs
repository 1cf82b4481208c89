//! `Ring`: slots by sequence number over a window that may be long and mostly empty.
//!
//! Results arrive out of order but not far from each other, until the head is withheld: then the window grows to
//! millions, nearly all of it spilled. Slots therefore come in chunks of 64, and a chunk without occupied slots is a
//! null pointer: an empty stretch costs an eighth of a byte a number.

use std::collections::VecDeque;

const CHUNK: u64 = 64;
/// Chunks kept for reuse.
const SPARE: usize = 4;

#[derive(Debug)]
pub(crate) struct Ring<T> {
    /// The number of the first chunk.
    base: u64,
    chunks: VecDeque<Option<Box<Chunk<T>>>>,
    spare: Vec<Box<Chunk<T>>>,
}

#[derive(Debug)]
struct Chunk<T> {
    used: usize,
    slots: [Option<T>; CHUNK as usize],
}

impl<T> Ring<T> {
    pub(crate) fn new() -> Self {
        Ring { base: 0, chunks: VecDeque::new(), spare: Vec::new() }
    }

    fn place(&self, seq: u64) -> Option<(usize, usize)> {
        let chunk = (seq / CHUNK).checked_sub(self.base)?;
        Some((usize::try_from(chunk).ok()?, (seq % CHUNK) as usize))
    }

    /// Fills the slot `seq`, which must not be below the `seq` of the last [`forget_before`](Ring::forget_before).
    /// Gives the value back if the slot is full.
    pub(crate) fn insert(&mut self, seq: u64, value: T) -> Result<(), T> {
        if self.chunks.is_empty() {
            self.base = seq / CHUNK;
        }
        while self.base > seq / CHUNK {
            self.chunks.push_front(None);
            self.base -= 1;
        }
        let Some((chunk, slot)) = self.place(seq) else {
            return Err(value);
        };
        while self.chunks.len() <= chunk {
            self.chunks.push_back(None);
        }
        let chunk = self.chunks[chunk].get_or_insert_with(|| {
            self.spare.pop().unwrap_or_else(|| Box::new(Chunk { used: 0, slots: [const { None }; CHUNK as usize] }))
        });
        let slot = &mut chunk.slots[slot];
        if slot.is_some() {
            return Err(value);
        }
        *slot = Some(value);
        chunk.used += 1;
        Ok(())
    }

    pub(crate) fn take(&mut self, seq: u64) -> Option<T> {
        let (at, slot) = self.place(seq)?;
        let chunk = self.chunks.get_mut(at)?;
        let held = chunk.as_mut()?;
        let value = held.slots[slot].take()?;
        held.used -= 1;
        if held.used == 0
            && let Some(empty) = chunk.take()
            && self.spare.len() < SPARE
        {
            self.spare.push(empty);
        }
        Some(value)
    }

    /// Nothing below `seq` will be asked for any more.
    pub(crate) fn forget_before(&mut self, seq: u64) {
        while self.base < seq / CHUNK && self.chunks.front().is_some_and(Option::is_none) {
            self.chunks.pop_front();
            self.base += 1;
        }
        while self.chunks.back().is_some_and(Option::is_none) {
            self.chunks.pop_back();
        }
    }

    /// Occupied slots with their numbers, lowest first or, from the back, highest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, &T)> {
        self.chunks.iter().enumerate().flat_map(move |(at, chunk)| {
            let first = (self.base + at as u64) * CHUNK;
            chunk.iter().flat_map(move |chunk| {
                chunk
                    .slots
                    .iter()
                    .enumerate()
                    .filter_map(move |(slot, value)| Some((first + slot as u64, value.as_ref()?)))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Ring;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn a_ring_is_a_map_over_a_moving_window(steps in proptest::collection::vec((0u64..2000, 0u8..4), 1..400)) {
            let mut ring = Ring::new();
            let mut model = BTreeMap::new();
            let mut head = 0;
            for (offset, what) in steps {
                let seq = head + offset;
                match what {
                    0 | 1 => {
                        let occupied = model.contains_key(&seq);
                        prop_assert_eq!(ring.insert(seq, offset).is_err(), occupied);
                        model.entry(seq).or_insert(offset);
                    }
                    2 => prop_assert_eq!(ring.take(seq), model.remove(&seq)),
                    _ => {
                        head += offset / 50;
                        while let Some((&seq, _)) = model.first_key_value().filter(|(seq, _)| **seq < head) {
                            prop_assert_eq!(ring.take(seq), model.remove(&seq));
                        }
                        ring.forget_before(head);
                    }
                }
                prop_assert!(ring.iter().map(|(s, v)| (s, *v)).eq(model.iter().map(|(s, v)| (*s, *v))));
                prop_assert!(ring.iter().rev().map(|(s, _)| s).eq(model.keys().rev().copied()));
            }
        }
    }
}
