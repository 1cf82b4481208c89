//! What timely's byte queues do with a backlog: one worker sends, the other one looks only when all is sent. Without
//! hooks everything stays in memory; with timely's own threshold policy the middle of the queue goes to a file, under
//! the queue's mutex; with forebay's hooks the pager writes behind, and a sender waits only for what is not written.
//!
//! Then what a push costs at the end of a long queue whose store discards everything.
//!
//! `--mib N` is the size of the backlog (default 2048); the two queues of the second table have half of that and eight
//! times that. Each run is a process of its own, so that the peak of one is not that of another.

use std::collections::VecDeque;
use std::env;
use std::fmt;
use std::fs::File;
use std::io::{IoSlice, Write};
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use forebay::{Backing, Extent, Location, SegmentStore, SpillError, SpillStore, Usage};
use forebay_benches::harness::{Cost, Spread, alternate_for, heading, measure, memory, variant};
use forebay_exchange::hooks::{SpillMonitor, SpillOptions, hooks};
use timely::CommunicationConfig;
use timely::bytes::arc::{Bytes, BytesMut};
use timely::communication::allocator::zero_copy::bytes_exchange::{MergeQueue, QueueEntry, SendEndpoint};
use timely::communication::allocator::zero_copy::spill::{
    BytesFetch, BytesSpill, PrefetchPolicy, SpillPolicy, SpillPolicyFn, Threshold,
};
use timely::communication::buzzer::Buzzer;
use timely::communication::{Bytesable, Hooks, initialize_from};

const MIB: u64 = 1 << 20;
const CAP: usize = 32 << 20;
const BLOCK: usize = 64 << 10;
/// Bytes a second of the store that is slow.
const THROTTLED: u64 = 200_000_000;

/// The way that a child process is to go, and how far.
const WAY: &str = "FOREBAY_BENCH_WAY";

#[derive(Clone, Copy)]
enum Way {
    NoHooks,
    Timely,
    Forebay,
    Throttled,
    Push,
}

const WAYS: [(Way, &str); 4] = [
    (Way::NoHooks, "timely, no hooks"),
    (Way::Timely, "timely's threshold, a file"),
    (Way::Forebay, "forebay, cap 32 MiB"),
    (Way::Throttled, "forebay, cap 32 MiB, store of 200 MB/s"),
];

fn main() -> Result<()> {
    if let Ok(way) = env::var(WAY) {
        let (way, mib) = way.split_once(' ').context("a way and a size")?;
        let mib = mib.parse()?;
        let outcome = match way.parse()? {
            0 => backlog(Way::NoHooks, mib)?,
            1 => backlog(Way::Timely, mib)?,
            2 => backlog(Way::Forebay, mib)?,
            3 => backlog(Way::Throttled, mib)?,
            _ => push(mib)?,
        };
        println!("{outcome}");
        return Ok(());
    }
    let (rounds, mib) = arguments()?;
    heading(&format!("A backlog of {mib} MiB before a receiver that does not look"));
    let mut outcomes = vec![Vec::new(); WAYS.len()];
    let variants = WAYS.iter().zip(&mut outcomes).map(|(&(way, name), outcomes)| {
        variant(name, move |round| {
            let outcome = in_child(way, mib)?;
            if round > 0 {
                outcomes.push(outcome);
            }
            Ok(outcome.cost)
        })
    });
    let results = alternate_for(rounds, variants.collect())?;
    println!(
        "| | peak resident above the base, MiB | longest call of a policy, ms | longest send, ms | in which for the disk, ms | spilled, MiB |"
    );
    println!("|---|---:|---:|---:|---:|---:|");
    for ((_, name), outcomes) in WAYS.iter().zip(&outcomes) {
        let median =
            |of: fn(&Outcome) -> u64, unit: f64| Spread::of(outcomes.iter().map(|one| of(one) as f64 / unit)).median;
        println!(
            "| {name} | {:.1} | {:.2} | {:.2} | {:.2} | {:.0} |",
            median(|one| one.peak, MIB as f64),
            median(|one| one.apply, 1e6),
            median(|one| one.send, 1e6),
            median(|one| one.waited, 1e6),
            median(|one| one.spilled, MIB as f64),
        );
    }
    println!("\n{}", results.table(WAYS[0].1));

    let (short, long) = (mib / 2, mib * 8);
    heading(&format!("A push of 64 KiB at the end of {short} and {long} MiB, a store that discards"));
    let mut nanos = [Vec::new(), Vec::new()];
    let variants = [short, long].into_iter().zip(&mut nanos).map(|(mib, nanos)| {
        variant(format!("{mib} MiB"), move |round| {
            let outcome = in_child(Way::Push, mib)?;
            if round > 0 {
                nanos.push(outcome.send as f64);
            }
            Ok(outcome.cost)
        })
    });
    alternate_for(rounds, variants.collect())?;
    let [short_nanos, long_nanos] = nanos.map(|nanos| Spread::of(nanos.into_iter()).median);
    println!(
        "| backlog | ns a push, median |\n|---|---:|\n| {short} MiB | {short_nanos:.0} |\n| {long} MiB | {long_nanos:.0} |"
    );
    println!("\nratio {:.2}", long_nanos / short_nanos);
    Ok(())
}

