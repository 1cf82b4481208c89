//! What every [`SpillStore`] must do, as functions that panic where a store does not.
//!
//! `make` opens an empty store with a quota in bytes. A store's tests call each function, or [`all`].
//!
//! ```
//! use forebay::MemoryStore;
//! use forebay::spill::conformance;
//!
//! conformance::all(&|quota| Box::new(MemoryStore::new(quota)));
//! ```

#![allow(clippy::unwrap_used, reason = "test code, compiled for other crates' tests as well")]

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::sync::Barrier;

use super::{Extent, SpillError, SpillStore};

/// Opens an empty store with this quota.
pub type Make<'a> = &'a dyn Fn(u64) -> Box<dyn SpillStore>;

const MIB: u64 = 1 << 20;

/// Runs every function of this module.
pub fn all(make: Make<'_>) {
    round_trip_of_many_parts(make);
    reads_at_offsets(make);
    reads_out_of_range_are_refused(make);
    owners_interleave(make);
    dropping_frees_everything(make);
    quota_refuses_and_changes_nothing(make);
    extents_outlive_the_handle(make);
    threads_append_read_and_drop(make);
    random_operations_match_a_model(make, 1);
}

/// An extent is the concatenation of its parts, whatever their number and sizes.
pub fn round_trip_of_many_parts(make: Make<'_>) {
    let store = make(64 * MIB);
    let shapes: [Vec<usize>; 7] = [
        vec![],
        vec![0],
        vec![1],
        vec![0, 5, 0, 0, 3, 0],
        vec![4096; 64],
        vec![7; 5000],
        vec![3 * MIB as usize + 1, 1],
    ];
    let mut random = Random(1);
    for sizes in shapes {
        let parts: Vec<Vec<u8>> = sizes.iter().map(|&len| random.bytes(len)).collect();
        let extent = append(&*store, 1, &parts).unwrap();
        assert_eq!(extent.len() as usize, sizes.iter().sum::<usize>());
        assert_eq!(extent.is_empty(), parts.concat().is_empty());
        assert!(read(&extent) == parts.concat(), "{} parts", parts.len());
    }
}

/// A read starts where it is told and fills exactly its buffer.
pub fn reads_at_offsets(make: Make<'_>) {
    let store = make(64 * MIB);
    let data = Random(2).bytes(300_000);
    let _before = append(&*store, 1, &[Random(3).bytes(1001)]).unwrap();
    let extent = append(&*store, 1, &[&data]).unwrap();
    let _after = append(&*store, 1, &[Random(4).bytes(1001)]).unwrap();
    for (offset, len) in [(0, 1), (1, 4096), (4095, 2), (299_999, 1), (300_000, 0), (0, 300_000)] {
        let mut buf = vec![0; len];
        extent.read(offset as u64, &mut buf).unwrap();
        assert!(buf == data[offset..offset + len], "{len} bytes at {offset}");
    }
}

/// A read that leaves its extent is an error, also where a neighbour's bytes follow.
pub fn reads_out_of_range_are_refused(make: Make<'_>) {
    let store = make(64 * MIB);
    let extent = append(&*store, 1, &[[1; 100]]).unwrap();
    let _after = append(&*store, 1, &[[2; 100]]).unwrap();
    for (offset, requested) in [(0, 101), (100, 1), (101, 0), (u64::MAX, 1), (u64::MAX, 0)] {
        let error = extent.read(offset, &mut vec![0; requested]).unwrap_err();
        assert!(matches!(error, SpillError::OutOfRange { len: 100, .. }), "{error}");
    }
}

/// Owners whose appends alternate read their own bytes, and one may free all of its own.
pub fn owners_interleave(make: Make<'_>) {
    let store = make(64 * MIB);
    let mut extents: Vec<(u64, Vec<u8>, Extent)> = Vec::new();
    for round in 0..50 {
        for owner in [1, 2, u64::MAX] {
            let data = Random(owner ^ round).bytes(10_000);
            let extent = append(&*store, owner, &[&data]).unwrap();
            extents.push((owner, data, extent));
        }
    }
    extents.retain(|(owner, ..)| *owner != 2);
    assert_eq!(store.usage().live, 2 * 50 * 10_000);
    for (owner, data, extent) in &extents {
        assert!(read(extent) == *data, "owner {owner}");
    }
}

/// When the last extent is gone, nothing is held; in between live bytes are counted to the byte.
pub fn dropping_frees_everything(make: Make<'_>) {
    let store = make(64 * MIB);
    assert_eq!((store.usage().live, store.usage().allocated, store.usage().quota), (0, 0, 64 * MIB));
    let mut extents: Vec<Extent> =
        (1..40).map(|n| append(&*store, n % 3, &[vec![7; 10_000 * n as usize]]).unwrap()).collect();
    while !extents.is_empty() {
        let live = extents.iter().map(Extent::len).sum::<u64>();
        assert_eq!(store.usage().live, live);
        assert!(store.usage().allocated >= live);
        // From the middle, so that neither first in nor first out is what is tested.
        extents.swap_remove(extents.len() / 2);
    }
    let usage = store.usage();
    assert_eq!((usage.live, usage.allocated, usage.failures), (0, 0, 0));
}

