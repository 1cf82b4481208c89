//! [`Delivery`]: order, slots, a sink that fails, a delivery that is dropped.

use loom::thread;

use super::{await_flag, model};
use crate::delivery::{Delivery, DeliveryError};
use crate::event::Event;
use crate::sync::{Arc, AtomicBool, Ordering};

/// Jobs go out in order, and a slot comes back with what was delivered with it last.
#[test]
fn loom_jobs_are_delivered_in_order_and_their_slots_come_back() {
    for slots in [1, 2] {
        model(2, move || {
            let delivered = Arc::new(std::sync::atomic::AtomicU32::new(0));
            let last = Arc::clone(&delivered);
            let sink = move |job: &mut u32| {
                thread::yield_now();
                assert_eq!(last.swap(*job, Ordering::Relaxed) + 1, *job);
                Ok::<_, ()>(())
            };
            let mut delivery = Delivery::start("delivery", vec![0; slots], sink).unwrap();
            for number in 1..=3 {
                let mut job = delivery.fill().unwrap();
                assert!(*job <= delivered.load(Ordering::Relaxed), "job {} is not delivered", *job);
                *job = number;
                delivery.enqueue(job, 1).unwrap();
            }
            let monitor = delivery.monitor();
            delivery.finish().unwrap();
            let seen = monitor.snapshot();
            assert_eq!((seen.jobs, seen.queued_jobs, seen.queued_bytes), (3, 0, 0));
        });
    }
}

/// The call in progress is waited for, the job behind it is delivered or dropped, and nothing comes later.
#[test]
fn loom_a_delivery_dropped_in_mid_stream_ends_with_the_call_in_progress() {
    model(3, || {
        let calls = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let jobs = Arc::new(());
        let counter = Arc::clone(&calls);
        let sink = move |_: &mut Arc<()>| {
            thread::yield_now();
            counter.fetch_add(1, Ordering::Relaxed);
            Ok::<_, ()>(())
        };
        let mut delivery = Delivery::start("delivery", vec![Arc::clone(&jobs), Arc::clone(&jobs)], sink).unwrap();
        for _ in 0..2 {
            let job = delivery.fill().unwrap();
            delivery.enqueue(job, 1).unwrap();
        }
        drop(delivery);
        assert_eq!((Arc::strong_count(&jobs), Arc::strong_count(&calls)), (1, 1), "everything was dropped");
        assert!(calls.load(Ordering::Relaxed) <= 2);
    });
}

#[test]
fn loom_an_error_ends_a_producer_that_waits_for_a_slot() {
    model(3, || {
        let sink = |job: &mut u32| if *job == 1 { Err("full") } else { Ok(()) };
        let mut delivery = Delivery::start("delivery", vec![1, 2], sink).unwrap();
        let [one, two] = [(); 2].map(|()| delivery.fill().unwrap());
        let (first, second) = if *one == 1 { (one, two) } else { (two, one) };
        delivery.enqueue(first, 1).unwrap();
        let queued = delivery.enqueue(second, 1).is_ok();
        assert!(matches!(delivery.fill(), Err(DeliveryError::Sink(error)) if *error == "full"), "{queued}");
        assert!(matches!(delivery.drain(), Err(DeliveryError::Sink(_))), "it is sticky");
        assert_eq!(delivery.monitor().snapshot().queued_jobs, 0);
    });
}

/// What is dropped unfilled on another thread ends the wait of the producer, whose oldest job is withheld meanwhile.
#[test]
fn loom_a_slot_given_back_elsewhere_is_given_out() {
    model(2, || {
        let given_out = Arc::new((Event::new(), AtomicBool::new(false)));
        let withheld = Arc::clone(&given_out);
        let sink = move |_: &mut u32| {
            await_flag(&withheld.0, &withheld.1);
            Ok::<_, ()>(())
        };
        let mut delivery = Delivery::start("delivery", vec![0, 0], sink).unwrap();
        let [one, two] = [(); 2].map(|()| delivery.fill().unwrap());
        delivery.enqueue(one, 1).unwrap();
        let other = thread::spawn(move || drop(two));
        let again = delivery.fill().unwrap();
        given_out.1.store(true, Ordering::Relaxed);
        given_out.0.notify();
        delivery.enqueue(again, 1).unwrap();
        delivery.finish().unwrap();
        other.join().unwrap();
    });
}
