//! What leaves the slots for the spill store: chosen by the policy, the farthest first, encoded on the I/O thread.

use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Weak;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};

use super::{DeliverError, OnSpillError, ReorderBuffer, Results, Run, Slot, State};
use crate::budget::{Lease, Reclaim};
use crate::item::{DecodeError, Parts};
use crate::spill::SpillError;
use crate::spill::pager::{BLOCK, Page, Pager, Plan, Tenant};
use crate::spill::policy::{Decision, SpillPolicy, Stretch, View};
use crate::sync::{AtomicBool, AtomicUsize, Mutex, Ordering, lock};

pub(super) struct Spilling<T> {
    pub(super) pager: Pager,
    pub(super) policy: Mutex<Box<dyn SpillPolicy>>,
    /// What the policy said.
    pub(super) every: Option<Duration>,
    /// The policy is called again, because something was or is resident.
    pub(super) looking: AtomicBool,
    pub(super) on_error: OnSpillError,
    pub(super) encode: fn(T, &mut Parts),
    pub(super) decode: fn(Bytes) -> Result<T, DecodeError>,
    pub(super) this: Weak<dyn Tenant>,
    /// The I/O thread has been called and has not come yet.
    pub(super) called: AtomicBool,
    /// Bytes that were refused to somebody and have not been spilled since.
    pub(super) wanted: AtomicUsize,
    /// As long as less is resident, another look at it would find nothing new.
    pub(super) call_at: AtomicUsize,
    pub(super) evicting: Mutex<Evicting>,
}

/// What the last decision left to do. Only the I/O thread uses it.
#[derive(Default)]
pub(super) struct Evicting {
    bytes: usize,
    from: u64,
    /// The head when a write failed: nothing is spilled until it has moved.
    stalled_at: Option<u64>,
    /// When the policy is called whatever happens.
    next_look: Option<Instant>,
}

impl<T> State<T> {
    /// The page of the head, if it is spilled and encoded.
    pub(super) fn take_page(&mut self) -> Option<(u64, Page)> {
        let entry =
            self.spilled.first_entry().filter(|entry| *entry.key() == self.head && entry.get().page.is_some())?;
        let Run { count, bytes, page } = entry.remove();
        self.spilled_bytes -= bytes;
        self.head += count;
        Some((count, page?))
    }

    fn pages(&self, range: Range<u64>) -> Vec<Page> {
        self.spilled.range(range).filter_map(|(_, run)| Some(run.page.as_ref()?.handle())).collect()
    }

    /// Up to a block of the pages that could not be written.
    fn failed_pages(&self) -> Vec<Page> {
        let mut bytes = 0;
        let pages = self.spilled.values().rev().filter_map(|run| run.page.as_ref()).filter(|page| page.failed());
        pages
            .take_while(|page| {
                bytes += page.len();
                bytes == page.len() || bytes <= BLOCK
            })
            .map(Page::handle)
            .collect()
    }

    fn first_failed(&self) -> u64 {
        let mut failed = self.spilled.iter().filter(|(_, run)| run.page.as_ref().is_some_and(Page::failed));
        failed.next().map_or(self.head, |(first, _)| *first)
    }

    fn view(&self, limit: usize, charged: usize, wanted: usize) -> View {
        // Fine enough for a policy to draw its line, coarse enough to be quick.
        let grain = (limit / 64).max(1);
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut spilled = self.spilled.iter().peekable();
        let page =
            |(first, run): (&u64, &Run)| Stretch { first: *first, count: run.count, bytes: run.bytes, spilled: true };
        for (seq, slot) in self.slots.iter() {
            let Slot { items, bytes } = slot;
            while let Some(run) = spilled.next_if(|(first, _)| **first < seq) {
                stretches.push(page(run));
            }
            match stretches.last_mut() {
                Some(last) if !last.spilled && last.bytes < grain => {
                    last.count = seq + items.len() - last.first;
                    last.bytes += bytes;
                }
                _ => stretches.push(Stretch { first: seq, count: items.len(), bytes: *bytes, spilled: false }),
            }
        }
        stretches.extend(spilled.map(page));
        View {
            head: self.head,
            limit,
            charged,
            wanted,
            resident: self.resident.bytes(),
            spilled: self.spilled_bytes,
            stretches,
        }
    }

    fn put_back(&mut self, seq: u64, slot: Slot<T>) {
        if self.slots.insert(seq, slot).is_err() {
            unreachable!("the slot was emptied a moment ago");
        }
    }

