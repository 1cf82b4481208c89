//! Something of another kind has the name at the destination.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::harness::{Bench, command};

/// Makes `kind` at `path`.
fn make(path: &Path, kind: &str) {
    match kind {
        "file" => fs::write(path, "text").unwrap(),
        "link" => symlink("nowhere", path).unwrap(),
        "fifo" => assert!(command(None, "mkfifo", &[]).arg(path).status().unwrap().success()),
        "empty" => fs::create_dir(path).unwrap(),
        "full" => {
            fs::create_dir_all(path.join("sub/deep")).unwrap();
            fs::write(path.join("sub/kept"), "precious").unwrap();
        }
        _ => {}
    }
}

#[test]
fn every_kind_over_every_kind() {
    let kinds = ["file", "link", "fifo", "empty", "full", "nothing"];
    for options in ["-ai", "-aiv --delete", "-ain", "-ain --delete", "-rlDi", "-aiu"] {
        let bench = Bench::new();
        for new in kinds {
            for old in kinds {
                make(&bench.src().join(format!("{new}-over-{old}")), new);
            }
        }
        bench.both(|place| {
            fs::create_dir(place.join("dst")).unwrap();
            for new in kinds {
                for old in kinds {
                    make(&place.join(format!("dst/{new}-over-{old}")), old);
                }
            }
        });
        let mut args: Vec<String> = options.split(' ').map(str::to_owned).collect();
        args.extend([format!("{}/", bench.src().display()), "dst".to_owned()]);
        bench.same(&args);
    }
}

/// What stays keeps everything from being made that would be beneath it.
#[test]
fn a_file_that_stays_in_place_of_a_directory() {
    for options in
        ["-ri --ignore-existing", "-rlDi --ignore-existing", "-rlDin --ignore-existing", "-rlD --ignore-existing"]
    {
        let bench = Bench::new();
        let full = bench.src().join("full");
        make(&full, "full");
        make(&full.join("link"), "link");
        make(&full.join("pipe"), "fifo");
        make(&full.join("file"), "file");
        bench.both(|place| {
            fs::create_dir(place.join("dst")).unwrap();
            make(&place.join("dst/full"), "file");
        });
        let mut args: Vec<String> = options.split(' ').map(str::to_owned).collect();
        args.extend([format!("{}/", bench.src().display()), "dst".to_owned()]);
        bench.same(&args);
    }
}

#[test]
fn what_has_the_name_of_the_directory_for_delayed_files_gives_way() {
    for kind in ["file", "link", "fifo", "full"] {
        for (options, name) in [
            ("-ai --delay-updates", ".~tmp~"),
            ("-aib --delay-updates", ".~tmp~"),
            ("-ai --delay-updates --partial-dir=.pp", ".pp"),
        ] {
            let bench = Bench::new();
            fs::create_dir(bench.src().join("d")).unwrap();
            for file in ["a", "b", "d/c"] {
                fs::write(bench.src().join(file), "new").unwrap();
            }
            bench.both(|place| {
                fs::create_dir_all(place.join("dst/d")).unwrap();
                fs::write(place.join("dst/a"), "older").unwrap();
                for dir in ["dst", "dst/d"] {
                    make(&place.join(dir).join(name), kind);
                }
            });
            let mut args: Vec<String> = options.split(' ').map(str::to_owned).collect();
            args.extend([format!("{}/", bench.src().display()), "dst".to_owned()]);
            let did = bench.same(&args);
            assert_eq!(did.code, Some(0), "{kind} {args:?}: {:?}", did.errors);
        }
    }
}
