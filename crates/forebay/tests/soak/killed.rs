//! `kill -9` in the middle of spilling, over and over.

use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use forebay::{Budget, Pipeline, SegmentStore};

use crate::support::{Random, Tmpfs, within};

const DIR: &str = "FOREBAY_TEST_SPILL_DIR";
const SPILLING: &str = "it spills";

/// Spills for as long as it lives: 32 MiB at a time, then all of it is read back and given up.
#[test]
#[ignore = "a child of the test below"]
fn spills_until_it_is_killed() {
    let dir = std::env::var_os(DIR).unwrap();
    loop {
        let store = SegmentStore::in_dir(&dir).unwrap();
        let pipeline = Pipeline::new().workers(2).budget(&Budget::new(1 << 20)).spill(store);
        let monitor = pipeline.monitor();
        let work = |n: u64| {
            let mut told = n != 0;
            while n == 0 && monitor.snapshot().spilled_bytes < 8 << 20 {
                if !told && monitor.snapshot().spilled_bytes > 0 {
                    println!("{SPILLING}");
                    told = true;
                }
                std::thread::yield_now();
            }
            Ok(vec![n as u8; 8192])
        };
        pipeline.run((0..4096).map(Ok::<_, io::Error>), work, |_| Ok(())).unwrap();
    }
}

/// Kills the child at a random moment: of its start, or after it has begun to spill.
fn kill_one(dir: &Path, random: &mut Random) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::spills_until_it_is_killed", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Kept until the end: the child is not to fail because nobody hears it.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    if random.below(4) > 0 {
        assert!(lines.any(|line| line.contains(SPILLING)), "the child ended before it spilled");
    }
    std::thread::sleep(Duration::from_micros(random.below(60_000)));
    assert_eq!(child.try_wait().unwrap(), None, "it lives until it is killed");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Neither a name nor a byte: names are looked for in the directory for temporary files, bytes on a file system that nobody else uses.
#[test]
#[ignore = "takes a minute: cargo xtask soak"]
fn soak_kill_9_while_it_spills_leaves_nothing_on_disk() {
    within(600, || {
        let mut random = Random(0x9_f0ba);
        let dir = tempfile::tempdir().unwrap();
        for round in 0..100 {
            kill_one(dir.path(), &mut random);
            assert_eq!(dir.path().read_dir().unwrap().count(), 0, "round {round}");
        }
        let own = Tmpfs::mount("256m");
        let used = own.used();
        for round in 0..100 {
            kill_one(own.path(), &mut random);
            assert_eq!(own.path().read_dir().unwrap().count(), 0, "round {round}");
            assert_eq!(own.used(), used, "round {round}");
        }
    });
}