    /// Takes a block of the farthest results out of the slots, or what there is from `from` on, and leaves marks in
    /// their places.
    fn take_farthest(&mut self, from: u64) -> Vec<Leaving<T>> {
        let mut chosen = Vec::new();
        let mut room = BLOCK;
        for (seq, slot) in self.slots.iter().rev() {
            if seq < from || seq == self.head || room == 0 {
                break;
            }
            chosen.push(seq);
            room = room.saturating_sub(slot.bytes);
        }
        let mut leaving: Vec<Leaving<T>> = Vec::new();
        let mut room = BLOCK;
        for seq in chosen {
            let Some(mut slot) = self.slots.take(seq) else { continue };
            let mut first = seq;
            if slot.bytes > room {
                match slot.split_at(room) {
                    Some((front, rest)) => {
                        first = seq + front.items.len();
                        self.put_back(seq, front);
                        slot = rest;
                    }
                    None if leaving.is_empty() => {}
                    None => {
                        self.put_back(seq, slot);
                        break;
                    }
                }
            }
            room = room.saturating_sub(slot.bytes);
            let count = slot.items.len();
            match leaving.last_mut().filter(|run| first + count == run.first) {
                Some(run) => {
                    run.first = first;
                    run.count += count;
                    run.items.push(slot.items);
                    self.resident.transfer(&mut run.lease, slot.bytes);
                }
                None => {
                    let lease = self.resident.split(slot.bytes);
                    leaving.push(Leaving { first, count, items: vec![slot.items], lease });
                }
            }
        }
        leaving.iter_mut().for_each(|run| run.items.reverse());
        self.slots.forget_before(self.head);
        for run in &leaving {
            self.spilled.insert(run.first, Run { count: run.count, bytes: run.lease.bytes(), page: None });
            self.spilled_bytes += run.lease.bytes();
        }
        leaving
    }
}

/// Consecutive results that are being encoded.
struct Leaving<T> {
    first: u64,
    count: u64,
    items: Vec<Results<T>>,
    lease: Lease,
}

/// The items one after the other, then their lengths as u32: an item is `Bytes`, and whole blocks stay whole.
fn pack<T>(items: Vec<Results<T>>, encode: fn(T, &mut Parts)) -> Parts {
    let mut parts = Parts::default();
    let mut lengths = Vec::new();
    let mut one = |item| {
        let before = parts.len();
        encode(item, &mut parts);
        // A length over 4 GiB makes the record too large, which the pager refuses with an error.
        lengths.extend_from_slice(&u32::try_from(parts.len() - before).unwrap_or(u32::MAX).to_le_bytes());
    };
    for results in items {
        match results {
            Results::One(item) => one(item),
            Results::Many(items) => items.into_iter().for_each(&mut one),
        }
    }
    parts.write(&lengths);
    parts
}

pub(super) fn unpack<T>(
    bytes: Bytes,
    count: u64,
    decode: fn(Bytes) -> Result<T, DecodeError>,
) -> Result<VecDeque<T>, DecodeError> {
    const BROKEN: DecodeError = DecodeError("the block's table of lengths is broken");
    let table = usize::try_from(count).ok().and_then(|count| count.checked_mul(4)).ok_or(BROKEN)?;
    let start = bytes.len().checked_sub(table).ok_or(BROKEN)?;
    let mut lengths = bytes.slice(start..);
    let mut rest = bytes.slice(..start);
    let mut items = VecDeque::with_capacity(table / 4);
    while lengths.has_remaining() {
        let len = lengths.get_u32_le() as usize;
        if len > rest.len() {
            return Err(BROKEN);
        }
        items.push_back(decode(rest.split_to(len))?);
    }
    if rest.is_empty() { Ok(items) } else { Err(BROKEN) }
}

impl<T> Spilling<T> {
    /// Has the I/O thread come by, once.
    pub(super) fn call(&self) {
        if !self.called.swap(true, Ordering::SeqCst) {
            self.pager.call(Weak::clone(&self.this));
        }
    }
}

impl<T: Send> Reclaim for ReorderBuffer<T> {
    fn reclaim(&self, bytes: usize) {
        if let Some(spilling) = &self.spilling {
            spilling.wanted.fetch_max(bytes, Ordering::SeqCst);
            spilling.call();
        }
    }
}