/// Rounds and MiB.
fn arguments() -> Result<(usize, u64)> {
    let (mut rounds, mut mib) = (3, 2048);
    let mut args = env::args().skip(1);
    while let Some(name) = args.next() {
        let value = args.next().with_context(|| format!("{name} takes a number"))?;
        match name.as_str() {
            "--rounds" => rounds = value.parse()?,
            "--mib" => mib = value.parse()?,
            _ => bail!("usage: [--rounds N] [--mib N] (default: 3 and 2048)"),
        }
    }
    Ok((rounds, mib))
}

/// What one run came to: bytes and nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    cost: Cost,
    peak: u64,
    apply: u64,
    send: u64,
    waited: u64,
    spilled: u64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { cost: Cost { wall, cpu }, peak, apply, send, waited, spilled } = self;
        write!(f, "{wall} {cpu} {peak} {apply} {send} {waited} {spilled}")
    }
}

fn in_child(way: Way, mib: u64) -> Result<Outcome> {
    let output = Command::new(env::current_exe()?).env(WAY, format!("{} {mib}", way as u8)).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    match text.split_whitespace().collect::<Vec<_>>().as_slice() {
        [wall, cpu, peak, apply, send, waited, spilled] => Ok(Outcome {
            cost: Cost { wall: wall.parse()?, cpu: cpu.parse()? },
            peak: peak.parse()?,
            apply: apply.parse()?,
            send: send.parse()?,
            waited: waited.parse()?,
            spilled: spilled.parse()?,
        }),
        _ => bail!("the child said: {text}"),
    }
}

/// A message without a meaning, but for its number.
struct Block(u64);

impl Bytesable for Block {
    fn from_bytes(bytes: Bytes) -> Self {
        Block(u64::from_le_bytes(bytes[..8].try_into().unwrap_or_default()))
    }

    fn length_in_bytes(&self) -> usize {
        BLOCK
    }

    fn into_bytes<W: Write>(&self, writer: &mut W) {
        let mut block = [self.0 as u8; BLOCK];
        block[..8].copy_from_slice(&self.0.to_le_bytes());
        // A slab is memory: there is nothing to fail.
        let _ = writer.write_all(&block);
    }
}

/// The longest of many times, and the sum of others.
#[derive(Default)]
struct Clock {
    apply: AtomicU64,
    refill: AtomicU64,
}

fn nanos(since: Instant) -> u64 {
    since.elapsed().as_nanos() as u64
}

