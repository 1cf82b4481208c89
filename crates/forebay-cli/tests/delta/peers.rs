//! Each program reads what the other one writes.

use crate::harness::{FOREBAY, Place, RDIFF, noise, pairs};

/// The options of a signature, in rdiff's words and in ours.
const KINDS: [&[&str]; 7] = [
    &[],
    &["-H", "md4"],
    &["-R", "rollsum"],
    &["-H", "md4", "-R", "rollsum"],
    &["-b", "1000", "-S", "8"],
    &["-S", "-1"],
    &["-b", "4096", "-H", "md4", "-R", "rollsum", "-S", "-1"],
];

#[test]
fn signatures_are_the_same_byte_by_byte() {
    for (name, basis, _) in pairs() {
        let place = Place::new();
        place.write("basis", &basis);
        for kind in KINDS {
            for (program, file) in [(FOREBAY, "ours"), (RDIFF, "theirs")] {
                place.done(program, &[&["signature", "-f"], kind, &["basis", file]].line_for(program));
            }
            assert!(place.read("ours") == place.read("theirs"), "{name} {kind:?}");
        }
        // Of a stream, whose length nobody knows.
        for kind in [&[][..], &["-S", "-1"]] {
            let [ours, theirs] = [FOREBAY, RDIFF]
                .map(|program| place.piped(program, &[&["signature"], kind, &["-", "-"]].line_for(program), &basis));
            assert!(ours == theirs, "{name} {kind:?}, piped");
        }
    }
}

/// rdiff wants its options before the command.
trait Arguments<'a> {
    fn line_for(&self, program: &str) -> Vec<&'a str>;
}

impl<'a, const N: usize> Arguments<'a> for [&[&'a str]; N] {
    fn line_for(&self, program: &str) -> Vec<&'a str> {
        let mut all = self.concat();
        if program == RDIFF {
            let files = all.len() - 2;
            all[..files].rotate_left(1);
        }
        all
    }
}

#[test]
fn deltas_and_patches_of_both_fit_together() {
    for (name, basis, new) in pairs() {
        let place = Place::new();
        place.write("basis", &basis);
        place.write("new", &new);
        for kind in KINDS {
            let args = [&["signature", "-f"], kind, &["basis", "signature"]].line_for(RDIFF);
            place.done(RDIFF, &args);
            let mut sizes = Vec::new();
            for maker in [FOREBAY, RDIFF] {
                let args = [&["delta", "-f"][..], &["signature", "new", "delta"]];
                let args = if maker == RDIFF {
                    [args[0].iter().rev().copied().collect(), args[1].to_vec()].concat()
                } else {
                    args.concat()
                };
                place.done(maker, &args);
                sizes.push(place.read("delta").len());
                for patcher in [FOREBAY, RDIFF] {
                    let [command, force] = if patcher == RDIFF { ["-f", "patch"] } else { ["patch", "-f"] };
                    place.done(patcher, &[command, force, "basis", "delta", "rebuilt"]);
                    assert!(place.read("rebuilt") == new, "{name} {kind:?}: {maker} to {patcher}");
                }
            }
            // Where segments of a MiB meet, less than a block each may be lost if blocks repeat, as they do in a program.
            let (ours, theirs, meet) = (sizes[0], sizes[1], new.len() >> 20);
            assert!(
                ours <= theirs + theirs / 50 + 4096 * meet.max(1),
                "{name} {kind:?}: {ours} bytes, rdiff's {theirs}"
            );
        }
    }
}

#[test]
fn pipes_do_as_well_as_files() {
    let place = Place::new();
    let (basis, mut new) = (noise(20_000_000, 1), noise(20_000_000, 1));
    new.splice(3_000_000..3_000_000, *b"some bytes more");
    place.write("basis", &basis);
    let signature = place.piped(FOREBAY, &["signature"], &basis);
    place.write("signature", &signature);
    let delta = place.piped(FOREBAY, &["delta", "signature"], &new);
    assert!(delta.len() < 50_000, "{}", delta.len());
    place.write("new", &new);
    let other = place.piped(FOREBAY, &["delta", "-", "new", "-"], &signature);
    assert!(delta == other);
    assert!(place.piped(FOREBAY, &["patch", "basis"], &delta) == new);
    assert!(place.piped(RDIFF, &["patch", "basis"], &delta) == new);
}

#[test]
fn long_files_are_worked_on_by_several_threads() {
    let place = Place::new();
    let basis = noise(40_000_000, 1);
    let mut new = basis.clone();
    (0..400).for_each(|n| new[n * 100_000] ^= 1);
    place.write("basis", &basis);
    place.write("new", &new);
    let run = |args: &[&str]| {
        let (_, text) = place.done(FOREBAY, args);
        assert!(text.contains("2 workers used"), "{args:?}: {text}");
        text
    };
    run(&["signature", "--stats", "-w2", "basis", "signature"]);
    let text = run(&["delta", "--stats", "-w2", "--memory", "32M", "signature", "new", "delta"]);
    assert!(text.contains("false alarms") && text.contains("blocks found"), "{text}");
    run(&["patch", "-s", "-w2", "basis", "delta", "rebuilt"]);
    assert!(place.read("rebuilt") == new);
}
