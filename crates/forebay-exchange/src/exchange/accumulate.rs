//! `accumulate`: the owner of a key collects its rows, commit by commit.
//!
//! Rows are put into a buffer of buckets ([`Buckets`]). A full buffer is sorted and merged; if that made it much smaller
//! it goes on as the buffer, otherwise it becomes a run. Everything is paid for by leases that are tried and never
//! waited for: refused, the operator spills runs, leaves what has arrived unpaid, and so withholds credit; it is
//! activated when memory is there. When the frontier has passed a commit, the counts are checked and the merger thread seals it.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use forebay::{DecodeError, Lease, Page, Reclaim};
use timely::container::NoopBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::DistributorPact;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::scheduling::SyncActivator;

use crate::error::ExchangeError;
use crate::exchange::Exchange;
use crate::exchange::buckets::Buckets;
use crate::exchange::parcel::{ByAddress, Content, Parcel, Receipt};
use crate::exchange::spares::Spares;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::rows::{BLOCK, Rows};
use crate::runs::{Run, Sealed, seal};

/// What `accumulate` gives: its sealed batches, and what it says to the senders.
type Streams<'scope, R> = (Stream<'scope, u64, Vec<Sealed<R>>>, Stream<'scope, u64, Receipt>);

pub(crate) fn accumulate<'scope, R: Rows>(
    exchange: &Exchange,
    spares: &Rc<Spares<R>>,
    parcels: Stream<'scope, u64, Parcel<R>>,
) -> Streams<'scope, R> {
    let scope = parcels.scope();
    let mut builder = OperatorBuilder::new("accumulate".to_owned(), scope);
    let (batches_out, batches) = builder.new_output();
    let (receipts_out, receipts) = builder.new_output();
    let mut batches_out = OutputBuilder::<_, NoopBuilder<Vec<Sealed<R>>>>::from(batches_out);
    let mut receipts_out = OutputBuilder::<_, NoopBuilder<Receipt>>::from(receipts_out);
    let mut input = builder.new_input(parcels, DistributorPact(|_| ByAddress));
    let address = builder.operator_info().address.to_vec();
    let activator = || scope.worker().sync_activator_for(address.clone());

    exchange.failure().wake(activator());
    let wish = Arc::new(Wish { asked: AtomicBool::new(false), activator: activator() });
    let as_reclaim: Arc<dyn Reclaim> = Arc::clone(&wish) as Arc<dyn Reclaim>;
    // An account of its own: whoever asks it for memory, and whom it tells, is this operator alone.
    let memory = exchange.account("accumulate");
    memory.consumer().can_spill(Arc::downgrade(&as_reclaim));
    let retry = Arc::new(Retry { due: AtomicBool::new(false), activator: activator() });
    let again = scope.activator_for(address.into());
    let mut receiver = Receiver::new(scope.index(), scope.peers(), exchange.clone(), Rc::clone(spares), memory, retry);
    let metrics = Arc::clone(exchange.metrics());

    builder.build(move |mut capabilities| {
        // The right to tell senders something, as long as any may still send.
        let mut to_tell = capabilities.pop();
        drop(capabilities);
        move |frontiers| {
            let _timed = metrics.accumulate.activated();
            input.for_each(|capability, parcel| {
                let Parcel { from, content, .. } = std::mem::take(parcel);
                if from as usize >= receiver.owed.len() {
                    return receiver.exchange.failure().set(DecodeError("a parcel from no worker"));
                }
                match content {
                    Content::Rows(rows) => {
                        receiver.open(*capability.time(), || capability.retain(0));
                        receiver.arrive(*capability.time(), from as usize, rows);
                    }
                    Content::Sent(rows) => {
                        receiver.open(*capability.time(), || capability.retain(0));
                        receiver.claim(*capability.time(), from as usize, rows);
                    }
                    Content::Damaged(error) => receiver.exchange.failure().set(error),
                    Content::Nothing => {}
                }
            });
            if wish.asked.swap(false, Ordering::Relaxed) {
                receiver.make_room();
            }
            receiver.pay();
            let frontier = frontiers[0].frontier();
            receiver.seal_before(|commit| !frontier.less_equal(&commit));
            let mut batches = batches_out.activate();
            receiver.sealed(|capability, batch| {
                batches.session_with_builder(&capability).give_container(&mut vec![batch]);
            });
            if let Some(capability) = &mut to_tell {
                let sealed = receiver.sealed_below(frontier.first().copied());
                let mut receipts = receipts_out.activate();
                let more = receiver.tell(sealed, frontier.is_empty(), |mut receipt| {
                    receipts.session_with_builder(&*capability).give_container(&mut receipt);
                });
                // Timely activates an operator once more after it had input, but does not promise it.
                if more {
                    again.activate();
                }
            }
            if frontier.is_empty() {
                to_tell = None;
            }
        }
    });
    // The operator asks through a weak handle; the worker's context keeps it.
    exchange.keep(as_reclaim);
    (batches, receipts)
}

