//! [`Event`]: no change is missed.

use loom::thread;

use super::{await_flag, model};
use crate::event::Event;
use crate::sync::{Arc, AtomicBool, Ordering};

#[test]
fn loom_a_change_before_notify_is_never_missed() {
    model(3, || {
        let shared = Arc::new((Event::new(), AtomicBool::new(false)));
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || await_flag(&shared.0, &shared.1))
            })
            .collect();
        shared.1.store(true, Ordering::Relaxed);
        shared.0.notify();
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    });
}

/// The one who is woken is one who had listened before, not one who comes later and goes back to sleep.
#[test]
fn loom_notify_one_is_not_taken_by_who_listens_afterwards() {
    model(3, || {
        let shared = Arc::new((Event::new(), AtomicBool::new(false), AtomicBool::new(false)));
        let first = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                await_flag(&shared.0, &shared.1);
                // Only now is there something for the other.
                shared.2.store(true, Ordering::Relaxed);
                shared.0.notify();
            })
        };
        let later = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let listener = shared.0.listen();
                if shared.1.load(Ordering::Relaxed) {
                    drop(listener);
                    await_flag(&shared.0, &shared.2);
                }
            })
        };
        shared.1.store(true, Ordering::Relaxed);
        shared.0.notify_one();
        // Whoever did not get the first call gets this one; the one who did must not need it.
        first.join().unwrap();
        shared.0.notify();
        later.join().unwrap();
    });
}
