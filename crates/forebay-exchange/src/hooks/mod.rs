//! Queues that spill, for any timely program.
//!
//! A worker of timely writes to queues of bytes that another worker, or the network's thread, reads. They have no
//! bound: before a receiver that is slow, or a network that is, they take all memory. With these hooks what waits in
//! them goes to disk.
//!
//! # Porting a program
//! Only the lines that start the workers change. From
//!
//! ```no_run
//! # let configuration = timely::Config::process(2);
//! timely::execute(configuration, |worker| { /* dataflows */ })?;
//! # Ok::<(), String>(())
//! ```
//!
//! to
//!
//! ```
//! use forebay_exchange::hooks::{Built, SpillOptions, build};
//! use timely::{CommunicationConfig, WorkerConfig};
//!
//! let spill = SpillOptions::temp()?.cap(32 << 20);
//! let Built { builders, others, monitor, .. } = build(CommunicationConfig::ProcessBinary(2), spill)?;
//! let guards = timely::execute::execute_from(builders, others, WorkerConfig::default(), |worker| { /* dataflows */ })?;
//! if guards.join().iter().any(Result::is_err)
//!     && let Some(error) = monitor.error()
//! {
//!     return Err(error.into());
//! }
//! assert_eq!(monitor.snapshot().unwritten_bytes, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/port_timely.rs` is a whole program. Within a process use `ProcessBinary`, in a cluster `zerocopy: true`:
//! other configurations pass typed data without such queues, and are refused. Who has connected sockets already
//! passes what [`hooks`] returns to `initialize_networking_from_sockets`.
//!
//! # How it works
//! ```text
//!   sender --extend--> [ handle handle handle ... | tail ] --drain--> receiver
//!                         |  WriteBehind    ReadAhead  ^
//!                         v                            |
//!                       pager (I/O thread) --write--> store --load--
//! ```
//! * The writer's policy turns every entry of a queue but the tail into a handle, at once and in constant time. Its
//!   bytes can be read from memory until the I/O thread has written them. Small entries are copied together into
//!   records of 256 KiB.
//! * The reader's policy has the I/O thread read ahead of it, and gives what is there. If nothing is, its reader waits
//!   for a millisecond at most, when it has let go of the mutex.
//! * A sender that needs another buffer waits while more than the cap is not yet written. It holds no lock then, and it
//!   waits for the disk only: never for buffers in use, which may be waiting for the sender itself.
//!
//! # Memory
//! Over all queues, what is on its way to the disk: the cap. For each sender: the buffer (1 MiB) that it fills, which
//! timely gives it from its start, one that it has passed the gate for, and a spare one. For each queue: the buffer that
//! its tail was cut from, 256 KiB of small entries that are collected, 2 MiB read ahead, and a few hundred bytes for each
//! record on disk. An entry of 128 KiB or more keeps its whole buffer until it is written.
//!
//! On top of that comes what the allocator keeps. Buffers are freed by other threads than took them, and the C library holds on to
//! as much of each thread's as it has seen at one time, half as much again; with `MALLOC_MMAP_THRESHOLD_=131072` in the
//! environment, large ones go back to the system at once.
//!
//! Not bounded is what a receiver has taken out of its queue. Timely takes all that is there into queues of its own at
//! each step of a worker; the reader's policy gives it a megabyte at a time. An operator that does not read what it
//! gets holds that in memory.
//!
//! The pager's budget is the cap. Everything in it is leased as a head, because a queue cannot refuse: the overdraft is
//! what the formula above adds to the cap.
//!
//! # Failure
//! A full disk, a quota, a damaged record, or a disk that does nothing for the deadline end the run; what was not
//! written is still in memory, so nothing is lost until then. The typed error is in the [`SpillMonitor`]. All that
//! timely passes on is a panic, so the worker panics with its text: a sender when it next needs a buffer, a reader
//! when it lets go of the entry that could not be read. Never inside a policy, which would poison the queue's
//! mutex. The thread of a disk that does nothing cannot be ended: it is left behind.
//!
//! # Numbers
//! The longest call of a policy took 0.8 ms over a backlog of 2 GiB, 0.07 ms of them processor time, timely's threshold with
//! a plain file 36 ms; a push of 64 KiB took 1.2 us of processor time behind 1 GiB and 1.1 us behind 16 GiB (`benches`, `hooks`).

mod buffer;
mod build;
mod counters;
mod entry;
mod failed;
mod gate;
mod line;
mod monitor;
mod options;
mod reader;
mod spool;
mod writer;

use std::ops::DerefMut;
use std::sync::Arc;

use timely::communication::Hooks;
use timely::communication::allocator::zero_copy::bytes_slab::BytesRefill;
use timely::communication::allocator::zero_copy::spill::SpillPolicy;

pub use build::{BuildError, Built, build};
pub use failed::{SpillFailed, SpillFailure};
pub use monitor::{SpillMonitor, SpillSnapshot};
pub use options::SpillOptions;

use buffer::Aligned;
use line::Line;
use reader::ReadAhead;
use spool::Spool;
use writer::WriteBehind;

/// Buffers not in use that a sender keeps. It fills them without passing the gate, so they are few: each may put what
/// is not yet written a megabyte above the cap.
const SPARE: usize = 1;

/// Hooks for timely's communication, all of one program: its queues share one I/O thread and one cap.
///
/// # Errors
/// [`BuildError::Thread`] if the I/O thread cannot be started.
pub fn hooks(options: &SpillOptions) -> Result<(Hooks, SpillMonitor), BuildError> {
    let spool = Arc::new(Spool::new(options)?);
    let monitor = SpillMonitor::new(&spool);
    let refilling = Arc::clone(&spool);
    let refill = move |size| {
        if let Err(failed) = refilling.gate.pass() {
            refilling.abandon(&failed);
            raise(&failed);
        }
        Box::new(Aligned::zeroed(size)) as Box<dyn DerefMut<Target = [u8]> + Send>
    };
    let pair = move || {
        let line = Arc::new(Line::default());
        let writer = WriteBehind::new(Arc::clone(&spool), Arc::clone(&line));
        let reader = ReadAhead::new(Arc::clone(&spool), line);
        (Box::new(writer) as Box<dyn SpillPolicy>, Box::new(reader) as Box<dyn SpillPolicy>)
    };
    let hooks = Hooks {
        refill: BytesRefill { logic: Arc::new(refill), limit: Some(SPARE) },
        spill: Some(Arc::new(pair)),
        ..Hooks::default()
    };
    Ok((hooks, monitor))
}

/// Ends a worker: a panic is all that timely passes on. The typed error is in the monitor.
fn raise(failed: &SpillFailed) -> ! {
    panic!("{failed}")
}
