//! What tests begin with: files and directories of two times, and what both programs make of them.

use std::fs;
use std::path::Path;

use crate::harness::{Bench, command};
use crate::tree::touch;

pub(crate) const OLD: &str = "@900000000";
pub(crate) const NEW: &str = "@1000000000";

/// Writes `text` to `path`, with a time.
pub(crate) fn put(path: &Path, text: &str, time: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    touch(path, time);
}

pub(crate) fn lines(to: usize) -> String {
    (0..to).map(|i| format!("line {i}\n")).collect()
}

/// Gives the directories beneath `root` one time.
pub(crate) fn settle(root: &Path) {
    let touch = ["-type", "d", "-exec", "touch", "-d", NEW, "{}", "+"];
    assert!(command(None, "find", &[]).arg(root).args(touch).status().unwrap().success());
}

pub(crate) fn touch_link(path: &Path, time: &str) {
    assert!(command(None, "touch", &["-h", "-d", time]).arg(path).status().unwrap().success());
}

/// Runs `options` on a bench that `prepare` made, as rsync does.
pub(crate) fn same(options: &str, prepare: impl Fn(&Bench)) {
    let bench = Bench::new();
    prepare(&bench);
    let mut args: Vec<String> = options.split(' ').map(str::to_owned).collect();
    args.extend([format!("{}/", bench.src().display()), "dst".to_owned()]);
    bench.same(&args);
    bench.same(&args);
}