/// An append past the quota is refused, by number, and changes nothing; after drops the quota is there again.
pub fn quota_refuses_and_changes_nothing(make: Make<'_>) {
    let store = make(4 * MIB);
    for _ in 0..3 {
        let data = Random(5).bytes(MIB as usize);
        let extents: Vec<Extent> = (0..4).map(|_| append(&*store, 1, &[&data]).unwrap()).collect();
        let before = store.usage();
        assert_eq!((before.live, before.allocated), (4 * MIB, 4 * MIB));
        for requested in [1, 5 * MIB] {
            match append(&*store, 2, &[vec![0; requested as usize]]) {
                Err(SpillError::QuotaExceeded { requested: r, allocated, quota, .. }) => {
                    assert_eq!((r, allocated, quota), (requested, 4 * MIB, 4 * MIB));
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(store.usage(), before);
        }
        assert!(extents.iter().all(|extent| read(extent) == data));
    }
    // Larger than the quota: never, also when the store is empty.
    let too_large = append(&*store, 1, &[vec![0; 4 * MIB as usize + 1]]);
    assert!(matches!(too_large, Err(SpillError::QuotaExceeded { allocated: 0, .. })), "{too_large:?}");
}

/// Extents stay readable, and free themselves, when the store's handle is gone.
pub fn extents_outlive_the_handle(make: Make<'_>) {
    let store = make(MIB);
    let extent = append(&*store, 1, &[b"still here"]).unwrap();
    drop(store);
    let mut buf = [0; 10];
    extent.read(0, &mut buf).unwrap();
    assert_eq!(&buf, b"still here");
}

/// Threads that share owners append, read and drop at once; each reads what it wrote and nothing is left.
pub fn threads_append_read_and_drop(make: Make<'_>) {
    const THREADS: u64 = 4;
    let store = make(256 * MIB);
    let start = Barrier::new(THREADS as usize);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, start) = (&*store, &start);
            scope.spawn(move || {
                let mut random = Random(thread);
                let mut kept: Vec<(Vec<u8>, Extent)> = Vec::new();
                start.wait();
                for _ in 0..200 {
                    let len = random.below(60_000);
                    let data = random.bytes(len);
                    let (head, tail) = data.split_at(len / 3);
                    let extent = append(store, thread % 2, &[head, tail]).unwrap();
                    kept.push((data, extent));
                    let at = random.below(kept.len());
                    let (data, extent) = &kept[at];
                    assert!(read(extent) == *data);
                    if random.below(2) == 0 {
                        kept.swap_remove(at);
                    }
                }
                assert!(kept.iter().all(|(data, extent)| read(extent) == *data));
            });
        }
    });
    assert_eq!((store.usage().live, store.usage().allocated), (0, 0));
}

/// Random appends, reads and drops give what a map of vectors gives.
pub fn random_operations_match_a_model(make: Make<'_>, seed: u64) {
    let store = make(8 * MIB);
    let mut random = Random(seed);
    let mut model: BTreeMap<u64, (Extent, Vec<u8>)> = BTreeMap::new();
    let mut refused = 0;
    for step in 0..3000 {
        let victim = model.keys().copied().nth(random.below(model.len().max(1)));
        match (random.below(10), victim) {
            (0..=4, _) | (_, None) => {
                let largest = if random.below(20) == 0 { 2 * MIB as usize } else { 20_000 };
                let parts: Vec<Vec<u8>> = (0..random.below(5))
                    .map(|_| {
                        let len = random.below(largest / 4);
                        random.bytes(len)
                    })
                    .collect();
                let before = store.usage();
                match append(&*store, random.below(3) as u64, &parts) {
                    Ok(extent) => drop(model.insert(step, (extent, parts.concat()))),
                    Err(SpillError::QuotaExceeded { requested, allocated, quota, .. }) => {
                        refused += 1;
                        assert!(allocated + requested > quota);
                        assert_eq!(store.usage(), before);
                        model.retain(|_, _| random.below(4) == 0);
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            (5..=6, Some(victim)) => drop(model.remove(&victim)),
            (_, Some(victim)) => {
                let (extent, data) = &model[&victim];
                let offset = random.below(data.len() + 1);
                let mut buf = vec![0; random.below(data.len() - offset + 1)];
                extent.read(offset as u64, &mut buf).unwrap();
                assert!(buf == data[offset..offset + buf.len()]);
            }
        }
        let usage = store.usage();
        assert_eq!(usage.live, model.values().map(|(_, data)| data.len() as u64).sum::<u64>());
        assert!(usage.live <= usage.allocated && usage.allocated <= usage.quota, "{usage:?}");
    }
    assert!(refused > 0, "the quota was never reached");
    model.clear();
    assert_eq!((store.usage().live, store.usage().allocated), (0, 0));
}

fn append(store: &dyn SpillStore, owner: u64, parts: &[impl AsRef<[u8]>]) -> Result<Extent, SpillError> {
    let parts: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part.as_ref())).collect();
    store.append(owner, &parts)
}

fn read(extent: &Extent) -> Vec<u8> {
    let mut buf = vec![0; extent.len() as usize];
    extent.read(0, &mut buf).unwrap();
    buf
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, good enough to shuffle.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, or 0 if there is none.
    fn below(&mut self, end: usize) -> usize {
        self.next().checked_rem(end as u64).unwrap_or(0) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}
