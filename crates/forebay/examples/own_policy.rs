//! A spill policy of one's own, and what it gets to see.
//!
//! The default policy thinks in bytes: it keeps a fifth of the budget in memory in front of the sink, and uses as
//! much disk as the store allows. `Near` thinks in results and shares the disk: the `near` results that the sink
//! needs next stay in memory, whatever their size, and the others never have more than `disk` bytes there. When that
//! is used up, the source waits, as it would without a store.
//!
//! The head of the line is withheld for half a second, 20,000 results of 4 KiB are to be had behind it, and the
//! budget is 8 MiB.
//!
//! How to read the figures: *taken* is how far the source came in that half second. *Spilled* is what was written in
//! all, *on disk* the most at a time. *Reads waited for* are those that the policy did not order early enough. The
//! view is the one at the policy's first decision to spill.
//!
//! ```sh
//! cargo run --release --example own_policy [--quick]
//! ```

use std::error::Error;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{env, io, thread};

use forebay::{Budget, Decision, Pipeline, Prefetch, SegmentStore, SpillPolicy, Threshold, View};

struct Near {
    near: u64,
    disk: usize,
    first: Arc<OnceLock<View>>,
}

impl SpillPolicy for Near {
    /// Called when memory was refused to somebody, when results came in while three quarters of the budget were in
    /// use, and when the sink begins to read what was spilled; on the I/O thread, with no lock held.
    fn decide(&mut self, view: &View) -> Decision {
        let from = view.head + self.near;
        let prefetch = Some(view.head..from);
        // `charged` counts everybody on this budget, `resident` only the results here. `wanted` was refused to
        // somebody.
        if view.wanted == 0 && view.charged <= view.limit / 4 * 3 {
            return Decision { prefetch, ..Decision::default() };
        }
        self.first.get_or_init(|| view.clone());
        // The stretches go from the head outwards; here, all that is far and still in memory.
        let far = view.stretches().filter(|stretch| !stretch.spilled && stretch.first >= from);
        let far: usize = far.map(|stretch| stretch.bytes).sum();
        Decision { spill_bytes: far.min(self.disk.saturating_sub(view.spilled)), spill_from: from, prefetch }
    }
}

/// Passes on what `policy` decides, and notes the most bytes that it saw on disk.
struct Noted<P>(P, Arc<AtomicUsize>);

impl<P: SpillPolicy> SpillPolicy for Noted<P> {
    fn decide(&mut self, view: &View) -> Decision {
        self.1.fetch_max(view.spilled, Ordering::Relaxed);
        self.0.decide(view)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let results = if env::args().any(|arg| arg == "--quick") { 5_000 } else { 20_000 };
    let first = Arc::new(OnceLock::new());
    let near = |disk| Near { near: 500, disk, first: Arc::clone(&first) };
    println!("policy                     taken  spilled MiB  on disk MiB  read ahead  reads waited for");
    run("default", results, Prefetch::<Threshold>::default())?;
    run("500 near", results, near(usize::MAX))?;
    run("500 near, 4 MiB of disk", results, near(4 << 20))?;

    let view = first.get().ok_or("nothing was spilled")?;
    println!(
        "\nthe first view: head {}, {} of {} bytes charged, {} wanted",
        view.head, view.charged, view.limit, view.wanted
    );
    println!("{} bytes resident, {} spilled, in {} stretches:", view.resident, view.spilled, view.stretches().count());
    for stretch in view.stretches().take(3) {
        let end = stretch.first + stretch.count;
        println!("  {}..{end}, {} bytes, spilled: {}", stretch.first, stretch.bytes, stretch.spilled);
    }
    Ok(())
}

fn run(name: &str, results: u64, policy: impl SpillPolicy + 'static) -> Result<(), Box<dyn Error>> {
    let (taken, then) = (AtomicU64::new(0), AtomicU64::new(0));
    let on_disk = Arc::new(AtomicUsize::new(0));
    let mut next = 0;
    let did = Pipeline::new()
        .workers(2)
        .budget(&Budget::new(8 << 20))
        .spill(SegmentStore::temp()?)
        .policy(Noted(policy, Arc::clone(&on_disk)))
        .run(
            (0..results).map(|n| {
                taken.store(n + 1, Ordering::Relaxed);
                Ok::<_, io::Error>(n)
            }),
            |n| {
                if n == 0 {
                    thread::sleep(Duration::from_millis(500));
                    then.store(taken.load(Ordering::Relaxed), Ordering::Relaxed);
                }
                Ok(n.to_le_bytes().repeat(512))
            },
            |result| {
                assert_eq!(result[..8], u64::to_le_bytes(next), "results come in order, each once");
                next += 1;
                Ok(())
            },
        )?;
    assert!(did.delivered == results && did.spilled_items > 0, "{name}: everything came, some of it from disk");
    let (then, mib) = (then.into_inner(), |bytes: u64| bytes as f64 / f64::from(1 << 20));
    let (spilled, on_disk) = (mib(did.spilled_bytes), mib(on_disk.load(Ordering::Relaxed) as u64));
    println!("{name:25} {then:6} {spilled:12.1} {on_disk:12.1} {:11} {:17}", did.prefetches, did.head_reads);
    Ok(())
}