/// Somebody needs memory that this operator may hold.
struct Wish {
    asked: AtomicBool,
    activator: SyncActivator,
}

impl Reclaim for Wish {
    fn reclaim(&self, _: usize) {
        if !self.asked.swap(true, Ordering::Relaxed) {
            let _ = self.activator.activate();
        }
    }
}

/// Has an operator that was refused memory try again. Whoever changes what it was refused for calls; until then it does
/// not ask, however often it is activated: a refusal asks others to give memory back, and so activates them.
struct Retry {
    due: AtomicBool,
    activator: SyncActivator,
}

impl Retry {
    fn call(&self) {
        self.due.store(true, Ordering::Release);
        // A worker that is gone needs no waking.
        let _ = self.activator.activate();
    }

    /// Whether somebody has called since this was asked last.
    fn take(&self) -> bool {
        self.due.swap(false, Ordering::Acquire)
    }
}

struct Receiver<R: Rows> {
    me: usize,
    exchange: Exchange,
    /// Where emptied containers go.
    spares: Rc<Spares<R>>,
    /// Pays for what has arrived.
    memory: Memory,
    retry: Arc<Retry>,
    open: BTreeMap<u64, Open<R>>,
    /// Rows that nobody pays for yet, as they came.
    unpaid: VecDeque<(u64, usize, R)>,
    /// For each sender, the bytes that are paid for and of which it has not been told.
    owed: Vec<u64>,
    /// Whether rows have come since senders were told last.
    arrived: bool,
    told: u64,
    /// Commits that the merger works on, oldest first.
    sealing: VecDeque<(u64, Capability<u64>, Instant)>,
    results: mpsc::Receiver<Result<Sealed<R>, ExchangeError>>,
    seals: mpsc::Sender<Result<Sealed<R>, ExchangeError>>,
    metrics: Arc<Metrics>,
    /// Whether any rows have arrived.
    used: bool,
    /// Since when there is not enough memory for what has arrived.
    short_since: Option<Instant>,
    /// Whether a batch was handed on since rows were refused last.
    given: bool,
}

struct Open<R: Rows> {
    capability: Capability<u64>,
    buffer: Buckets<R>,
    lease: Lease,
    runs: Vec<Run<R>>,
    received: Vec<u64>,
    claimed: Vec<u64>,
    since: Instant,
}

impl<R: Rows> Receiver<R> {
    fn new(
        me: usize,
        peers: usize,
        exchange: Exchange,
        spares: Rc<Spares<R>>,
        memory: Memory,
        retry: Arc<Retry>,
    ) -> Self {
        let (seals, results) = mpsc::channel();
        let metrics = Arc::clone(exchange.metrics());
        Receiver {
            me,
            exchange,
            spares,
            memory,
            retry,
            open: BTreeMap::new(),
            unpaid: VecDeque::new(),
            owed: vec![0; peers],
            arrived: false,
            told: 0,
            sealing: VecDeque::new(),
            results,
            seals,
            metrics,
            used: false,
            short_since: None,
            given: false,
        }
    }

    fn open(&mut self, commit: u64, capability: impl FnOnce() -> Capability<u64>) {
        let (peers, memory, exchange, metrics) = (self.owed.len(), &self.memory, &self.exchange, &self.metrics);
        self.open.entry(commit).or_insert_with(|| {
            metrics.open_commits.add(1);
            Open {
                capability: capability(),
                buffer: Buckets::new(exchange.run_bytes()),
                lease: memory.consumer().empty_lease(),
                runs: Vec::new(),
                received: vec![0; peers],
                claimed: vec![0; peers],
                since: Instant::now(),
            }
        });
    }

    fn arrive(&mut self, commit: u64, from: usize, rows: R) {
        self.metrics.rows_received.add(rows.len() as u64);
        self.metrics.workers_used.add(u64::from(!self.used));
        self.used = true;
        self.arrived = true;
        self.unpaid.push_back((commit, from, rows));
    }

