//! A file that is copied in parts, by several threads.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;

use crate::harness::{Bench, FOREBAY};
use crate::tree::look;

#[test]
fn a_large_file_is_whole_and_has_its_attributes() {
    let bench = Bench::new();
    // 130 MiB and a bit, mostly a hole, with marks around the borders of parts.
    let file = File::create(bench.src().join("large")).unwrap();
    file.set_len((130 << 20) + 12_345).unwrap();
    for at in [0, (32 << 20) - 3, 32 << 20, (64 << 20) - 1, 96 << 20, (128 << 20) - 2, (130 << 20) + 12_340] {
        file.write_all_at(b"mark!", at).unwrap();
    }
    crate::tree::touch(&bench.src().join("large"), "@1000000000.123456789");
    for (workers, checksum) in [("1", false), ("3", false), ("3", true)] {
        let dst = bench.places()[1].join(format!("dst{workers}{checksum}"));
        let mut command = Command::new(FOREBAY);
        command.args(["sync", "-a", &format!("--workers={workers}")]);
        if checksum {
            // Another content of the same size and time, which only -c sees.
            fs::create_dir(&dst).unwrap();
            let other = File::create(dst.join("large")).unwrap();
            other.set_len((130 << 20) + 12_345).unwrap();
            drop(other);
            crate::tree::touch(&dst.join("large"), "@1000000000.123456789");
            command.arg("-c");
        }
        let status = command.arg(format!("{}/", bench.src().display())).arg(&dst).status().unwrap();
        assert!(status.success());
        assert!(look(&dst, true) == look(&bench.src(), true), "{workers} workers, checksum: {checksum}");
    }
}
