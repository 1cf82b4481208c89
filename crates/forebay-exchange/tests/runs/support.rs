//! What the tests of runs and operators share.
use std::collections::BTreeMap;

use forebay::{Budget, Monitor, Pager, SegmentOptions};
use forebay_exchange::{Changes, Cursor, Field, Memory, Rows, Run};

/// A budget with a spill store in a directory of its own.
pub(crate) struct Spilling {
    pub(crate) memory: Memory,
    pub(crate) monitor: Monitor,
    pub(crate) pager: Pager,
    pub(crate) budget: Budget,
    dir: tempfile::TempDir,
}

impl Spilling {
    pub(crate) fn new(limit: usize) -> Self {
        Self::with(Budget::new(limit), SegmentOptions::new())
    }

    pub(crate) fn with(budget: Budget, options: SegmentOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pager = Pager::new(options.open(dir.path()).unwrap(), false).unwrap();
        let memory = Memory::new(budget.consumer("test", 0).unwrap(), Some(pager.clone()));
        Spilling { memory, monitor: pager.monitor(), pager, budget, dir }
    }

    pub(crate) fn path(&self) -> String {
        self.dir.path().display().to_string()
    }

    /// Waits until everything that was handed over is written.
    pub(crate) fn settled(&self) {
        let mut last = forebay::Parts::default();
        last.put(bytes::Bytes::from_static(b"the last"));
        let page = self.pager.put(last, 0, self.budget.consumer("last", 0).unwrap().lease_head(0));
        self.pager.settle(&page);
    }
}

/// Consolidated runs of these rows, in blocks of `block` rows, in memory.
pub(crate) fn runs_of<K: Field, V: Field>(
    rows: Vec<Vec<(K, V, i64)>>,
    block: usize,
    memory: &Memory,
) -> Vec<Run<Changes<K, V>>> {
    rows.into_iter()
        .map(|rows| {
            let mut all: Changes<K, V> = rows.into_iter().collect();
            all.consolidate();
            let mut blocks = Vec::new();
            let mut from = 0;
            while from < all.len() {
                let to = (from + block).min(all.len());
                let mut rows = all.like();
                rows.append(&all, from..to);
                blocks.push(rows);
                from = to;
            }
            let lease = memory.consumer().lease_head(blocks.iter().map(Rows::bytes).sum());
            Run::resident(blocks, lease)
        })
        .collect()
}

/// What is left of rows when equal ones are added up.
pub(crate) fn model_of<K: Field, V: Field>(rows: impl IntoIterator<Item = (K, V, i64)>) -> BTreeMap<(K, V), i64> {
    let mut model = BTreeMap::new();
    for (key, value, weight) in rows {
        *model.entry((key, value)).or_default() += weight;
    }
    model.retain(|_, weight| *weight != 0);
    model
}

pub(crate) fn drain<K: Field, V: Field>(mut cursor: Cursor<Changes<K, V>>) -> Vec<(K, V, i64)> {
    let mut all = Vec::new();
    while let Some(block) = cursor.next_block().unwrap() {
        assert!(!block.is_empty());
        all.extend(block.iter().cloned());
    }
    all
}