impl<T: Send> Tenant for ReorderBuffer<T> {
    fn plan(&self) -> Plan {
        let Some(spilling) = &self.spilling else {
            return Plan::default();
        };
        spilling.called.store(false, Ordering::SeqCst);
        let mut evicting = lock(&spilling.evicting);
        evicting.next_look = self.next_look(spilling, evicting.next_look);
        let mut plan = Plan { again: evicting.next_look, ..Plan::default() };
        if let Some(head) = evicting.stalled_at {
            if self.line.head() == head {
                return plan;
            }
            evicting.stalled_at = None;
            plan.write = lock(&self.state).failed_pages();
            plan.more = !plan.write.is_empty();
            if plan.more {
                return plan;
            }
        }
        if evicting.bytes == 0 {
            let decision = self.decide(spilling);
            evicting.bytes = decision.spill_bytes;
            evicting.from = decision.spill_from;
            plan.prefetch = decision.prefetch.map_or_else(Vec::new, |range| lock(&self.state).pages(range));
        }
        if evicting.bytes > 0 {
            let leaving = lock(&self.state).take_farthest(evicting.from);
            let bytes: usize = leaving.iter().map(|run| run.lease.bytes()).sum();
            evicting.bytes = if leaving.is_empty() { 0 } else { evicting.bytes.saturating_sub(bytes) };
            if evicting.bytes == 0 && !leaving.is_empty() {
                spilling.wanted.store(0, Ordering::SeqCst);
            }
            plan.write = leaving.into_iter().filter_map(|run| self.encode(spilling, run)).collect();
            plan.more = evicting.bytes > 0;
        }
        let grain = self.line.consumer.at_a_time(BLOCK);
        spilling.call_at.store(lock(&self.state).resident.bytes() + grain, Ordering::Relaxed);
        plan
    }

    fn refused(&self, error: &SpillError) {
        let Some(spilling) = &self.spilling else {
            return;
        };
        match spilling.on_error {
            OnSpillError::Stall => {
                let mut evicting = lock(&spilling.evicting);
                evicting.bytes = 0;
                evicting.stalled_at = Some(self.line.head());
            }
            OnSpillError::Fail => {
                let seq = lock(&self.state).first_failed();
                self.abort(DeliverError::Spill { seq, error: error.clone() });
            }
        }
    }
}

impl<T> ReorderBuffer<T> {
    /// When a policy that wants to be called from time to time is called next, if `planned` was the last time: not any
    /// more once nothing is resident.
    fn next_look(&self, spilling: &Spilling<T>, planned: Option<Instant>) -> Option<Instant> {
        let every = spilling.every?;
        let now = Instant::now();
        let Some(planned) = planned else { return now.checked_add(every) };
        if now < planned {
            return Some(planned);
        }
        // Before the look: who stores something after it calls.
        spilling.looking.store(false, Ordering::SeqCst);
        if lock(&self.state).resident.bytes() == 0 {
            return None;
        }
        spilling.looking.store(true, Ordering::SeqCst);
        now.checked_add(every)
    }

    fn decide(&self, spilling: &Spilling<T>) -> Decision {
        let wanted = spilling.wanted.load(Ordering::SeqCst);
        let budget = self.line.consumer.budget();
        let view = lock(&self.state).view(budget.limit(), budget.charged(), wanted);
        // A policy is foreign code: if it panics, the run ends, and the I/O thread goes on for others.
        let decided = catch_unwind(AssertUnwindSafe(|| lock(&spilling.policy).decide(&view)));
        decided.unwrap_or_else(|panic| {
            self.abort(DeliverError::Panicked { seq: view.head, message: panic_text(&*panic) });
            Decision::default()
        })
    }

    /// Makes a page of what left the slots, and puts it in the place of the mark. `None` if an item's `encode`
    /// panicked: then the run ends.
    fn encode(&self, spilling: &Spilling<T>, run: Leaving<T>) -> Option<Page> {
        let Leaving { first, count, items, lease } = run;
        let packed = catch_unwind(AssertUnwindSafe(|| pack(items, spilling.encode)));
        match packed {
            Ok(parts) => {
                let page = spilling.pager.page(parts, count, lease);
                let mut state = lock(&self.state);
                if let Some(run) = state.spilled.get_mut(&first) {
                    run.page = Some(page.handle());
                }
                self.rouse(state, first);
                Some(page)
            }
            Err(panic) => {
                self.abort(DeliverError::Panicked { seq: first, message: panic_text(&*panic) });
                None
            }
        }
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}
