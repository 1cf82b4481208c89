//! [`Line`]: whoever waits to become the head.

use loom::thread;

use super::model;
use crate::budget::Budget;
use crate::line::Line;
use crate::sync::Arc;

/// Whoever waits to become the head is woken by the delivery that makes it the head, also when another waits for
/// another number.
#[test]
fn loom_who_waits_for_the_head_is_woken() {
    model(3, || {
        let line = Arc::new(Line::new(&Budget::new(1).consumer("line", 0).unwrap()));
        let [first, second] = [1, 2].map(|seq| {
            let line = Arc::clone(&line);
            thread::spawn(move || {
                loop {
                    let listener = line.room.listen();
                    line.await_head(seq);
                    if line.is_head(seq) {
                        return;
                    }
                    listener.wait();
                }
            })
        });
        line.advance(1);
        first.join().unwrap();
        line.advance(1);
        second.join().unwrap();
    });
}
