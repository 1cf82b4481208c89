//! Operators on sealed batches: what changes from commit to commit.
//!
//! ```text
//!   Sealed --> operator ---(job)--> merger thread: state, changes --(a few blocks)--> operator --> changes
//! ```
//!
//! Each operator keeps a state per worker (levelled sorted runs, [`Levels`](crate::Levels)) and gives the *changes* of
//! each commit: the old record of a key with -1, the new one with +1. A key that comes has only a new one, one that
//! goes only an old one, and a key whose record stays as it is gives nothing. So the records that were given so far,
//! added up, are the result so far. A worker must get one batch per commit, in order of the commits, as from
//! [`shard_accumulate`](crate::ShardAccumulate::shard_accumulate); a key is on one worker.
//!
//! # Retractions
//! Rows have weights: +1 for one that came, -1 for one that went. The collection is SQL's bag, in which a row is n > 0
//! times or not at all. What takes more away than there is leaves a debt, which later rows pay:
//! * `min`, `max` and `distinct` see the rows whose weights add up to more than nothing, and a key that has any;
//! * `count`, `sum` and `avg` see the sums over all rows of a key (they do not keep the rows), and a key for which the
//!   weights add up to more than nothing.
//!
//! Without debts this is the same. Weights are added modulo 2^64.
//!
//! # Numbers
//! Sums are exact: values of up to 64 bits are added up in 128, which is enough as long as the count of a key fits 63
//! bits. Averages are exact fractions in lowest terms. There is no sum of floats: it would depend on the order, and so
//! on how rows travelled.
//!
//! # Progress
//! An operator submits a job for each batch, holds the commit until the job is done, and gives out what the job has
//! made, a few blocks at a time. It never waits. The job waits while four blocks are not taken, so what a commit
//! changes is never in memory as a whole. Nothing runs without something to do.
//!
//! # Failure
//! A job that fails says so in the run's [`Failure`](crate::Failure), and the commit stays open: what it gave out
//! is never mistaken for all of it. When the dataflow is dropped, its jobs end at their next block.

mod extremes;
mod linear;
mod reduce;
mod results;
mod totals;

use timely::Container;
use timely::dataflow::Stream;

use crate::exchange::Exchange;
use crate::field::Field;
use crate::rows::{Changes, Rows};
use crate::runs::Sealed;

pub use extremes::{Distinct, Max, Min};
pub use linear::{Addend, Average, Avg, Count, Sum};
pub use reduce::{Outlet, Reduce};
pub use totals::{Total, Totals};

/// Reduces sealed batches to changes.
pub trait ReduceSealed<'scope, R: Rows> {
    /// The changes that `reduce` gives for every commit, under this operator name.
    fn reduce<F: Reduce<R>>(self, exchange: &Exchange, name: &str, reduce: F) -> Stream<'scope, u64, F::Out>
    where
        F::Out: Container;
}

impl<'scope, R: Rows> ReduceSealed<'scope, R> for Stream<'scope, u64, Vec<Sealed<R>>> {
    fn reduce<F: Reduce<R>>(self, exchange: &Exchange, name: &str, reduce: F) -> Stream<'scope, u64, F::Out>
    where
        F::Out: Container,
    {
        reduce::reduce(self, exchange, name, reduce)
    }
}

/// The usual aggregates, as changes from commit to commit. See the module's documentation for what weights mean.
pub trait Aggregates<'scope, K: Field, V: Field> {
    /// How many rows each key has.
    fn count(self, exchange: &Exchange) -> Stream<'scope, u64, Changes<K, i64>>;

    /// The sum of each key's values.
    fn sum(self, exchange: &Exchange) -> Stream<'scope, u64, Changes<K, i128>>
    where
        V: Addend;

    /// The average of each key's values: numerator and denominator, in lowest terms.
    fn avg(self, exchange: &Exchange) -> Stream<'scope, u64, Changes<K, Average>>
    where
        V: Addend;

    /// The least of each key's values.
    fn min(self, exchange: &Exchange) -> Stream<'scope, u64, Changes<K, V>>;

    /// The largest of each key's values.
    fn max(self, exchange: &Exchange) -> Stream<'scope, u64, Changes<K, V>>;

    /// Each key and value that there is, once.
    fn distinct(self, exchange: &Exchange) -> Stream<'scope, u64, Changes<K, V>>;
}

impl<'scope, K: Field, V: Field> Aggregates<'scope, K, V> for Stream<'scope, u64, Vec<Sealed<Changes<K, V>>>> {
    fn count(self, exchange: &Exchange) -> Stream<'scope, u64, Changes<K, i64>> {
        self.reduce(exchange, "count", Count)
    }

    fn sum(self, exchange: &Exchange) -> Stream<'scope, u64, Changes<K, i128>>
    where
        V: Addend,
    {
        self.reduce(exchange, "sum", Sum)
    }

    fn avg(self, exchange: &Exchange) -> Stream<'scope, u64, Changes<K, Average>>
    where
        V: Addend,
    {
        self.reduce(exchange, "avg", Avg)
    }

    fn min(self, exchange: &Exchange) -> Stream<'scope, u64, Changes<K, V>> {
        self.reduce(exchange, "min", Min)
    }

    fn max(self, exchange: &Exchange) -> Stream<'scope, u64, Changes<K, V>> {
        self.reduce(exchange, "max", Max)
    }

    fn distinct(self, exchange: &Exchange) -> Stream<'scope, u64, Changes<K, V>> {
        self.reduce(exchange, "distinct", Distinct)
    }
}