fn backlog(way: Way, mib: u64) -> Result<Outcome> {
    let base = memory("VmRSS")?;
    let clock = Arc::new(Clock::default());
    let (hooks, monitor) = way.hooks()?;
    let hooks = timed(hooks, &clock);
    let count = mib * MIB / BLOCK as u64;
    let (builders, others) =
        CommunicationConfig::ProcessBinary(2).try_build_with(hooks).map_err(|problem| anyhow!(problem))?;
    let (sent, all_sent) = channel::<()>();
    let (sent, all_sent) = (Mutex::new(Some(sent)), Mutex::new(all_sent));
    let own = Arc::clone(&clock);
    let (cost, longest) = measure(|| {
        let guards = initialize_from(builders, others, move |mut allocator| {
            let (mut senders, mut receiver) = allocator.allocate(0);
            if allocator.index() == 0 {
                let _sent = sent.lock().ok().and_then(|mut sent| sent.take());
                let mut longest = (0, 0);
                for seq in 0..count {
                    let before = own.refill.load(Ordering::Relaxed);
                    let begun = Instant::now();
                    senders[1].send(Block(seq));
                    let took = nanos(begun);
                    longest = longest.max((took, own.refill.load(Ordering::Relaxed) - before));
                }
                allocator.release();
                return longest;
            }
            drop(senders);
            // An error is the end of the sender, which is what is waited for.
            let _ = all_sent.lock().map(|sent| sent.recv());
            let mut next = 0;
            while next < count {
                allocator.receive();
                while let Some(Block(seq)) = receiver.recv() {
                    assert_eq!(seq, next);
                    next += 1;
                }
            }
            (0, 0)
        });
        let guards = guards.map_err(|problem| anyhow!(problem))?;
        let results: Result<Vec<(u64, u64)>, String> = guards.join().into_iter().collect();
        Ok(results.map_err(|problem| anyhow!(problem))?[0])
    })?;
    let spilled = monitor.map_or(0, |monitor| monitor.snapshot().spilled_bytes);
    Ok(Outcome {
        cost,
        peak: memory("VmHWM")?.saturating_sub(base),
        apply: clock.apply.load(Ordering::Relaxed),
        send: longest.0,
        waited: longest.1,
        spilled,
    })
}

/// The same hooks, with a clock at each.
fn timed(mut hooks: Hooks, clock: &Arc<Clock>) -> Hooks {
    let (refill, own) = (Arc::clone(&hooks.refill.logic), Arc::clone(clock));
    hooks.refill.logic = Arc::new(move |size| {
        let begun = Instant::now();
        let slab = refill(size);
        own.refill.fetch_add(nanos(begun), Ordering::Relaxed);
        slab
    });
    hooks.spill = hooks.spill.map(|pair| {
        let own = Arc::clone(clock);
        Arc::new(move || {
            let (writer, reader) = pair();
            let timed = |policy| Box::new(Timed { policy, clock: Arc::clone(&own) }) as Box<dyn SpillPolicy>;
            (timed(writer), timed(reader))
        }) as SpillPolicyFn
    });
    hooks
}

struct Timed {
    policy: Box<dyn SpillPolicy>,
    clock: Arc<Clock>,
}

impl SpillPolicy for Timed {
    fn apply(&mut self, queue: &mut VecDeque<QueueEntry>) {
        let begun = Instant::now();
        self.policy.apply(queue);
        self.clock.apply.fetch_max(nanos(begun), Ordering::Relaxed);
    }
}

impl Way {
    fn hooks(self) -> Result<(Hooks, Option<SpillMonitor>)> {
        let forebay = |options: SpillOptions| {
            let (hooks, monitor) = hooks(&options.cap(CAP))?;
            Ok((hooks, Some(monitor)))
        };
        match self {
            Way::NoHooks => Ok((Hooks::default(), None)),
            Way::Timely => {
                let mut hooks = Hooks::default();
                let file = Arc::new(tempfile::tempfile()?);
                let end = Arc::new(AtomicU64::new(0));
                hooks.spill = Some(Arc::new(move || {
                    let spill = FileSpill { file: Arc::clone(&file), end: Arc::clone(&end) };
                    let mut policy = Threshold::new(Box::new(spill));
                    // As little memory as it makes do with: what forebay is given.
                    policy.threshold_bytes = CAP / 2;
                    policy.head_reserve_bytes = CAP / 2;
                    let reader = PrefetchPolicy::new(CAP / 2);
                    (Box::new(policy) as Box<dyn SpillPolicy>, Box::new(reader) as Box<dyn SpillPolicy>)
                }));
                Ok((hooks, None))
            }
            Way::Forebay => forebay(SpillOptions::temp()?),
            Way::Throttled => forebay(SpillOptions::new(Throttled { store: SegmentStore::temp()? })),
            Way::Push => forebay(SpillOptions::new(Discard(Arc::new(Nothing)))),
        }
    }
}

