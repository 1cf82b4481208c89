//! `partition`: every row goes into a container for the worker that owns its key.
//!
//! Containers leave when they are full (64 KiB), when rows of a later commit come, and at the commit. A container needs *credit*: each receiver grants each
//! sender a window of bytes, and gives it back once it has paid for what it got. Without credit the container waits
//! here and the gate is shut, so what waits is what the sources had already begun. At a commit, each receiver is told
//! how many rows it was sent.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use timely::Accountable;
use timely::container::NoopBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::{DistributorPact, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::Antichain;

use crate::exchange::Exchange;
use crate::exchange::gate::Gate;
use crate::exchange::parcel::{ByAddress, Content, Parcel, Receipt};
use crate::exchange::spares::Spares;
use crate::metrics::Metrics;
use crate::rows::{BLOCK, Rows};

/// Which of `workers` workers owns the keys with this hash. The low half decides, because rows are sorted by the high.
pub(crate) fn owner(hash: u64, workers: usize) -> usize {
    (((hash & 0xffff_ffff) * workers as u64) >> 32) as usize
}

pub(crate) fn partition<'scope, R: Rows + Accountable>(
    exchange: &Exchange,
    gate: Gate,
    spares: &Rc<Spares<R>>,
    rows: Stream<'scope, u64, R>,
    receipts: Stream<'scope, u64, Receipt>,
) -> Stream<'scope, u64, Parcel<R>> {
    let scope = rows.scope();
    let mut builder = OperatorBuilder::new("partition".to_owned(), scope);
    let (output, parcels) = builder.new_output();
    let mut output = OutputBuilder::<_, NoopBuilder<Parcel<R>>>::from(output);
    let mut input = builder.new_input(rows, Pipeline);
    // What is said about parcels leads to no new ones of its own: the capability to send is the rows'.
    let nothing: [(usize, Antichain<u64>); 0] = [];
    let mut receipts = builder.new_input_connection(receipts, DistributorPact(|_| ByAddress), nothing);
    let metrics = Arc::clone(exchange.metrics());
    let spares = Rc::clone(spares);
    let mut sender = Sender::new(scope.index(), scope.peers(), exchange.window(), gate, spares, Arc::clone(&metrics));

    builder.build(move |_| {
        move |frontiers| {
            let _timed = metrics.partition.activated();
            receipts.for_each(|_, receipt| sender.receive(std::mem::take(receipt)));
            input.for_each(|capability, rows| {
                let commit = *capability.time();
                sender.begin(commit, || capability.retain(0));
                sender.add(commit, std::mem::take(rows));
            });
            let frontier = frontiers[0].frontier();
            sender.close_before(|commit| !frontier.less_equal(&commit));
            let mut output = output.activate();
            sender.send(|capability, mut parcel| output.session_with_builder(capability).give_container(&mut parcel));
        }
    });
    parcels
}

struct Sender<R> {
    me: usize,
    receivers: Vec<Receiver<R>>,
    /// Commits of which rows may still come or wait.
    open: BTreeMap<u64, Open<R>>,
    gate: Gate,
    spares: Rc<Spares<R>>,
    metrics: Arc<Metrics>,
}

struct Receiver<R> {
    /// Bytes that may be sent. A container may exceed it, the next one then waits.
    credit: i64,
    /// Commits below are sealed there.
    sealed: u64,
    /// Full containers without credit, oldest first.
    waiting: VecDeque<(u64, R)>,
}

struct Open<R> {
    capability: Capability<u64>,
    /// For each receiver, what is not full yet.
    targets: Vec<R>,
    /// Whether the targets have memory for a container.
    roomy: bool,
    /// For each receiver, how many rows went before that.
    sent: Vec<u64>,
    closed: bool,
    /// Containers of this commit that wait for credit.
    waiting: usize,
}

impl<R: Rows> Sender<R> {
    fn new(me: usize, peers: usize, window: usize, gate: Gate, spares: Rc<Spares<R>>, metrics: Arc<Metrics>) -> Self {
        let receiver = || Receiver { credit: window as i64, sealed: 0, waiting: VecDeque::new() };
        let receivers = (0..peers).map(|_| receiver()).collect();
        Sender { me, receivers, open: BTreeMap::new(), gate, spares, metrics }
    }

    fn receive(&mut self, receipt: Receipt) {
        let Some(receiver) = self.receivers.get_mut(receipt.from as usize) else { return };
        receiver.credit += receipt.bytes as i64;
        receiver.sealed = receiver.sealed.max(receipt.sealed);
        self.metrics.in_flight.sub(receipt.bytes);
        self.gate.set_sealed(self.receivers.iter().map(|receiver| receiver.sealed).min().unwrap_or(0));
    }

    fn begin(&mut self, commit: u64, capability: impl FnOnce() -> Capability<u64>) {
        if self.open.contains_key(&commit) {
            return;
        }
        // The sources go on: what they left behind need not wait for the commit.
        for (earlier, open) in &mut self.open {
            open.flush(*earlier, &mut self.receivers);
        }
        let targets = self.receivers.iter().map(|_| R::default()).collect();
        let sent = vec![0; self.receivers.len()];
        self.open
            .insert(commit, Open { capability: capability(), targets, roomy: false, sent, closed: false, waiting: 0 });
    }

