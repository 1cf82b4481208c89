//! The locks, the atomics and (of what is modelled with its own threads) the threads of the engine: `std`'s, or loom's
//! when the models run (`--cfg loom`).
//!
//! Nothing in this crate panics while it holds one of its own locks (user code never runs under one), so a poisoned
//! lock carries no broken invariant and [`lock`] takes it as it is. `Arc` is always `std`'s: the models are about
//! locks.

pub(crate) use std::sync::Arc;
use std::time::Duration;

#[cfg(loom)]
pub(crate) use loom::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence},
};
#[cfg(loom)]
pub(crate) use loom::thread;
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence},
};
#[cfg(not(loom))]
pub(crate) use std::thread;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// As [`wait`], for at most `patience`.
pub(crate) fn wait_for<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>, patience: Duration) -> MutexGuard<'a, T> {
    condvar.wait_timeout(guard, patience).unwrap_or_else(|poisoned| poisoned.into_inner()).0
}

pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(|poisoned| poisoned.into_inner())
}
