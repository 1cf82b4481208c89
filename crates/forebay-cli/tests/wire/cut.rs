//! Connections that end within: nobody hangs, and no file appears that is not whole.

use std::fs;
use std::path::Path;

use crate::harness::{Bench, End, SHELL, WAYS, finish};
use crate::tree::Rng;

/// Every file of `place` is one of the source, and whole.
fn is_whole(place: &Path, src: &Path) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(place).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        assert_eq!(fs::read(entry.path()).unwrap(), fs::read(src.join(&name)).unwrap(), "{name:?}");
        files += 1;
    }
    files
}

/// A remote shell whose connection ends after `bytes` bytes.
fn cut(rng: &mut Rng, bytes: u64) -> String {
    match rng.below(2) {
        // What the client says ends.
        0 => format!(
            "shift\nexec 3<&0\npipe=$(mktemp -u)\nmkfifo $pipe\nstdbuf -o0 head -c {bytes} <&3 3<&- >$pipe &\n\
             sh -c \"$*\" <$pipe 3<&-\ncode=$?\nkill -KILL $! 2>/dev/null\nrm $pipe\nexit $code\n"
        ),
        // The other side is killed.
        _ => format!(
            "shift\nexec 3<&0\npipe=$(mktemp -u)\nmkfifo $pipe\nsh -c \"exec $*\" <&3 3<&- >$pipe &\n\
             stdbuf -o0 head -c {bytes} <$pipe\nkill -KILL $! 2>/dev/null\nrm $pipe\nwait $!\n"
        ),
    }
}

#[test]
fn a_connection_that_is_cut_leaves_whole_files_alone() {
    let bench = Bench::new();
    (0..40_u8).for_each(|n| fs::write(bench.src().join(n.to_string()), vec![n; 20_000]).unwrap());
    let mut rng = Rng::new(7);
    let (mut least, mut most) = (usize::MAX, 0);
    for (round, way) in (0..4).flat_map(|round| WAYS.map(|way| (round, way))) {
        for pair in crate::harness::PAIRS {
            let bytes = rng.below(900_000);
            let script = cut(&mut rng, bytes);
            bench.script("rsh", &script);
            bench.prepare("ours");
            let output = finish(bench.client(pair, way, &["-a"], "ours"));
            let code = output.status.code();
            // What is cut behind the last byte is not missed.
            assert!(matches!(code, Some(0 | 10..=14 | 23 | 30 | 137)), "{round} {pair:?} {way:?} {script}: {output:?}");
            let files = is_whole(&bench.path("ours"), &bench.src());
            assert!(code != Some(0) || files == 40, "{round} {pair:?} {way:?}: {files}");
            (least, most) = (least.min(files), most.max(files));
        }
    }
    assert!(least < 20 && most == 40, "{least} {most}");
}

#[test]
fn what_is_kept_of_a_file_after_a_cut_is_a_beginning_of_it() {
    const LEN: u64 = 3_000_000;
    let bench = Bench::new();
    let mut rng = Rng::new(23);
    let content: Vec<u8> = (0..LEN).map(|_| rng.below(256) as u8).collect();
    fs::write(bench.src().join("file"), &content).unwrap();
    let mut kept = 0;
    for (round, way) in (0..3).flat_map(|round| WAYS.map(|way| (round, way))) {
        for pair in crate::harness::PAIRS {
            let bytes = rng.below(LEN);
            let script = cut(&mut rng, bytes);
            bench.script("rsh", &script);
            bench.prepare("ours");
            let output = finish(bench.client(pair, way, &["-a", "--partial"], "ours"));
            let file = bench.path("ours/file");
            // The process that writes may have been killed with what it had under another name.
            let begun = fs::read(&file).unwrap_or_default();
            assert!(content.starts_with(&begun), "{round} {pair:?} {way:?} {script}: {} {output:?}", begun.len());
            kept += u64::from(!begun.is_empty() && begun.len() < content.len());
            bench.script("rsh", SHELL);
            let more = if rng.one_in(2) { "--append-verify" } else { "--partial" };
            let output = finish(bench.client(pair, way, &["-a", more], "ours"));
            assert!(output.status.success(), "{round} {pair:?} {way:?} {more} behind {script}: {output:?}");
            assert_eq!(fs::read(&file).unwrap(), content, "{round} {pair:?} {way:?} {more} behind {script}");
        }
    }
    assert!(kept > 0, "nothing was ever kept");
}

#[test]
fn a_side_that_says_nothing_is_given_up() {
    let bench = Bench::new();
    fs::write(bench.src().join("file"), "x").unwrap();
    bench.script("rsh", "exec sleep 100\n");
    bench.prepare("ours");
    for way in WAYS {
        let output = finish(bench.client((End::Ours, End::Stock), way, &["-a", "--timeout=1"], "ours"));
        assert_eq!(output.status.code(), Some(30), "{output:?}");
    }
}
