//! A tree that people wrote: the sources of the packages that this program is built from.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::Bench;

/// Packages taken, of however many there are.
const PACKAGES: usize = 40;

/// Some packages of cargo's registry, or where there is none this repository's own.
fn sources() -> Vec<PathBuf> {
    let list = |dir: &Path| -> Vec<PathBuf> {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries
    };
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")))
        .unwrap();
    let mut packages: Vec<PathBuf> =
        list(&home.join("registry/src")).iter().flat_map(|registry| list(registry)).take(PACKAGES).collect();
    packages.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    packages
}

#[test]
fn a_real_tree_is_the_same_before_and_after_changes() {
    let bench = Bench::new();
    let mut args: Vec<String> = vec!["-ai".into(), "--delete".into()];
    args.extend(sources().iter().map(|source| source.to_str().unwrap().to_owned()));
    args.push("dst".into());
    bench.same(&args);
    let did = bench.same(&args);
    assert!(did.lines.is_empty() && did.code == Some(0));
    for place in bench.places() {
        let dst = place.join("dst/src");
        fs::write(dst.join("main.rs"), "changed").unwrap();
        fs::write(dst.join("extra"), "extra").unwrap();
        fs::remove_dir_all(dst.join("sync")).unwrap();
    }
    let did = bench.same(&args);
    assert_eq!(did.deletions, ["*deleting   src/extra"]);
}
