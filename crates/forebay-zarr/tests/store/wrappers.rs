//! Stores that are slow, or stop.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay_zarr::Store;
use forebay_zarr::store::{Discard, Stalling, Throttled};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_throttled_store_takes_its_time_for_all_shards_together() {
    let store = Throttled::new(Discard::new(), 1 << 20);
    let start = Instant::now();
    let (mut one, mut other) = (store.begin("c/0").unwrap(), store.begin("c/1").unwrap());
    for _ in 0..4 {
        one.write(&[Bytes::from(vec![0; 32 << 10])]).unwrap();
        other.write(&[Bytes::from(vec![0; 32 << 10])]).unwrap();
    }
    assert!(start.elapsed() >= Duration::from_millis(250), "a quarter of a megabyte at one a second");
}

#[test]
fn nothing_comes_back_from_a_stalled_store_until_it_goes_on() {
    let discard = Arc::new(Discard::new());
    let (store, stall) = Stalling::new(Arc::clone(&discard));
    let mut shard = store.begin("c/0").unwrap();
    stall.stall();
    thread::scope(|scope| {
        scope.spawn(|| {
            shard.write(&[Bytes::from_static(b"one")]).unwrap();
            shard.land().unwrap();
        });
        scope.spawn(|| store.put("zarr.json", b"{}").unwrap());
        assert!(stall.waited_more_than(1, LONG), "both wait");
        assert_eq!((discard.bytes(), discard.shards(), discard.size("zarr.json").unwrap()), (0, 0, None));
        assert!(!stall.waited_more_than(2, Duration::ZERO));
        stall.go_on();
    });
    assert_eq!((discard.bytes(), discard.shards(), discard.size("zarr.json").unwrap()), (3, 1, Some(2)));
    assert_eq!(stall.waits(), 2, "calls that did not have to wait are not counted");
}

#[test]
fn a_stall_for_some_time_ends_by_itself() {
    let (store, stall) = Stalling::new(Discard::new());
    let start = Instant::now();
    stall.stall_for(Duration::from_millis(50));
    drop(stall);
    store.put("zarr.json", b"{}").unwrap();
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[test]
fn a_stall_that_nobody_could_end_any_more_is_over() {
    let (store, stall) = Stalling::new(Discard::new());
    stall.stall();
    drop(stall);
    store.put("zarr.json", b"{}").unwrap();
}
