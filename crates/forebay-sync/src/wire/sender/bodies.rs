//! `Bodies`: the memory of answers, which is used again and again. What allocators are given back they give back to the system,
//! and every page that comes from there is a fault.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes that are kept at most, beside the budget.
const KEPT: usize = 4 << 20;

#[derive(Debug, Default)]
pub(crate) struct Bodies(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    bodies: Vec<Vec<u8>>,
    bytes: usize,
}

impl Bodies {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty one with room for so many bytes, and not for many more: the budget pays for all of it.
    pub(super) fn take(&self, len: usize) -> Vec<u8> {
        let mut kept = self.lock();
        let body = kept.bodies.pop();
        kept.bytes -= body.as_ref().map_or(0, Vec::capacity);
        drop(kept);
        let fits = |body: &Vec<u8>| (len..=len.saturating_mul(2)).contains(&body.capacity());
        body.filter(fits).unwrap_or_else(|| Vec::with_capacity(len))
    }

    /// Takes one back that has been sent.
    pub(super) fn give(&self, mut body: Vec<u8>) {
        body.clear();
        let mut kept = self.lock();
        if kept.bytes + body.capacity() <= KEPT {
            kept.bytes += body.capacity();
            kept.bodies.push(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_used_again_where_it_fits() {
        let bodies = Bodies::default();
        let mut body = bodies.take(1000);
        body.extend_from_slice(&[1; 1000]);
        let at = body.as_ptr();
        bodies.give(body);
        let again = bodies.take(900);
        assert!(again.is_empty() && again.as_ptr() == at);
        bodies.give(again);
        assert!(bodies.take(100).capacity() < 1000, "more is paid for than is needed");
        assert_eq!(bodies.lock().bytes, 0);
        (0..10).for_each(|_| bodies.give(Vec::with_capacity(KEPT / 4)));
        let kept = bodies.lock();
        assert_eq!((kept.bodies.len(), kept.bytes), (4, KEPT));
    }
}
