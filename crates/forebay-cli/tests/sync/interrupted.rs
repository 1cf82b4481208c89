//! A signal in the middle of a large file.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Bench, FOREBAY};

#[test]
fn a_signal_leaves_the_old_file_and_no_temporary_one() {
    for (signal, workers) in [("INT", "1"), ("TERM", "4"), ("HUP", "2")] {
        let bench = Bench::new();
        let [_, place] = bench.places();
        File::create(bench.src().join("large")).unwrap().set_len(20 << 30).unwrap();
        let dst = place.join("dst");
        fs::create_dir(&dst).unwrap();
        fs::write(dst.join("large"), "old").unwrap();
        let child = Command::new(FOREBAY)
            .args(["sync", "-a", &format!("--workers={workers}")])
            .arg(format!("{}/", bench.src().display()))
            .arg(&dst)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while fs::read_dir(&dst).unwrap().count() < 2 {
            assert!(Instant::now() < deadline, "no temporary file appears");
            std::thread::yield_now();
        }
        let killed = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(20), "{errors}");
        assert!(errors.contains("rsync error: received SIGINT, SIGTERM, or SIGHUP (code 20) at "), "{errors}");
        let left: Vec<_> = fs::read_dir(&dst).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["large"]);
        assert_eq!(fs::read(dst.join("large")).unwrap(), b"old");
    }
}
