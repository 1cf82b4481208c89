//! What a pipeline of a round is like.

use forebay::OnSpillError;

use crate::support::Random;

/// What an item and a result cost beside their bytes.
const SLOT: usize = 72;
const BLOCK: usize = 256 << 10;

/// A pipeline, drawn from random numbers: the same numbers, the same pipeline.
#[derive(Debug)]
pub(super) struct Plan {
    seed: u64,
    pub(super) items: u64,
    /// Most bytes of a result.
    size: u64,
    pub(super) workers: usize,
    pub(super) window: usize,
    pub(super) batch: Option<usize>,
    pub(super) in_order: bool,
    pub(super) store: Store,
    pub(super) on_error: OnSpillError,
    pub(super) form: Form,
    pub(super) end: End,
    /// The work on these items is held up for so many milliseconds.
    pub(super) slow: [(u64, u64); 2],
    /// The sink is held up at these results.
    pub(super) stalls: [(u64, u64); 2],
    /// A pipeline in the work on some items, on the same budget.
    pub(super) inner: Option<std::sync::Arc<Plan>>,
}

#[derive(Debug)]
pub(super) enum Store {
    None,
    Memory {
        quota: u64,
    },
    Segments {
        compress: bool,
    },
    /// One write in so many fails, and the next one is short.
    Faulty {
        period: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Run,
    Feed,
    Iterator,
}

/// How it ends, and at which item.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Complete,
    SourceFails(u64),
    SourcePanics(u64),
    WorkFails(u64),
    WorkPanics(u64),
    SinkFails(u64),
    SinkPanics(u64),
    Cancelled(u64),
    /// The iterator or the feed is dropped.
    Dropped(u64),
}

/// How many ends there are.
pub(super) const ENDS: usize = 9;

impl End {
    pub(super) fn name(self) -> &'static str {
        match self {
            End::Complete => "complete",
            End::SourceFails(_) => "source fails",
            End::SourcePanics(_) => "source panics",
            End::WorkFails(_) => "work fails",
            End::WorkPanics(_) => "work panics",
            End::SinkFails(_) => "sink fails",
            End::SinkPanics(_) => "sink panics",
            End::Cancelled(_) => "cancelled",
            End::Dropped(_) => "dropped",
        }
    }
}

impl Plan {
    pub(super) fn draw(random: &mut Random, depth: u32) -> Plan {
        let items = random.below(if depth == 0 { 4000 } else { 60 }) + 1;
        let at = random.below(items);
        let form = [Form::Run, Form::Run, Form::Feed, Form::Iterator][random.below(4) as usize];
        // A form that has no such end is completed.
        let end = match (random.below(12), form) {
            (0, Form::Run) => End::SourceFails(at),
            (1, Form::Run | Form::Iterator) => End::SourcePanics(at),
            (2, Form::Run | Form::Feed) => End::WorkFails(at),
            (3, _) => End::WorkPanics(at),
            (4, Form::Run | Form::Feed) => End::SinkFails(at),
            (5, Form::Run | Form::Feed) => End::SinkPanics(at),
            (6, _) => End::Cancelled(at),
            (7, Form::Iterator | Form::Feed) => End::Dropped(at),
            _ => End::Complete,
        };
        let store = match random.below(5) {
            0 => Store::None,
            1 => Store::Memory { quota: random.below(16 << 20) },
            n @ 2..4 => Store::Segments { compress: n == 2 },
            _ => Store::Faulty { period: random.below(8) + 2 },
        };
        // An iterator can tell of it only by a panic.
        let fails = form != Form::Iterator && random.below(3) == 0;
        Plan {
            seed: random.next(),
            items,
            size: 1 << random.below(if depth == 0 { 16 } else { 12 }),
            workers: random.below(4) as usize + 1,
            window: random.below(200) as usize + 1,
            batch: (random.below(2) == 0).then(|| random.below(64) as usize + 1),
            in_order: random.below(8) > 0,
            store,
            on_error: if fails { OnSpillError::Fail } else { OnSpillError::Stall },
            form,
            end,
            slow: [(); 2].map(|()| (random.below(2 * items), random.below(40))),
            stalls: [(); 2].map(|()| (random.below(2 * items), random.below(20))),
            inner: (depth < 2 && random.below(3) == 0).then(|| Plan::draw(random, depth + 1).into()),
        }
    }

    /// What may be leased beyond the budget: the head, a result for each worker, a block that is read back; and what the
    /// pipelines in the workers' hands take.
    pub(super) fn beyond(&self) -> usize {
        let result = self.size as usize + 16 + SLOT;
        let block = if matches!(self.store, Store::None) { 0 } else { result.max(BLOCK) + 2048 };
        let inner = self.inner.as_ref().map_or(0, |inner| inner.beyond());
        result + self.workers * (result + inner) + block
    }

    /// The result of item `n`: its number first.
    pub(super) fn result(&self, n: u64) -> Vec<u8> {
        let word = (n ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        let words = (n.wrapping_mul(self.seed) % self.size) as usize / 8;
        let mut bytes = Vec::with_capacity(8 * (words + 2));
        bytes.extend(n.to_le_bytes());
        (0..=words).for_each(|_| bytes.extend(word));
        bytes
    }
}