/// Timely's way out, with one file.
struct FileSpill {
    file: Arc<File>,
    end: Arc<AtomicU64>,
}

struct InFile {
    file: Arc<File>,
    at: u64,
    len: usize,
}

impl BytesSpill for FileSpill {
    fn spill(&mut self, chunks: &mut Vec<Bytes>, handles: &mut Vec<Box<dyn BytesFetch>>) {
        for chunk in chunks.drain(..) {
            let at = self.end.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            if let Err(error) = self.file.write_all_at(&chunk, at) {
                panic!("a full disk is not what is measured: {error}");
            }
            handles.push(Box::new(InFile { file: Arc::clone(&self.file), at, len: chunk.len() }));
        }
    }
}

impl BytesFetch for InFile {
    fn fetch(self: Box<Self>) -> Result<Vec<Bytes>, Box<dyn BytesFetch>> {
        let mut buffer = vec![0; self.len];
        match self.file.read_exact_at(&mut buffer, self.at) {
            Ok(()) => Ok(vec![BytesMut::from(buffer).freeze()]),
            Err(_) => Err(self),
        }
    }
}

/// Files that take their time.
#[derive(Debug)]
struct Throttled {
    store: SegmentStore,
}

impl SpillStore for Throttled {
    fn append(&self, owner: u64, parts: &[IoSlice<'_>]) -> Result<Extent, SpillError> {
        let begun = Instant::now();
        let extent = self.store.append(owner, parts)?;
        let due = Duration::from_secs_f64(extent.len() as f64 / THROTTLED as f64);
        thread::sleep(due.saturating_sub(begun.elapsed()));
        Ok(extent)
    }

    fn usage(&self) -> Usage {
        self.store.usage()
    }

    fn location(&self) -> Location {
        self.store.location()
    }
}

/// Takes everything and keeps nothing.
#[derive(Debug)]
struct Discard(Arc<Nothing>);

#[derive(Debug)]
struct Nothing;

impl fmt::Display for Nothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nowhere")
    }
}

impl Backing for Nothing {
    fn read(&self, _: u64, _: &mut [u8]) -> Result<(), SpillError> {
        Err(SpillError::io("read", "nowhere", std::io::ErrorKind::Unsupported.into()))
    }

    fn release(&self, _: u64, _: u64) {}
}

impl SpillStore for Discard {
    fn append(&self, _: u64, parts: &[IoSlice<'_>]) -> Result<Extent, SpillError> {
        let len = parts.iter().map(|part| part.len() as u64).sum();
        Ok(Extent::new(Arc::<Nothing>::clone(&self.0), 0, len))
    }

    fn usage(&self) -> Usage {
        Usage { live: 0, allocated: 0, quota: u64::MAX, failures: 0 }
    }

    fn location(&self) -> Location {
        Location { name: "nowhere".into(), in_memory: false }
    }
}

/// What a push costs over the last eighth of a backlog, apart from waiting for the store.
fn push(mib: u64) -> Result<Outcome> {
    let clock = Arc::new(Clock::default());
    let (hooks, _) = Way::Push.hooks()?;
    let hooks = timed(hooks, &clock);
    let (writer, reader) = hooks.spill.context("hooks that spill")?();
    let (queue, _receiver) = MergeQueue::new_pair(Buzzer::default(), Some(writer), Some(reader));
    let mut endpoint = SendEndpoint::new(queue, hooks.refill);
    let count = mib * MIB / BLOCK as u64;
    let mut send = |count: u64| {
        for _ in 0..count {
            let _ = endpoint.reserve(BLOCK);
            endpoint.make_valid(BLOCK);
        }
    };
    let (cost, each) = measure(|| {
        let last = count / 8;
        send(count - last);
        let waited = clock.refill.load(Ordering::Relaxed);
        let begun = Instant::now();
        send(last);
        let spent = nanos(begun) - (clock.refill.load(Ordering::Relaxed) - waited);
        Ok(spent / last)
    })?;
    Ok(Outcome { cost, peak: 0, apply: clock.apply.load(Ordering::Relaxed), send: each, waited: 0, spilled: 0 })
}
