//! [`CopyPool`]: what is lent is used once, and not after the call.

use std::panic::{AssertUnwindSafe, catch_unwind};

use loom::cell::UnsafeCell;

use super::model;
use crate::copy::CopyPool;

/// So many bytes that each item is handed out on its own.
const MUCH: usize = usize::MAX;

/// Once, and not any more when the call has returned, also by a helper that comes too late for the first call and in
/// time for the second. The cells tell of every use that another one does not exclude.
#[test]
fn loom_lent_items_are_worked_on_once_and_not_after_the_return() {
    model(3, || {
        let mut pool = CopyPool::new(1).with_threshold(0);
        for _ in 0..2 {
            let mut items = [0, 0].map(|n: u32| (UnsafeCell::new(()), n));
            pool.for_each(MUCH, &mut items, |(cell, n)| {
                cell.with_mut(|_| *n += 1);
            });
            items.iter().for_each(|(cell, n)| cell.with_mut(|_| assert_eq!(*n, 1)));
        }
    });
}

#[test]
fn loom_a_panic_of_lent_work_is_the_callers_and_the_pool_goes_on() {
    model(2, || {
        let mut pool = CopyPool::new(1).with_threshold(0);
        let mut items = [1, 2].map(|n| (UnsafeCell::new(()), n));
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            pool.for_each(MUCH, &mut items, |(cell, n)| {
                cell.with_mut(|_| ());
                // Not `panic!`: the hook would print it for every interleaving.
                match n {
                    1 => std::panic::resume_unwind(Box::new("broken")),
                    _ => *n += 1,
                }
            })
        }));
        assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&"broken"));
        items.iter().for_each(|(cell, n)| cell.with_mut(|_| assert!([1, 2, 3].contains(n))));
        let mut items = [5, 6];
        pool.for_each(MUCH, &mut items, |n| *n += 1);
        assert_eq!(items, [6, 7]);
    });
}