    fn claim(&mut self, commit: u64, from: usize, rows: u64) {
        if let Some(open) = self.open.get_mut(&commit)
            && let Some(claimed) = open.claimed.get_mut(from)
        {
            *claimed += rows;
        }
    }

    /// Takes in what has arrived, as far as there is memory for it.
    fn pay(&mut self) {
        if self.short_since.is_some() && !self.retry.take() {
            return;
        }
        self.pay_until_refused();
        if !self.unpaid.is_empty() {
            self.short_since.get_or_insert_with(Instant::now);
        } else if let Some(since) = self.short_since.take() {
            self.metrics.memory_waits.record(since.elapsed());
        }
    }

    fn pay_until_refused(&mut self) {
        while let Some((commit, from, rows)) = self.unpaid.front() {
            let (commit, from, bytes) = (*commit, *from, rows.bytes());
            let Some(open) = self.open.get_mut(&commit) else { unreachable!("rows keep their commit open") };
            if !open.lease.try_grow(bytes) && !self.overdraw_or_wait(commit, bytes) {
                return;
            }
            let Some((_, _, rows)) = self.unpaid.pop_front() else { return };
            self.owed[from] += bytes as u64;
            self.append(commit, from, rows);
        }
    }

    /// Memory was refused. Spills; when nothing of this worker is on its way out of memory, the rows at the head get in
    /// whatever the budget says. Else `retry` is called when there is room, or when everything is out.
    fn overdraw_or_wait(&mut self, commit: u64, bytes: usize) -> bool {
        self.metrics.refused.add(1);
        self.make_room();
        let consumer = self.memory.consumer().clone();
        let retry = Arc::clone(&self.retry);
        let call = move || retry.call();
        let Some(open) = self.open.get_mut(&commit) else { return false };
        while consumer.when_room(bytes, call.clone()) {
            // Somebody else may have taken the room; then nobody would call.
            if open.lease.try_grow(bytes) {
                return true;
            }
        }
        let leaving = loop {
            match self.leaving() {
                // Out in the meantime.
                Ok(Some(page)) if page.when_settled(call.clone()) => {}
                leaving => break leaving.map(|page| page.is_some()),
            }
        };
        let Some(open) = self.open.get_mut(&commit) else { return false };
        match leaving {
            Ok(true) => false,
            Ok(false) if self.memory.can_spill() => {
                open.lease.grow_head(bytes);
                self.metrics.overdrawn.add(1);
                true
            }
            Ok(false) => {
                // A batch that is sealed may give memory back once it is taken; nothing else will.
                if std::mem::take(&mut self.given) {
                    self.retry.call();
                } else if self.sealing.is_empty()
                    && let Err(error) = consumer.try_lease(bytes)
                {
                    self.exchange.failure().set(error);
                }
                false
            }
            Err(error) => {
                self.exchange.failure().set(error);
                false
            }
        }
    }

    /// The last page of a run that is on its way out of memory.
    ///
    /// # Errors
    /// If one cannot be written: what holds the memory stays there.
    fn leaving(&self) -> Result<Option<&Page>, ExchangeError> {
        // The newest are the likeliest.
        for run in self.open.values().flat_map(|open| &open.runs).rev() {
            if let Some(page) = run.leaving()? {
                return Ok(Some(page));
            }
        }
        Ok(None)
    }

    /// Hands runs to the spill store, the largest first, until half of what they take is on its way.
    fn make_room(&mut self) {
        let memory = &self.memory;
        self.spares.clear();
        if !memory.can_spill() {
            return;
        }
        let resident = self.open.values().any(|open| open.runs.iter().any(Run::is_resident));
        // While the disk is behind, more runs would only be smaller ones.
        if !resident && !matches!(self.leaving(), Ok(Some(_))) {
            // Only buffers are left: the largest becomes a run.
            if let Some(open) = self.open.values_mut().max_by_key(|open| open.buffer.bytes())
                && open.buffer.bytes() >= BLOCK
            {
                open.close_buffer(&self.metrics);
            }
        }
        let mut resident: Vec<&mut Run<R>> =
            self.open.values_mut().flat_map(|open| &mut open.runs).filter(|run| run.is_resident()).collect();
        resident.sort_by_key(|run| std::cmp::Reverse(run.bytes()));
        let all: usize = resident.iter().map(|run| run.bytes()).sum();
        let mut spilled = 0;
        for run in resident {
            if spilled * 2 >= all {
                break;
            }
            spilled += run.bytes();
            self.metrics.runs_spilled.add(1);
            run.spill(memory);
        }
    }

