//! A file system on which files can share what they have on disk.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{FOREBAY, Place, RDIFF, noise};

/// An XFS in a file, for as long as this lives.
struct Mounted(PathBuf);

fn run(program: &str, args: &[&Path]) {
    let output = Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Mounted {
    fn new(place: &Place) -> Self {
        let (image, path) = (place.path("image"), place.path("disk"));
        File::create(&image).and_then(|file| file.set_len(400 << 20)).expect("a file");
        fs::create_dir(&path).expect("a directory");
        run("mkfs.xfs", &["-q".as_ref(), &image]);
        run("mount", &["-o".as_ref(), "loop".as_ref(), &image, &path]);
        Mounted(path)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn what_stays_in_its_place_is_shared() {
    let place = Place::new();
    let disk = Mounted::new(&place);
    let basis = noise(8 << 20, 1);
    let mut edited = basis.clone();
    (0..20).for_each(|n| edited[n * 400_000 + 123] ^= 1);
    let shorter = edited[..5_000_001].to_vec();
    let mut moved = edited.clone();
    moved.splice(3_000_000..3_000_000, noise(12_345, 2));
    let longer = [&edited[..], &noise(100_000, 3)].concat();
    for (what, new, least) in [
        ("edited", edited, 7 << 20),
        ("shorter", shorter, 4 << 20),
        ("moved", moved, 2 << 20),
        ("longer", longer, 7 << 20),
    ] {
        place.write("disk/basis", &basis);
        place.write("new", &new);
        place.done(RDIFF, &["-f", "signature", "disk/basis", "signature"]);
        place.done(RDIFF, &["-f", "delta", "signature", "new", "delta"]);
        let (_, said) = place.done(FOREBAY, &["patch", "-f", "--stats", "disk/basis", "delta", "disk/out"]);
        assert!(place.read("disk/out") == new, "{what}");
        assert!(place.read("disk/basis") == basis, "{what}: the old file stays");
        let shared = said
            .lines()
            .find_map(|line| line.strip_suffix(" bytes shared with the old file, neither read nor written"));
        let shared = shared.expect(&said).trim_start_matches("forebay: ").replace(',', "");
        assert!(shared.parse::<usize>().expect("a number") > least, "{what}: {said}");
        // Onto itself, and to where nothing can be shared.
        let (_, said) = place.done(FOREBAY, &["patch", "-f", "--stats", "disk/basis", "delta", "out"]);
        assert!(place.read("out") == new && !said.contains("shared"), "{what}: {said}");
        place.done(FOREBAY, &["patch", "-f", "disk/basis", "delta", "disk/basis"]);
        assert!(place.read("disk/basis") == new, "{what}");
    }
    // A delta of a longer file says so here, too.
    fs::write(disk.0.join("basis"), &basis[..1 << 20]).expect("a file");
    let output = place.run(FOREBAY, &["patch", "-f", "disk/basis", "delta", "disk/out"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && text.contains("before it should: it may be another file"), "{text}");
}
