//! `Reduce`: an aggregate, and the operator that runs it.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use timely::Container;
use timely::container::NoopBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator as _;

use crate::error::ExchangeError;
use crate::exchange::Exchange;
use crate::memory::Memory;
use crate::operators::results::{Event, MOST, Results, Teller, results};
use crate::rows::{BLOCK, Rows};
use crate::runs::{Group, Levels, Run, RunWriter, Sealed, seal};

/// Bytes of a single key's rows that are put in order at a time.
const LARGE_GROUP: usize = 4 * BLOCK;

/// What becomes of the rows `R` of a commit: an aggregate by key.
pub trait Reduce<R: Rows>: Send + 'static {
    /// What is kept of the rows so far. Its rows have the hashes of the keys of `R`.
    type State: Rows;

    /// What is given out.
    type Out: Rows;

    /// Whether [`keep`](Self::keep) adds rows in their order, and none that differs from the last in its weight only.
    /// Otherwise they are sorted.
    const IN_ORDER: bool = true;

    /// No rows of the state, in their shape.
    fn state(&self) -> Self::State {
        Self::State::default()
    }

    /// No rows to give out, in their shape.
    fn out(&self) -> Self::Out {
        Self::Out::default()
    }

    /// Adds to `state` what there is to keep of `row`. Rows come in order.
    fn keep(&self, row: R::Row<'_>, state: &mut Self::State);

    /// Gives out what changes, for a key that the commit has rows of. What is not asked of `group` is not read.
    ///
    /// # Errors
    /// Those of `group`, and any of its own: the run ends.
    fn group(
        &mut self,
        group: &mut Group<'_, '_, Self::State>,
        out: &mut Outlet<'_, Self::Out>,
    ) -> Result<(), ExchangeError>;

    /// The keys of `commit` follow.
    fn begin(&mut self, commit: u64) {
        let _ = commit;
    }

    /// All keys of the commit have been seen. What is left in `out` is given out after this.
    ///
    /// # Errors
    /// Any: the run ends.
    fn end(&mut self, out: &mut Outlet<'_, Self::Out>) -> Result<(), ExchangeError> {
        let _ = out;
        Ok(())
    }
}

/// Where an aggregate puts what it gives out.
pub struct Outlet<'a, O: Rows> {
    rows: O,
    teller: &'a Teller<O>,
    memory: &'a Memory,
}

impl<O: Rows> Outlet<'_, O> {
    /// The rows that are not given out yet. They are after each key, if they are a block.
    pub fn rows(&mut self) -> &mut O {
        &mut self.rows
    }

    /// Gives the rows out: for keys that give more than a block. Waits for the operator to take them.
    pub fn flush(&mut self) {
        if self.rows.is_empty() {
            return;
        }
        let like = self.rows.like();
        let rows = std::mem::replace(&mut self.rows, like);
        // A few blocks at most wait, and whoever they go to waits for them.
        let lease = self.memory.consumer().lease_head(rows.bytes());
        self.teller.tell(Event::Rows(rows, lease));
    }
}

impl<O: Rows> std::fmt::Debug for Outlet<'_, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outlet").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

/// One worker's state of one aggregate.
struct Running<R: Rows, F: Reduce<R>> {
    reduce: F,
    levels: Levels<F::State>,
    memory: Memory,
    batches: PhantomData<fn(R)>,
}

impl<R: Rows, F: Reduce<R>> Running<R, F> {
    fn commit(&mut self, batch: Sealed<R>, teller: &Teller<F::Out>) -> Result<(), ExchangeError> {
        let commit = batch.commit();
        let changes = self.changes(batch)?;
        let Running { reduce, levels, memory, .. } = self;
        let mut out = Outlet { rows: reduce.out(), teller, memory };
        let mut given_up = false;
        reduce.begin(commit);
        levels.apply(changes, |group| {
            if given_up {
                return Ok(());
            }
            reduce.group(group, &mut out)?;
            if out.rows.bytes() >= BLOCK {
                out.flush();
                given_up = teller.is_closed();
            }
            Ok(())
        })?;
        reduce.end(&mut out)?;
        out.flush();
        Ok(())
    }

