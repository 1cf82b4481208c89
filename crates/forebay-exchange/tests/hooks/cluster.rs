//! Processes of a cluster, here threads with a socket between them.

use std::any::Any;
use std::net::TcpListener;
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use forebay_exchange::hooks::{SpillMonitor, SpillOptions, build, hooks};
use timely::CommunicationConfig;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::allocator::{AllocatorBuilder, ProcessBuilder};
use timely::communication::initialize_from;

use crate::blocks::Block;
use crate::support::{until, within};

type Process = (Vec<AllocatorBuilder>, Box<dyn Any + Send>);

const WORDS: usize = 8 << 10;
const COUNT: u64 = 1500;

/// The first worker sends `COUNT` blocks to each of `targets`, alternating, and then drops `sent`.
fn send(built: Process, targets: Range<usize>, sent: Sender<()>) {
    let sent = Mutex::new(Some(sent));
    let guards = initialize_from(built.0, built.1, move |mut allocator| {
        let (mut senders, _receiver) = allocator.allocate::<Block>(0);
        if allocator.index() == 0 {
            let _sent = sent.lock().unwrap().take();
            for seq in 0..COUNT {
                for sender in &mut senders[targets.clone()] {
                    sender.send(Block { seq, words: WORDS });
                }
            }
            allocator.release();
        }
    });
    assert!(guards.unwrap().join().iter().all(Result::is_ok));
}

/// All workers of a process take what was sent to them, once `go` is dropped.
fn receive(built: Process, go: Receiver<()>) {
    let go = Mutex::new(go);
    let guards = initialize_from(built.0, built.1, move |mut allocator| {
        let (_senders, mut receiver) = allocator.allocate::<Block>(0);
        assert!(go.lock().unwrap().recv().is_err());
        let mut next = 0;
        while next < COUNT {
            allocator.receive();
            while let Some(Block { seq, words }) = receiver.recv() {
                assert_eq!((seq, words), (next, WORDS));
                next += 1;
            }
        }
        next
    });
    assert!(guards.unwrap().join().iter().all(|received| *received == Ok(COUNT)));
}

fn options() -> SpillOptions {
    SpillOptions::temp().unwrap().cap(4 << 20)
}

fn spilled(monitor: &SpillMonitor) {
    let snapshot = monitor.snapshot();
    assert!(snapshot.spilled_bytes > 80 << 20 && snapshot.fetched_bytes > 80 << 20, "{snapshot:?}");
    assert!(snapshot.unwritten_peak < 9 << 20, "{snapshot:?}");
    assert!(monitor.error().is_none());
}

#[test]
fn what_came_from_the_network_waits_on_the_disk_of_a_withheld_receiver() {
    within(120, || {
        // Both ports are free a moment before they are used.
        let listeners = [TcpListener::bind("localhost:0").unwrap(), TcpListener::bind("localhost:0").unwrap()];
        let addresses: Vec<String> = listeners.iter().map(|one| one.local_addr().unwrap().to_string()).collect();
        drop(listeners);
        let start = move |process: usize| {
            let configuration = CommunicationConfig::Cluster {
                threads: 2,
                process,
                addresses: addresses.clone(),
                report: false,
                zerocopy: true,
            };
            build(configuration, options()).unwrap()
        };
        let second = start.clone();
        let (go, withheld) = channel();
        let (monitor, monitors) = channel();
        let receiver = thread::spawn(move || {
            let built = second(1);
            monitor.send(built.monitor).unwrap();
            receive((built.builders, built.others), withheld);
        });
        let built = start(0);
        let (sent, all_sent) = channel();
        let sender = thread::spawn(move || send((built.builders, built.others), 2..4, sent));
        assert!(all_sent.recv().is_err());
        let monitor: SpillMonitor = monitors.recv().unwrap();
        until("all has arrived and is written", || {
            let snapshot = monitor.snapshot();
            // But the tail of each queue, and small ones that wait for more.
            snapshot.handed_entries >= 2 * COUNT - 10 && snapshot.unwritten_bytes == 0
        });
        drop(go);
        receiver.join().unwrap();
        sender.join().unwrap();
        spilled(&monitor);
    });
}

#[test]
fn what_a_network_does_not_take_waits_on_the_disk_of_the_sender() {
    within(120, || {
        let (here, there) = UnixStream::pair().unwrap();
        let start = |sockets, process| {
            let threads = 1;
            let (hooks, monitor) = hooks(&options()).unwrap();
            let workers = ProcessBuilder::new_bytes_vector(threads, hooks.refill.clone(), hooks.spill.clone());
            let (builders, guard) =
                initialize_networking_from_sockets(workers, sockets, process, threads, hooks).unwrap();
            let built: Process = (builders.into_iter().map(AllocatorBuilder::Tcp).collect(), Box::new(guard));
            (built, monitor)
        };
        let (built, monitor) = start(vec![None, Some(here)], 0);
        let (sent, all_sent) = channel();
        let sender = thread::spawn(move || send(built, 1..2, sent));
        // The other process does not even exist before all has been sent.
        assert!(all_sent.recv().is_err());
        until("all is written", || monitor.snapshot().unwritten_bytes == 0);
        let (built, _) = start(vec![Some(there), None], 1);
        let (go, withheld) = channel();
        drop(go);
        receive(built, withheld);
        sender.join().unwrap();
        spilled(&monitor);
    });
}
