//! A disk that is full, and one that stands still.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Bench, Did, Running, end, feed, frames, is_root, wait_until};
use crate::reader::{self, read};

const ARGS: &str = "--shape t,256,256 --dtype uint16 --chunk 4,64,64 --shard 8,256,256";
const FRAME: usize = 256 * 256 * 2;

/// A file system, for as long as this lives.
struct Mounted(PathBuf);

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Mounted {
    /// In memory, of `size`.
    fn small(path: &Path, size: &str) -> Self {
        assert!(is_root(), "this test mounts a file system and needs root");
        fs::create_dir_all(path).unwrap();
        run("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "none", path.to_str().unwrap()]);
        Mounted(path.to_owned())
    }

    /// In a file, so that it can be frozen.
    fn disk(bench: &Bench) -> Self {
        assert!(is_root(), "this test mounts a file system and needs root");
        let (image, path) = (bench.path("image"), bench.path("disk"));
        File::create(&image).unwrap().set_len(256 << 20).unwrap();
        fs::create_dir(&path).unwrap();
        run("mkfs.ext4", &["-q", image.to_str().unwrap()]);
        run("mount", &["-o", "loop", image.to_str().unwrap(), path.to_str().unwrap()]);
        Mounted(path)
    }

    fn freeze(&self) {
        run("fsfreeze", &["-f", self.0.to_str().unwrap()]);
    }

    fn thaw(&self) {
        run("fsfreeze", &["-u", self.0.to_str().unwrap()]);
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("fsfreeze").arg("-u").arg(&self.0).stderr(Stdio::null()).status();
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_ends_the_recording_and_what_was_there_stays() {
    let bench = Bench::new();
    let disk = Mounted::small(&bench.path("small"), "4m");
    let out = disk.0.join("out.zarr");
    let input = frames(0, 80, FRAME);
    let did = feed(bench.command_to(&format!("{ARGS} --codec none"), &out), &input);
    let line = did.failed(1);
    assert!(
        line.contains("No space left on device (os error 28): make room there and go on with --resume; "),
        "{line}"
    );
    let safe = reader::frames(&out);
    assert!(safe >= 8 && line.contains(&format!("; {safe} frames are safe in ")), "{safe}: {line}");
    assert_eq!(read(&out).bytes, input[..safe as usize * FRAME]);
    run("mount", &["-o", "remount,size=64m", disk.0.to_str().unwrap()]);
    feed(bench.command_to("--resume", &out), &input[safe as usize * FRAME..]).well();
    assert!(read(&out).bytes == input);
}

/// Feeds `count` frames to a program whose disk stands still from the first row until nothing more is taken, and says
/// how it ended, and what is in the array if that is all of them.
fn stall(args: &str, count: u64) -> (Did, Option<Vec<u8>>) {
    let bench = Bench::new();
    let disk = Mounted::disk(&bench);
    fs::create_dir(bench.path("spill")).unwrap();
    let out = disk.0.join("out.zarr");
    let Running { child, mut stdin } =
        Running::start(bench.command_to(&format!("{ARGS} --spill-dir spill --stats {args}"), &out));
    stdin.write_all(&frames(0, 8, FRAME)).unwrap();
    wait_until("the first row", || reader::frames(&out) == 8);
    disk.freeze();
    let taken = AtomicU64::new(8);
    let did = std::thread::scope(|scope| {
        let taken = &taken;
        scope.spawn(move || {
            while let frame = taken.load(Ordering::Relaxed)
                && frame < count
                && stdin.write_all(&frames(frame, frame + 1, FRAME)).is_ok()
            {
                taken.store(frame + 1, Ordering::Relaxed);
            }
        });
        let (mut before, mut since) = (0, Instant::now());
        wait_until("no more is taken", || {
            let now = taken.load(Ordering::Relaxed);
            if now != before {
                (before, since) = (now, Instant::now());
            }
            now == count || since.elapsed() > Duration::from_secs(3)
        });
        disk.thaw();
        end(child)
    });
    (did, (reader::frames(&out) == count).then(|| read(&out).bytes))
}

#[test]
fn a_disk_that_stands_still_costs_disk_and_no_frame() {
    let (did, bytes) = stall("--codec none", 600);
    let did = did.well();
    assert!(bytes.expect("all frames") == frames(0, 600, FRAME));
    let spilled = did.out.lines().find(|line| line.starts_with("forebay: spilled ")).unwrap();
    assert!(!spilled.starts_with("forebay: spilled 0 "), "{spilled}");
    assert!(!spilled.contains("; reloaded 0 "), "{spilled}");
}

#[test]
fn what_may_be_spilled_is_bounded_and_the_end_is_said() {
    let (did, _) = stall("--codec none --spill-limit 4M", 600);
    let line = did.failed(1);
    assert!(line.contains("is too slow for the frames, and nothing more can be spilled: "), "{line}");
    assert!(line.contains("--spill-limit") && line.contains(" frames are safe in "), "{line}");
}
