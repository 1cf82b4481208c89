//! A signal in the middle.

use std::io::Write;

use crate::harness::{Bench, Running, end, frames, names, wait_until};
use crate::reader::{self, read};

const ARGS: &str = "--shape t,32,48 --dtype uint16 --chunk 4,16,16 --shard 8,32,48";
const FRAME: usize = 32 * 48 * 2;

#[test]
fn the_first_signal_lands_what_is_whole() {
    for (signal, code) in [("HUP", 129), ("INT", 130), ("TERM", 143)] {
        let bench = Bench::new();
        let mut running = Running::start(bench.command(ARGS));
        let input = frames(0, 13, FRAME);
        // In one piece, smaller than what a pipe takes at once: the row that is published came with the rest.
        running.stdin.write_all(&input[..12 * FRAME + 77]).unwrap();
        wait_until("the first row", || reader::frames(&bench.out()) == 8);
        running.signal(signal);
        let stdin = running.stdin;
        let did = end(running.child);
        drop(stdin);
        let safe = reader::frames(&bench.out());
        assert!((8..=12).contains(&safe), "{safe}");
        assert_eq!(did.failed(code), format!("forebay: ended by SIG{signal}; {safe} frames are safe in out.zarr"));
        assert_eq!(read(&bench.out()).bytes, input[..safe as usize * FRAME]);
        assert_eq!(names(&bench.out()), ["c", "zarr.json"]);
    }
}
