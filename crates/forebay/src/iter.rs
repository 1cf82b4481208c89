//! `ordered_map`: a parallel, ordered, bounded `map` for any iterator.
//!
//! ```
//! use forebay::OrderedMapExt;
//!
//! let lengths = ["a", "bc", "def"].into_iter().map(str::to_owned).ordered_map(|word| word.len());
//! assert_eq!(lengths.collect::<Vec<_>>(), [1, 2, 3]);
//! ```

use std::convert::Infallible;
use std::fmt;

use crate::item::Weigh;
use crate::pipeline::{Cause, Mode, NoInit, Pipeline};
use crate::reorder::Outlet;
use crate::run::{Core, Failure, Threads};
use crate::sync::Arc;

/// Adds [`ordered_map`](OrderedMapExt::ordered_map) to iterators.
pub trait OrderedMapExt: Iterator + Sized {
    /// As [`Iterator::map`], with `f` running on a worker per core. Items come out in order. The iterator itself runs
    /// on a thread of its own, as far ahead as 64 MiB allow.
    ///
    /// Dropping the result ends the threads. A panic of `f` or of the iterator comes out of `next`, in its place.
    ///
    /// # Panics
    /// If the threads cannot be started.
    fn ordered_map<R, F>(self, f: F) -> OrderedMap<Self::Item, R>
    where
        Self: Send + 'static,
        Self::Item: Weigh + Send + 'static,
        R: Weigh + Send + 'static,
        F: Fn(Self::Item) -> R + Send + Sync + 'static,
    {
        self.ordered_map_with(Pipeline::new(), f)
    }

    /// As [`ordered_map`](OrderedMapExt::ordered_map), with the settings of `pipeline`: workers, budget, spill store,
    /// ...
    ///
    /// # Panics
    /// If the threads cannot be started, or if the minimum that `pipeline` asks of its budget is not to be had.
    fn ordered_map_with<M, R, F>(self, pipeline: Pipeline<M, NoInit>, f: F) -> OrderedMap<Self::Item, R>
    where
        M: Mode<R>,
        Self: Send + 'static,
        Self::Item: Weigh + Send + 'static,
        R: Weigh + Send + 'static,
        F: Fn(Self::Item) -> R + Send + Sync + 'static,
    {
        pipeline.map(self, f).unwrap_or_else(|error| panic!("{error}"))
    }
}

impl<I: Iterator> OrderedMapExt for I {}

/// The iterator that [`OrderedMapExt::ordered_map`] returns.
pub struct OrderedMap<T, R> {
    /// Dropped first: without its reader the run ends, and then its threads do. `None` once a panic was passed on.
    outlet: Option<Outlet<R>>,
    _threads: Threads,
    core: Arc<Core<T, R, Infallible>>,
}

impl<T, R> OrderedMap<T, R> {
    pub(crate) fn new(outlet: Outlet<R>, threads: Threads, core: Arc<Core<T, R, Infallible>>) -> Self {
        OrderedMap { outlet: Some(outlet), _threads: threads, core }
    }
}

impl<T, R> Iterator for OrderedMap<T, R> {
    type Item = R;

    /// # Panics
    /// With the payload of `f` or of the iterator, if they panicked; if what was spilled cannot be read back.
    fn next(&mut self) -> Option<R> {
        match self.outlet.as_mut()?.next_result() {
            Ok(result) => result,
            Err(error) => match self.core.explain(error) {
                Failure::Panic(payload) => {
                    // A second call finds the end, not the same panic without its payload.
                    self.outlet = None;
                    std::panic::resume_unwind(payload)
                }
                Failure::Ended(Cause::Cancelled) => None,
                Failure::Ended(Cause::Spill(error)) => panic!("{error}"),
                Failure::Ended(cause) => unreachable!("an iterator does not fail: {cause:?}"),
            },
        }
    }
}

impl<T, R> fmt::Debug for OrderedMap<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderedMap").finish_non_exhaustive()
    }
}
