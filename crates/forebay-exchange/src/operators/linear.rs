//! `Count`, `Sum`, `Avg`: aggregates that add up, and keep one row per key.

use crate::error::ExchangeError;
use crate::field::Field;
use crate::operators::reduce::{Outlet, Reduce};
use crate::operators::totals::{Total, Totals};
use crate::rows::{Changes, Rows, Weight};
use crate::runs::Group;

/// How many rows each key has.
#[derive(Clone, Copy, Debug)]
pub struct Count;

/// The sum of each key's values.
#[derive(Clone, Copy, Debug)]
pub struct Sum;

/// The average of each key's values.
#[derive(Clone, Copy, Debug)]
pub struct Avg;

/// An average in lowest terms: numerator, and a denominator above nothing. Equal averages are equal fractions; the
/// order of the pairs is not that of the averages.
pub type Average = (i128, i64);

/// A value that `sum` and `avg` can add up: an integer of up to 64 bits.
pub trait Addend: Field {
    /// The same number.
    fn widen(&self) -> i128;
}

macro_rules! addends {
    ($($type:ty),*) => {$(
        impl Addend for $type {
            fn widen(&self) -> i128 {
                i128::from(*self)
            }
        }
    )*};
}

addends!(u8, u16, u32, u64, i8, i16, i32, i64);

/// Gives the old record with -1 and the new one with +1, if they differ.
pub(crate) fn change<K: Field, T: Field>(out: &mut Changes<K, T>, key: &K, old: Option<T>, new: Option<T>) {
    if old == new {
        return;
    }
    if let Some(old) = old {
        out.add(key.clone(), old, -1);
    }
    if let Some(new) = new {
        out.add(key.clone(), new, 1);
    }
}

impl<K: Field, V: Field> Reduce<Changes<K, V>> for Count {
    type State = Changes<K>;
    type Out = Changes<K, i64>;

    fn keep(&self, row: &(K, V, i64), state: &mut Changes<K>) {
        state.push_merged(&(row.0.clone(), (), row.2));
    }

    fn group(
        &mut self,
        group: &mut Group<'_, '_, Changes<K>>,
        out: &mut Outlet<'_, Self::Out>,
    ) -> Result<(), ExchangeError> {
        weight(group, out.rows(), |count| (count > 0).then_some(count))
    }
}

fn keep<K: Field, V: Addend>(row: &(K, V, i64), state: &mut Totals<K>) {
    let total = Total::new(row.1.widen() * i128::from(row.2), row.2);
    state.push_merged(&(row.0.clone(), (), total));
}

/// Gives out how what is made of the weight of a key changes.
fn weight<K: Field, W: Weight, T: Field>(
    group: &mut Group<'_, '_, Changes<K, (), W>>,
    out: &mut Changes<K, T>,
    of: impl Fn(W) -> Option<T>,
) -> Result<(), ExchangeError> {
    let key = group.key().0.clone();
    let Some(row) = group.next()? else { return Ok(()) };
    change(out, &key, row.before.and_then(|row| of(row.2)), row.after.and_then(|row| of(row.2)));
    Ok(())
}

impl<K: Field, V: Addend> Reduce<Changes<K, V>> for Sum {
    type State = Totals<K>;
    type Out = Changes<K, i128>;

    fn keep(&self, row: &(K, V, i64), state: &mut Totals<K>) {
        keep(row, state);
    }

    fn group(
        &mut self,
        group: &mut Group<'_, '_, Totals<K>>,
        out: &mut Outlet<'_, Self::Out>,
    ) -> Result<(), ExchangeError> {
        weight(group, out.rows(), |total| (total.count() > 0).then_some(total.sum()))
    }
}

impl<K: Field, V: Addend> Reduce<Changes<K, V>> for Avg {
    type State = Totals<K>;
    type Out = Changes<K, Average>;

    fn keep(&self, row: &(K, V, i64), state: &mut Totals<K>) {
        keep(row, state);
    }

    fn group(
        &mut self,
        group: &mut Group<'_, '_, Totals<K>>,
        out: &mut Outlet<'_, Self::Out>,
    ) -> Result<(), ExchangeError> {
        weight(group, out.rows(), |total| (total.count() > 0).then(|| lowest_terms(total.sum(), total.count())))
    }
}

/// The fraction, for a count above nothing.
fn lowest_terms(sum: i128, count: i64) -> Average {
    let (mut divisor, mut rest) = (u128::from(count.unsigned_abs()), sum.unsigned_abs());
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    // No larger than the count, so both fit.
    (sum / divisor as i128, count / divisor as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_averages_are_equal_fractions() {
        assert_eq!(lowest_terms(6, 4), (3, 2));
        assert_eq!(lowest_terms(-6, 4), (-3, 2));
        assert_eq!(lowest_terms(0, 9), (0, 1));
        assert_eq!(lowest_terms(i128::MIN, i64::MAX), (i128::MIN, i64::MAX));
        assert_eq!(lowest_terms(i128::from(i64::MAX) * 3, i64::MAX), (3, 1));
    }
}
