//! Two processes of a cluster, here threads with sockets between them.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use forebay::{Budget, Pager, SegmentStore};
use forebay_exchange::hooks::{SpillMonitor, SpillOptions, hooks};
use forebay_exchange::{
    Changes, Cluster, ClusterOptions, Exchange, ExchangeMonitor, ExchangeOptions, Runtime, Sealed, ShardAccumulate,
    execute, intake, source,
};
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Operator;

use crate::engine::{Gate, until, within};
use crate::support::{Rows, Sums, model, noise};

const PARTS: u64 = 60;

fn rows(part: u64) -> Rows {
    noise(part).take(20_000).map(|key| (key % 300_000, (), 1)).collect()
}

/// One process with one worker. The first has all the rows; the second's worker is held in an operator by `gate`.
fn process(
    listeners: Arc<Vec<TcpListener>>,
    me: usize,
    window: usize,
    gate: Gate,
    sums: Arc<Mutex<Sums>>,
    watch: impl FnOnce(SpillMonitor, ExchangeMonitor),
) {
    let hosts = listeners.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect();
    let listener = Some(listeners[me].try_clone().unwrap());
    let cluster = Cluster::connect(ClusterOptions { listener, ..ClusterOptions::new(hosts, me) }).unwrap();
    let budget = Budget::new(8 << 20);
    let store = Arc::new(SegmentStore::temp().unwrap());
    let (hooks, queues) = hooks(&SpillOptions::new(Arc::clone(&store)).cap(2 << 20)).unwrap();
    let options = ExchangeOptions::new(&budget, Some(Pager::new(store, false).unwrap())).window(window);
    let (failure, monitor) = (options.failure().clone(), options.monitor());
    let (sender, intake) = intake::<Rows>();
    let intake = Mutex::new(Some(intake));
    let feeding = thread::spawn(move || match me {
        0 => (0..PARTS).for_each(|part| sender.send(0, rows(part), None).unwrap()),
        _ => sender.send(0, Rows::new(), None).unwrap(),
    });
    watch(queues, monitor);
    let runtime = Runtime::Cluster { cluster: &cluster, workers: 1, hooks };
    execute(runtime, &failure, move |worker| {
        let exchange = Exchange::new(&options, worker).unwrap();
        let (shut, intake) = (exchange.gate(), intake.lock().unwrap().take().unwrap());
        let (held, sums) = (gate.clone(), Arc::clone(&sums));
        worker.dataflow::<u64, _, _>(|scope| {
            let convert = move |rows: Rows, out: &mut Changes<u64>| {
                if me == 1 {
                    held.pass();
                }
                out.extend(rows);
            };
            let batches = source(scope, &exchange, &shut, intake, convert).shard_accumulate(&exchange, &shut);
            batches.sink(Pipeline, "collect", move |(input, _)| {
                input.for_each(|_, batches: &mut Vec<Sealed<Changes<u64>>>| {
                    for batch in batches.drain(..) {
                        let mut cursor = batch.cursor().unwrap();
                        while let Some(block) = cursor.next_block().unwrap() {
                            let mut sums = sums.lock().unwrap();
                            let rows = block.iter().map(|(key, (), weight)| (*key, *weight));
                            sums.entry(batch.commit()).or_default().extend(rows);
                        }
                    }
                });
            });
        });
    })
    .unwrap();
    feeding.join().unwrap();
    cluster.close().unwrap();
}

/// Runs both; what the receiving process says when everything that is sent has been sent.
fn run(window: usize, stopped: impl Fn(&SpillMonitor, &ExchangeMonitor) + Send + 'static) {
    within(120, move || {
        let bind = || TcpListener::bind("localhost:0").unwrap();
        let listeners = Arc::new(vec![bind(), bind()]);
        let (gate, sums) = (Gate::default(), Arc::new(Mutex::new(Sums::new())));
        let (ways, came) = std::sync::mpsc::channel();
        let ends: Vec<_> = (0..2)
            .map(|me| {
                let (listeners, gate, sums, ways) =
                    (Arc::clone(&listeners), gate.clone(), Arc::clone(&sums), ways.clone());
                thread::spawn(move || {
                    let watch = move |queues, monitor| ways.send((me, queues, monitor)).unwrap();
                    process(listeners, me, window, gate, sums, watch);
                })
            })
            .collect();
        let mut monitors: Vec<_> = came.iter().take(2).collect();
        monitors.sort_by_key(|(me, _, _)| *me);
        gate.await_waiters(1);
        stopped(&monitors[1].1, &monitors[0].2);
        gate.open();
        ends.into_iter().for_each(|end| end.join().unwrap());
        let sent: Vec<_> = (0..PARTS).map(|part| (0, rows(part))).collect();
        assert!(*sums.lock().unwrap() == model(&sent));
        assert!(monitors[0].2.snapshot().rows_moved > PARTS * 20_000 / 3);
    });
}

/// The credit window is larger than the memory, so what the other process sends meanwhile waits in timely's queues, and
/// those spill.
#[test]
fn credit_beyond_the_memory_ends_in_queues_that_spill() {
    run(256 << 20, |queues, _| {
        until("much is spilled", || {
            let snapshot = queues.snapshot();
            snapshot.spilled_bytes > 6 << 20 && snapshot.unwritten_bytes == 0
        });
        assert!(queues.snapshot().unwritten_peak < 6 << 20);
    });
}

/// Credit within the memory: the sender's source parks, and nothing needs to spill in the queues.
#[test]
fn credit_within_the_memory_parks_the_source_of_another_process() {
    let window = 256 << 10;
    run(window, move |queues, sender| {
        until("nothing moves", || {
            let before = sender.snapshot().bytes_in_flight;
            thread::sleep(std::time::Duration::from_millis(200));
            before as usize >= window && sender.snapshot().bytes_in_flight == before
        });
        assert!(sender.snapshot().bytes_in_flight_most as usize <= 4 * (window + (128 << 10)));
        assert!(queues.snapshot().handed_bytes < 4 << 20);
    });
}
