//! Small models of the engine's nouns, run through every interleaving of their threads (up to a bound of preemptions)
//! by loom: `RUSTFLAGS="--cfg loom" cargo test -p forebay --lib --release loom_ --target-dir target/loom`.
//!
//! A lost wake-up is a deadlock here, and loom finds it.

mod budget;
mod copy;
mod delivery;
mod event;
mod line;
mod pager;
mod queue;
mod reorder;

use crate::event::Event;
use crate::sync::{AtomicBool, Ordering};

fn model(preemptions: usize, threads: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(threads);
}

fn await_flag(event: &Event, flag: &AtomicBool) {
    loop {
        let listener = event.listen();
        if flag.load(Ordering::Relaxed) {
            return;
        }
        listener.wait();
    }
}
