//! `kill -9` in the middle, again and again.

use std::io::{BufRead, BufReader, Write};

use crate::harness::{Bench, Running, frames, wait_until};
use crate::reader::{self, read};

const FRAME: usize = 128 * 256 * 2;
const ROW: u64 = 8;

#[test]
fn what_readers_saw_is_there_after_a_kill_and_the_recording_goes_on() {
    let bench = Bench::new();
    let mut next = 0;
    for round in 0..6u64 {
        let args = match round {
            0 => "--shape t,128,256 --dtype uint16 --chunk 4,64,64 --shard 8,128,128",
            _ => "--resume",
        };
        let mut running = Running::start(bench.command(args));
        let mut line = String::new();
        BufReader::new(running.child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
        if round > 0 {
            assert!(line.starts_with(&format!("forebay: resuming at frame {next} of out.zarr: ")), "{line}");
        }
        let Running { mut child, mut stdin } = running;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // Until it dies.
                for frame in next.. {
                    let frame = frames(frame, frame + 1, FRAME);
                    // In pieces that end anywhere.
                    if frame.chunks(50_000).any(|piece| stdin.write_all(piece).is_err()) {
                        return;
                    }
                }
            });
            // A while after a row, but never at the same place.
            let seen = next + ROW * (1 + round % 3);
            wait_until("rows of shards", || reader::frames(&bench.out()) >= seen);
            child.kill().unwrap();
            child.wait().unwrap();
        });
        next = reader::frames(&bench.out());
        assert!(next > 0);
        let seen = read(&bench.out());
        assert_eq!(seen.shape[0], next);
        assert!(seen.bytes == frames(0, next, FRAME), "round {round}: the {next} frames are not those that came");
    }
    bench.record("--resume", &frames(next, next + 5, FRAME)).well();
    assert!(read(&bench.out()).bytes == frames(0, next + 5, FRAME));
}