    fn append(&mut self, commit: u64, from: usize, rows: R) {
        let Some(open) = self.open.get_mut(&commit) else { unreachable!("rows keep their commit open") };
        open.received[from] += rows.len() as u64;
        open.buffer.add(&rows);
        self.spares.put(rows);
        if !open.buffer.is_full() {
            return;
        }
        let before = open.buffer.bytes();
        open.buffer.consolidate();
        let after = open.buffer.bytes();
        open.lease.shrink_to(after);
        if after * 2 <= before {
            // Many rows of few keys: the next sort comes when as much again has arrived.
            self.metrics.merged_early.add((before - after) as u64);
            return;
        }
        open.close_sorted(&self.metrics);
        if self.exchange.is_tight() {
            self.make_room();
        }
    }

    fn seal_before(&mut self, over: impl Fn(u64) -> bool) {
        while let Some(entry) = self.open.first_entry() {
            let commit = *entry.key();
            if !over(commit) || self.unpaid.iter().any(|(of, _, _)| *of == commit) {
                return;
            }
            let open = entry.remove();
            for (from, (&sent, &received)) in open.claimed.iter().zip(&open.received).enumerate() {
                if sent != received {
                    let to = self.me;
                    self.exchange.failure().set(ExchangeError::Counts { commit, from, to, sent, received });
                    return;
                }
            }
            // The merger needs memory now; what comes next is filled anew.
            self.spares.clear();
            self.sealing.push_back((commit, open.capability, open.since));
            let Open { mut buffer, mut lease, mut runs, .. } = open;
            let (memory, failure) = (self.memory.clone(), self.exchange.failure().clone());
            let (seals, retry, metrics) = (self.seals.clone(), Arc::clone(&self.retry), Arc::clone(&self.metrics));
            self.exchange.merger().submit(move || {
                let timed = metrics.seal.activated();
                buffer.consolidate();
                lease.shrink_to(buffer.bytes());
                runs.extend(run_of(&mut buffer, &mut lease, &metrics));
                let sealed = seal(commit, runs, &memory);
                drop(timed);
                if let Err(error) = &sealed {
                    failure.set(error.clone());
                }
                // Whoever is gone needs no result.
                if seals.send(sealed).is_ok() {
                    retry.call();
                }
            });
        }
    }

    /// Hands on what the merger has sealed.
    fn sealed(&mut self, mut give: impl FnMut(Capability<u64>, Sealed<R>)) {
        while let Ok(result) = self.results.try_recv() {
            let Some((_, capability, since)) = self.sealing.pop_front() else { unreachable!("it was submitted") };
            if let Ok(batch) = result {
                self.metrics.open_commits.sub(1);
                self.metrics.commit.record(since.elapsed());
                give(capability, batch);
            }
            self.given = true;
            if self.short_since.is_some() {
                self.retry.call();
            }
        }
    }

    /// Every commit below this is sealed here; `frontier` is the first of which rows may still come.
    fn sealed_below(&self, frontier: Option<u64>) -> u64 {
        let open = self.open.keys().next().copied();
        let sealing = self.sealing.front().map(|(commit, _, _)| *commit);
        [open, sealing, frontier].into_iter().flatten().min().unwrap_or(u64::MAX)
    }

    /// Tells senders what they have not been told: while rows keep coming, of a quarter of a window at a time, because
    /// each receipt is a message that wakes a worker. `last` when no sender has rows left. Returns whether there is more
    /// to tell once no rows come.
    fn tell(&mut self, sealed: u64, last: bool, mut give: impl FnMut(Receipt)) -> bool {
        let news = sealed > self.told;
        self.told = self.told.max(sealed);
        let arriving = std::mem::take(&mut self.arrived) && !last;
        let least = if arriving { self.exchange.window() as u64 / 4 } else { 0 }.max(1);
        for (to, owed) in self.owed.iter_mut().enumerate() {
            if *owed >= least || news {
                let bytes = std::mem::take(owed);
                give(Receipt { to: to as u32, from: self.me as u32, bytes, sealed, whole: true });
            }
        }
        self.owed.iter().any(|owed| *owed > 0)
    }
}