    /// What the batch changes in the state.
    fn changes(&self, batch: Sealed<R>) -> Result<Sealed<F::State>, ExchangeError> {
        let commit = batch.commit();
        let mut cursor = batch.into_cursor()?;
        let mut sorted = Sorted { runs: Vec::new(), writer: RunWriter::new(&self.memory), last: self.reduce.state() };
        let mut state = self.reduce.state();
        while let Some(rows) = cursor.next_block()? {
            for index in 0..rows.len() {
                let row = rows.get(index);
                // Blocks end between two keys, so that they are in order; within one only if it is large.
                if state.bytes() >= BLOCK
                    && (state.bytes() >= LARGE_GROUP || index > 0 && R::hash(rows.get(index - 1)) != R::hash(row))
                {
                    let mut empty = self.reduce.state();
                    empty.reserve(BLOCK);
                    sorted.push(std::mem::replace(&mut state, empty), F::IN_ORDER, &self.memory)?;
                }
                self.reduce.keep(row, &mut state);
            }
        }
        sorted.push(state, F::IN_ORDER, &self.memory)?;
        sorted.runs.push(sorted.writer.finish());
        seal(commit, sorted.runs, &self.memory)
    }
}

/// Blocks that are each in order, on their way to runs: one, as long as each comes after the one before.
struct Sorted<S: Rows> {
    runs: Vec<Run<S>>,
    writer: RunWriter<S>,
    /// The last row of the writer's run.
    last: S,
}

impl<S: Rows> Sorted<S> {
    fn push(&mut self, mut rows: S, in_order: bool, memory: &Memory) -> Result<(), ExchangeError> {
        if !in_order {
            rows.consolidate();
        }
        let Some(end) = rows.len().checked_sub(1) else { return Ok(()) };
        if !self.last.is_empty() && S::order(self.last.get(0), rows.get(0)).is_ge() {
            let writer = std::mem::replace(&mut self.writer, RunWriter::new(memory));
            self.runs.push(writer.finish());
        }
        self.last.clear();
        self.last.push(rows.get(end));
        self.writer.push(rows)
    }
}

pub(crate) fn reduce<'scope, R: Rows, F: Reduce<R>>(
    batches: Stream<'scope, u64, Vec<Sealed<R>>>,
    exchange: &Exchange,
    name: &str,
    reduce: F,
) -> Stream<'scope, u64, F::Out>
where
    F::Out: Container,
{
    let worker = batches.scope().worker();
    let memory = exchange.memory().clone();
    let levels = Levels::new(&memory);
    let running = Arc::new(Mutex::new(Running { reduce, levels, memory, batches: PhantomData }));
    let exchange = exchange.clone();
    batches.unary::<NoopBuilder<F::Out>, _, _, _>(Pipeline, name, move |_, info| {
        let activator = worker.activator_for(Rc::clone(&info.address));
        let (teller, results) = results(worker.sync_activator_for(info.address.to_vec()));
        let mut operator = Operator { open: VecDeque::new(), results, teller, running, exchange };
        move |input, output| {
            input.for_each(|capability, batches| {
                for batch in batches.drain(..) {
                    operator.submit(batch, capability.retain(output.output_index()));
                }
            });
            for _ in 0..=MOST {
                let Some(event) = operator.results.take() else { return };
                match event {
                    Event::Rows(mut rows, lease) => {
                        if let Some(capability) = operator.open.front() {
                            output.session_with_builder(capability).give_container(&mut rows);
                        }
                        drop(lease);
                    }
                    Event::Done => drop(operator.open.pop_front()),
                }
            }
            // Whoever takes the records has a turn.
            activator.activate();
        }
    })
}

/// The worker's side. Fields go in this order: jobs that wait for the operator must find it gone before the last
/// handle of the merger thread waits for them.
struct Operator<R: Rows, F: Reduce<R>> {
    /// The commits whose jobs are not done, in the order in which they were submitted.
    open: VecDeque<Capability<u64>>,
    results: Results<F::Out>,
    teller: Teller<F::Out>,
    running: Arc<Mutex<Running<R, F>>>,
    exchange: Exchange,
}

impl<R: Rows, F: Reduce<R>> Operator<R, F> {
    fn submit(&mut self, batch: Sealed<R>, capability: Capability<u64>) {
        self.open.push_back(capability);
        let (running, teller) = (Arc::clone(&self.running), self.teller.clone());
        let (failure, metrics) = (self.exchange.failure().clone(), Arc::clone(self.exchange.metrics()));
        self.exchange.merger().submit(move || {
            let timed = metrics.reduce.activated();
            if failure.get().is_some() || teller.is_closed() {
                return;
            }
            // Jobs run one after the other. One that panicked has ended the run.
            let mut running = running.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let outcome = running.commit(batch, &teller);
            // Before anybody can see that it is done.
            drop(timed);
            match outcome {
                Ok(()) => teller.tell(Event::Done),
                Err(error) => failure.set(error),
            }
        });
    }
}
