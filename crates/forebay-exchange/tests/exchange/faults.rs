//! What ends a run.

use forebay::{MemoryStore, SpillStore};
use forebay_exchange::ExchangeError;

use crate::support::{Run, Setup, noise};

/// The disk is full during a spill.
#[test]
fn a_full_spill_store_ends_the_run_with_its_error() {
    let store: Box<dyn SpillStore> = Box::new(MemoryStore::new(512 << 10));
    let run = Run::start(Setup { memory: 1 << 20, store: Some(store), ..Setup::default() });
    let sender = run.senders[0].as_ref().unwrap();
    for part in 0..200 {
        if sender.send(0, noise(part).take(20_000).map(|key| (key, (), 1)).collect(), None).is_err() {
            break;
        }
    }
    let error = run.finish().0.unwrap_err();
    assert!(matches!(error, ExchangeError::Spill(_)), "{error}");
}
