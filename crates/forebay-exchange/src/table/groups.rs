//! `Groups`: which rows belong together, before they travel; and whether finding out pays.
//!
//! A table of a bounded number of groups. It is used while at most [`MOST`] groups come of a stretch of rows; then the
//! rows pass by it for some stretches, after which it is tried again. A row that is taken in costs a few nanoseconds
//! and one that passes by a hundred, sent, sorted and merged, so it pays early.

use hashbrown::HashTable;

/// With so many groups the table is emptied.
pub(super) const GROUPS: usize = 16 << 10;

/// With so many bytes of keys and strings as well. Nobody pays for them, nor for the rows that they become: of long ones
/// that is several times as much.
pub(super) const BYTES: usize = 1 << 20;

/// Rows of a stretch, about.
const STRETCH: u64 = 64 << 10;

/// Stretches for which rows pass by before the table is tried again.
const PASSED: u64 = 16;

/// The share of groups among the rows of a stretch, in hundredths, up to which the table pays.
const MOST: u64 = 80;

/// Groups by their hash and key.
#[derive(Debug, Default)]
pub(super) struct Groups {
    table: HashTable<u32>,
    hashes: Vec<u64>,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Groups {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Bytes of their keys.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The number of the group of `key`, whose hash is `hash`. If the keys are each a `NUMBER`, only their last bytes
    /// can differ when their hashes do not.
    #[inline]
    pub(super) fn index<const NUMBER: bool>(&mut self, hash: u64, key: &[u8]) -> u32 {
        let Groups { table, hashes, bytes, ends } = self;
        let same = |group: &u32| {
            let group = *group as usize;
            hashes[group] == hash
                && if NUMBER { bytes[ends[group] - 1] == key[key.len() - 1] } else { key_of(bytes, ends, group) == key }
        };
        if let Some(group) = table.find(hash, same) {
            return *group;
        }
        // A batch more than GROUPS at most, so far from 2^32.
        let group = hashes.len() as u32;
        hashes.push(hash);
        bytes.extend_from_slice(key);
        ends.push(bytes.len());
        table.insert_unique(hash, group, |group| hashes[*group as usize]);
        group
    }

    /// The key of a group.
    pub(super) fn key(&self, group: usize) -> &[u8] {
        key_of(&self.bytes, &self.ends, group)
    }

    /// Forgets all groups and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.hashes.clear();
        self.bytes.clear();
        self.ends.clear();
    }
}

#[inline]
fn key_of<'a>(bytes: &'a [u8], ends: &[usize], group: usize) -> &'a [u8] {
    &bytes[group.checked_sub(1).map_or(0, |before| ends[before])..ends[group]]
}

/// Whether a table of groups is in use.
#[derive(Debug)]
pub(super) struct Adaptive {
    on: bool,
    rows: u64,
    made: u64,
    /// Stretches in which the table was used.
    pub(super) used: u64,
    /// Stretches that passed by.
    pub(super) passed: u64,
    to_pass: u64,
}

impl Default for Adaptive {
    fn default() -> Self {
        Adaptive { on: true, rows: 0, made: 0, used: 0, passed: 0, to_pass: 0 }
    }
}

impl Adaptive {
    /// Whether the next rows go to the table.
    pub(super) fn is_on(&self) -> bool {
        self.on
    }

    /// After `rows` rows, of which `made` made a group in the table, if it is in use.
    pub(super) fn saw(&mut self, rows: usize, made: usize) {
        self.rows += rows as u64;
        self.made += made as u64;
        if self.rows < STRETCH {
            return;
        }
        if self.on {
            self.used += 1;
            self.on = self.made * 100 <= self.rows * MOST;
            self.to_pass = PASSED;
        } else {
            self.passed += 1;
            self.to_pass -= 1;
            self.on = self.to_pass == 0;
        }
        (self.rows, self.made) = (0, 0);
    }
}
