//! `--copy-devices` and `--write-devices`: what is on devices goes into files, and files onto devices. The devices are loop
//! devices of files of the test.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::Bench;
use crate::tree::touch;

/// Bytes of each device.
const SIZE: usize = 300 << 10;

/// A loop device of a file.
struct Loop {
    name: String,
    file: PathBuf,
}

impl Loop {
    /// Of a new file with `content`.
    fn of(file: PathBuf, content: &[u8]) -> Self {
        fs::write(&file, content).unwrap();
        let output = Command::new("losetup").args(["-f", "--show"]).arg(&file).output().unwrap();
        assert!(output.status.success(), "no loop device: {output:?}");
        Loop { name: String::from_utf8(output.stdout).unwrap().trim().to_owned(), file }
    }

    /// Makes a node of it at `path`.
    fn node(&self, path: &Path) {
        let rdev = fs::metadata(&self.name).unwrap().rdev();
        let (major, minor) = ((rdev >> 8 & 0xfff).to_string(), (rdev & 0xff | rdev >> 12 & 0xf_ff00).to_string());
        let made = Command::new("mknod").arg(path).args(["b", &major, &minor]).status();
        assert!(made.unwrap().success());
        touch(path, "@1000000000");
    }

    /// What is on it, once that has reached the file.
    fn content(&self) -> Vec<u8> {
        File::open(&self.name).unwrap().sync_all().unwrap();
        fs::read(&self.file).unwrap()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["-d", &self.name]).status();
    }
}

fn bytes(seed: u8) -> Vec<u8> {
    (0..SIZE).map(|i| (i as u8).wrapping_mul(31).wrapping_add((i >> 8) as u8 ^ seed)).collect()
}

#[test]
fn what_a_device_holds_becomes_a_file() {
    let bench = Bench::new();
    let device = Loop::of(bench.src().with_file_name("image"), &bytes(1));
    let src = format!("{}/", bench.src().display());
    fs::write(bench.src().join("f"), "beside it").unwrap();
    touch(&bench.src().join("f"), "@1000000000");
    device.node(&bench.src().join("dev"));
    // Such a file is always of now, so that times are not to be compared.
    for options in ["-rlpi -@9999", "-ain", "-aiS -@9999", "-aic -@9999", "-ai --no-W", "-ai --stats", "-aiH -@9999"] {
        for place in bench.places() {
            let _ = fs::remove_dir_all(place.join("dst"));
        }
        let args: Vec<&str> = options.split(' ').chain(["--copy-devices", &src, "dst"]).collect();
        bench.same(&args);
        if options.contains('@') {
            bench.same(&args);
        }
    }
    for place in bench.places() {
        assert!(fs::read(place.join("dst/dev")).unwrap() == bytes(1));
    }
}

#[test]
fn a_file_is_written_onto_a_device() {
    let bench = Bench::new();
    let images = ["theirs", "ours"].map(|name| bench.src().with_file_name(name));
    let devices = images.map(|image| Loop::of(image, &bytes(2)));
    let [theirs, ours] = &devices;
    for (place, device) in bench.places().iter().zip(&devices) {
        fs::create_dir(place.join("dst")).unwrap();
        device.node(&place.join("dst/dev"));
    }
    // The two are told by other numbers, so that only what is said and what is on them is compared.
    let run = |options: &str, content: &[u8]| {
        fs::write(bench.src().join("dev"), content).unwrap();
        touch(&bench.src().join("dev"), "@1100000000");
        let src = format!("{}/", bench.src().display());
        let args: Vec<&str> = options.split(' ').chain(["--write-devices", &src, "dst"]).collect();
        let did = bench.did(&args);
        let [mut expected, mut got] = did;
        if expected.code == Some(11) {
            // What is said of the file that fails is not comparable.
            (expected.lines, got.lines) = <_>::default();
        }
        assert_eq!(got, expected, "{options}");
        let (theirs, ours) = (theirs.content(), ours.content());
        assert!(ours == theirs, "{options}: other bytes are on the device");
        for place in bench.places() {
            assert!(place.join("dst/dev").metadata().unwrap().rdev() != 0, "{options}: it is no device any more");
        }
        (ours, got.code)
    };
    assert!(run("-rti", &bytes(3)).0 == bytes(3));
    assert!(run("-rtin", &bytes(4)).0 == bytes(3));
    assert!(run("-rtin --write-devices", &bytes(3)).0 == bytes(3));
    assert!(run("-aic", &bytes(4)).0 == bytes(4));
    assert!(run("-rtiI --no-W", &bytes(5)).0 == bytes(5));
    // The rest of it stays.
    let (now, _) = run("-rti", &bytes(6)[..70_000]);
    assert!(now[..70_000] == bytes(6)[..70_000] && now[70_000..] == bytes(5)[70_000..]);
    // More does not go onto it.
    assert_eq!(run("-rti", &[1; SIZE + 1]).1, Some(11));
}