    fn add(&mut self, commit: u64, rows: R) {
        let Some(open) = self.open.get_mut(&commit) else { unreachable!("the commit was begun") };
        let empty = || {
            self.spares.take().unwrap_or_else(|| {
                let mut block = rows.like();
                block.reserve(BLOCK);
                block
            })
        };
        if !std::mem::replace(&mut open.roomy, true) {
            open.targets.iter_mut().filter(|block| block.is_empty()).for_each(|block| *block = empty());
        }
        let mut dealt = 0;
        while let Some((next, to)) = deal(&rows, dealt, &mut open.targets) {
            dealt = next;
            let full = std::mem::replace(&mut open.targets[to], empty());
            open.sent[to] += full.len() as u64;
            open.waiting += 1;
            self.receivers[to].waiting.push_back((commit, full));
        }
        self.spares.put(rows);
    }

    /// No more rows come of the commits that are `over`: what is not full leaves as it is.
    fn close_before(&mut self, over: impl Fn(u64) -> bool) {
        for (commit, open) in &mut self.open {
            if open.closed || !over(*commit) {
                continue;
            }
            open.closed = true;
            open.flush(*commit, &mut self.receivers);
        }
    }

    /// Sends what has credit, and the counts of commits that are complete.
    fn send(&mut self, mut give: impl FnMut(&Capability<u64>, Parcel<R>)) {
        let mut owed = false;
        for (to, receiver) in self.receivers.iter_mut().enumerate() {
            while receiver.credit > 0
                && let Some((commit, rows)) = receiver.waiting.pop_front()
            {
                let Some(open) = self.open.get_mut(&commit) else { unreachable!("rows of a commit keep it open") };
                open.waiting -= 1;
                receiver.credit -= rows.bytes() as i64;
                self.metrics.rows_sent.add(rows.len() as u64);
                self.metrics.rows_moved.add(if to == self.me { 0 } else { rows.len() as u64 });
                self.metrics.bytes_sent.add(rows.bytes() as u64);
                self.metrics.in_flight.add(rows.bytes() as u64);
                give(&open.capability, Parcel::new(self.me, to, Content::Rows(rows)));
            }
            owed |= !receiver.waiting.is_empty();
        }
        self.gate.set_owed(owed);
        self.open.retain(|_, open| {
            let complete = open.closed && open.waiting == 0;
            if complete {
                for (to, sent) in open.sent.iter().enumerate().filter(|(_, sent)| **sent > 0) {
                    give(&open.capability, Parcel::new(self.me, to, Content::Sent(*sent)));
                }
            }
            !complete
        });
    }
}

/// Puts the rows from `begin` on into the targets that own them, until one is full: the next row, and which is full.
fn deal<R: Rows>(rows: &R, begin: usize, targets: &mut [R]) -> Option<(usize, usize)> {
    let workers = targets.len();
    let mut index = begin;
    while index < rows.len() {
        // So many rows fill none, whosever they are: nothing is asked after each.
        let sure = targets.iter().map(R::room).min().unwrap_or(0).min(rows.len() - index);
        rows.hashed(index..index + sure, |hash, row| targets[owner(hash, workers)].push(row));
        index += sure;
        // With some more it is worth another look.
        let end = rows.len().min(index + 4 * workers);
        while index < end {
            let row = rows.get(index);
            let to = owner(R::hash(row), workers);
            let target = &mut targets[to];
            target.push(row);
            index += 1;
            if target.bytes() >= BLOCK {
                return Some((index, to));
            }
        }
    }
    None
}

impl<R: Rows> Open<R> {
    /// Blocks that are not full leave as they are.
    fn flush(&mut self, commit: u64, receivers: &mut [Receiver<R>]) {
        self.roomy = false;
        for ((block, sent), receiver) in self.targets.iter_mut().zip(&mut self.sent).zip(receivers) {
            if !block.is_empty() {
                *sent += block.len() as u64;
                self.waiting += 1;
                receiver.waiting.push_back((commit, std::mem::take(block)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Field;
    use crate::rows::Changes;

    /// Every target gets its rows in their order, in containers that are full, and no fuller than their last row makes
    /// them.
    fn dealt<K: Field>(workers: usize, key: impl Fn(u64) -> K) {
        let rows = |begin: u64| -> Changes<K> { (begin..begin + 3001).map(|number| (key(number), (), 1)).collect() };
        let mut targets: Vec<Changes<K>> = (0..workers).map(|_| Changes::default()).collect();
        let mut got: Vec<Vec<K>> = vec![Vec::new(); workers];
        let mut keep = |to: usize, rows: &Changes<K>| got[to].extend(rows.iter().map(|(key, (), _)| key.clone()));
        let mut expected: Vec<Vec<K>> = vec![Vec::new(); workers];
        for begin in (0..20).map(|part| part * 3001) {
            let rows = rows(begin);
            rows.iter().for_each(|(key, (), _)| expected[owner(key.hash64(), workers)].push(key.clone()));
            let mut index = 0;
            while let Some((next, to)) = deal(&rows, index, &mut targets) {
                index = next;
                let full = std::mem::take(&mut targets[to]);
                let last = size_of::<(K, (), i64)>() + full.get(full.len() - 1).0.heap();
                assert!((BLOCK..BLOCK + last).contains(&full.bytes()), "{} bytes", full.bytes());
                keep(to, &full);
            }
        }
        assert!(targets.iter().all(|rest| rest.bytes() < BLOCK));
        targets.iter().enumerate().for_each(|(to, rest)| keep(to, rest));
        assert!(got == expected);
    }

    #[test]
    fn rows_are_dealt_into_containers_that_are_just_full() {
        for workers in [1, 2, 3, 8] {
            dealt(workers, |number| number);
            dealt(workers, |number| (number, number as u8));
            dealt(workers, |number| "x".repeat(number as usize % 50));
        }
    }

    /// The other target has room, but nobody's rows.
    #[test]
    fn rows_of_one_key_fill_one_target() {
        dealt(2, |_| 7_u64);
    }
}
