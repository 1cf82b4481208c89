//! A word count on timely, ported to queues that spill: only the lines that start the workers changed.
//!
//! The receivers are slow: nobody looks at words before all of them were sent. Without the hooks they would all wait in
//! memory.
//!
//! `cargo run --release -p forebay-exchange --example port_timely -- [thousands of lines]`

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::rc::Rc;
use std::sync::Barrier;

use forebay_exchange::hooks::{Built, SpillOptions, build};
use timely::dataflow::operators::{Exchange, Inspect, Probe};
use timely::dataflow::{InputHandle, ProbeHandle};
use timely::{CommunicationConfig, WorkerConfig};

const LINE: &str = "a basin in front of a turbine: it takes what the river brings and lets it through evenly";

fn hash(word: &str) -> u64 {
    word.bytes().fold(5381, |hash, byte| hash.wrapping_mul(33) ^ u64::from(byte))
}

fn main() -> Result<(), Box<dyn Error>> {
    let thousands: usize = std::env::args().nth(1).map_or(Ok(200), |text| text.parse())?;
    let sent = Barrier::new(2);

    // Before: let guards = timely::execute(timely::Config::process(2), move |worker| {
    let spill = SpillOptions::temp()?.cap(8 << 20);
    let Built { builders, others, monitor, .. } = build(CommunicationConfig::ProcessBinary(2), spill)?;
    let guards = timely::execute::execute_from(builders, others, WorkerConfig::default(), move |worker| {
        // The program, as it was.
        let mut input = InputHandle::new();
        let probe = ProbeHandle::new();
        let counts = Rc::new(RefCell::new(BTreeMap::<String, u64>::new()));
        let counted = Rc::clone(&counts);
        worker.dataflow::<u64, _, _>(|scope| {
            input
                .to_stream(scope)
                .container::<Vec<String>>()
                .exchange(|word| hash(word))
                .inspect(move |word| *counted.borrow_mut().entry(word.clone()).or_default() += 1)
                .probe_with(&probe);
        });
        if worker.index() == 0 {
            for _ in 0..thousands * 1000 {
                LINE.split(' ').for_each(|word| input.send(word.to_owned()));
            }
            input.flush();
        }
        sent.wait();
        input.close();
        while !probe.done() {
            worker.step_or_park(None);
        }
        let counts = counts.borrow();
        (counts.len(), counts.values().sum::<u64>())
    })?;
    let results = guards.join();

    // New: a worker that cannot spill panics; here is why.
    if let Some(error) = monitor.error() {
        return Err(error.into());
    }
    for (worker, result) in results.into_iter().enumerate() {
        let (words, occurrences) = result?;
        println!("worker {worker}: {words} words, {occurrences} times");
    }
    println!("{:#?}", monitor.snapshot());
    Ok(())
}
