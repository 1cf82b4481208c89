//! `Min`, `Max`, `Distinct`: aggregates that keep the rows, because a retraction may bring an older one back.
//!
//! `min` reads a key's rows from the least one up to the first that there is, before and after the commit, and `max`
//! from the largest one down: a few rows, unless as many were retracted. `distinct` reads just the rows that change.

use std::cmp::Reverse;

use crate::error::ExchangeError;
use crate::field::Field;
use crate::operators::linear::change;
use crate::operators::reduce::{Outlet, Reduce};
use crate::rows::{BLOCK, Changes, Rows};
use crate::runs::Group;

/// The least of each key's values.
#[derive(Clone, Copy, Debug)]
pub struct Min;

/// The largest of each key's values.
#[derive(Clone, Copy, Debug)]
pub struct Max;

/// Each key and value that there is, once.
#[derive(Clone, Copy, Debug)]
pub struct Distinct;

fn exists<K, V>(row: &&(K, V, i64)) -> bool {
    row.2 > 0
}

/// Gives out how the first value of the group that there is changes.
fn first<K: Field, V: Field, T: Field>(
    group: &mut Group<'_, '_, Changes<K, V>>,
    out: &mut Changes<K, T>,
    value: impl Fn(V) -> T,
) -> Result<(), ExchangeError> {
    let key = group.key().0.clone();
    let (mut old, mut new) = (None, None);
    while old.is_none() || new.is_none() {
        let Some(row) = group.next()? else { break };
        old = old.or_else(|| row.before.filter(exists).map(|row| row.1.clone()));
        new = new.or_else(|| row.after.filter(exists).map(|row| row.1.clone()));
    }
    change(out, &key, old.map(&value), new.map(&value));
    Ok(())
}

impl<K: Field, V: Field> Reduce<Changes<K, V>> for Min {
    type State = Changes<K, V>;
    type Out = Changes<K, V>;

    fn keep(&self, row: &(K, V, i64), state: &mut Changes<K, V>) {
        state.push(row);
    }

    fn group(
        &mut self,
        group: &mut Group<'_, '_, Changes<K, V>>,
        out: &mut Outlet<'_, Self::Out>,
    ) -> Result<(), ExchangeError> {
        first(group, out.rows(), |value| value)
    }
}

impl<K: Field, V: Field> Reduce<Changes<K, V>> for Max {
    type State = Changes<K, Reverse<V>>;
    type Out = Changes<K, V>;

    const IN_ORDER: bool = false;

    fn keep(&self, row: &(K, V, i64), state: &mut Self::State) {
        state.add(row.0.clone(), Reverse(row.1.clone()), row.2);
    }

    fn group(
        &mut self,
        group: &mut Group<'_, '_, Self::State>,
        out: &mut Outlet<'_, Self::Out>,
    ) -> Result<(), ExchangeError> {
        first(group, out.rows(), |Reverse(value)| value)
    }
}

impl<K: Field, V: Field> Reduce<Changes<K, V>> for Distinct {
    type State = Changes<K, V>;
    type Out = Changes<K, V>;

    fn keep(&self, row: &(K, V, i64), state: &mut Changes<K, V>) {
        state.push(row);
    }

    fn group(
        &mut self,
        group: &mut Group<'_, '_, Changes<K, V>>,
        out: &mut Outlet<'_, Self::Out>,
    ) -> Result<(), ExchangeError> {
        while let Some(row) = group.next_changed()? {
            match (row.before.filter(exists), row.after.filter(exists)) {
                (Some(gone), None) => out.rows().add(gone.0.clone(), gone.1.clone(), -1),
                (None, Some(new)) => out.rows().add(new.0.clone(), new.1.clone(), 1),
                _ => {}
            }
            if out.rows().bytes() >= BLOCK {
                out.flush();
            }
        }
        Ok(())
    }
}