impl<R: Rows> Open<R> {
    fn close_buffer(&mut self, metrics: &Metrics) {
        self.buffer.consolidate();
        self.lease.shrink_to(self.buffer.bytes());
        self.close_sorted(metrics);
    }

    /// The buffer, sorted, becomes a run.
    fn close_sorted(&mut self, metrics: &Metrics) {
        self.runs.extend(run_of(&mut self.buffer, &mut self.lease, metrics));
    }
}

/// A run of the rows of `buffer`, which are sorted and paid for by `lease`; none if there are none.
fn run_of<R: Rows>(buffer: &mut Buckets<R>, lease: &mut Lease, metrics: &Metrics) -> Option<Run<R>> {
    let blocks = buffer.take_blocks();
    if blocks.is_empty() {
        return None;
    }
    metrics.runs.add(1);
    Some(Run::resident(blocks, lease.split(usize::MAX)))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use forebay::Budget;
    use timely::dataflow::channels::pact::Pipeline;
    use timely::dataflow::operators::Operator;
    use timely::dataflow::operators::generic::source;

    use super::*;
    use crate::exchange::ExchangeOptions;
    use crate::rows::Changes;

    /// What a sender says it sent is held against what arrived, for each commit.
    #[test]
    fn rows_that_did_not_arrive_are_missed() {
        let options = ExchangeOptions::new(&Budget::new(1 << 20), None);
        let failure = options.failure().clone();
        timely::execute_directly(move |worker| {
            let exchange = Exchange::new(&options, worker).unwrap();
            worker.dataflow::<u64, _, _>(|scope| {
                let parcels =
                    source::<_, NoopBuilder<Parcel<Changes<u64>>>, _, _>(scope, "parcels", |capability, _| {
                        let mut capability = Some(capability);
                        move |output| {
                            let Some(capability) = capability.take() else { return };
                            let three: Changes<u64> = (0..3).map(|key| (key, (), 1)).collect();
                            for content in [Content::Rows(three), Content::Sent(4)] {
                                output
                                    .session_with_builder(&capability)
                                    .give_container(&mut Parcel::new(0, 0, content));
                            }
                        }
                    });
                let spares = Rc::new(Spares::new(exchange.memory(), 1));
                accumulate(&exchange, &spares, parcels);
            });
        });
        let error = failure.get().unwrap();
        assert!(matches!(error, ExchangeError::Counts { commit: 0, from: 0, to: 0, sent: 4, received: 3 }), "{error}");
    }

    /// The sender goes on for ever; its rows come first one by one, and then not at all.
    #[test]
    fn receipts_are_gathered_while_rows_come_and_given_when_none_do() {
        let options = ExchangeOptions::new(&Budget::new(1 << 20), None).window(16 << 10);
        let (parcels, rows) = (10, 64_u64);
        let mut receipts = timely::execute_directly(move |worker| {
            let exchange = Exchange::new(&options, worker).unwrap();
            let given = Rc::new(RefCell::new(Vec::new()));
            let index = worker.next_dataflow_index();
            worker.dataflow::<u64, _, _>(|scope| {
                let sender =
                    source::<_, NoopBuilder<Parcel<Changes<u64>>>, _, _>(scope, "parcels", |capability, info| {
                        let again = scope.activator_for(info.address);
                        let mut left = parcels;
                        move |output| {
                            if left > 0 {
                                left -= 1;
                                let some: Changes<u64> = (0..rows).map(|key| (key, (), 1)).collect();
                                let mut parcel = Parcel::new(0, 0, Content::Rows(some));
                                output.session_with_builder(&capability).give_container(&mut parcel);
                                again.activate();
                            }
                        }
                    });
                let spares = Rc::new(Spares::new(exchange.memory(), 1));
                let (_, receipts) = accumulate(&exchange, &spares, sender);
                let given = Rc::clone(&given);
                receipts.sink(Pipeline, "receipts", move |(input, _)| {
                    input.for_each(|_, receipt: &mut Receipt| given.borrow_mut().push(receipt.bytes));
                });
            });
            for _ in 0..100 {
                worker.step();
            }
            worker.drop_dataflow(index);
            given.take()
        });
        // Of 1 KiB each; a quarter of the window is four of them.
        receipts.retain(|bytes| *bytes > 0);
        assert_eq!(receipts, [4 << 10, 4 << 10, 2 << 10]);
    }
}
