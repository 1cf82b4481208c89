//! Sources that keep their paths: `-R` and `--files-from`.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::harness::{Bench, FOREBAY};
use crate::tree::touch;

fn bench() -> Bench {
    let bench = Bench::new();
    let src = bench.src();
    for dir in ["a/b/c", "a/d", "e/e2", "f"] {
        fs::create_dir_all(src.join(dir)).unwrap();
    }
    for file in ["a/b/1", "a/b/c/2", "a/x", "a/d/4", "f/2", "3"] {
        fs::write(src.join(file), file).unwrap();
        touch(&src.join(file), "@1000000000.25");
    }
    symlink("a", src.join("la")).unwrap();
    touch(&src.join("la"), "@1000000000");
    bench.both(|place| {
        for dir in ["dst/a/old", "dst/zz"] {
            fs::create_dir_all(place.join(dir)).unwrap();
        }
        for file in ["a/b2", "4", "zz/1"] {
            fs::write(place.join("dst").join(file), "old").unwrap();
        }
        for dir in ["dst/a/old", "dst/a", "dst/zz", "dst"] {
            touch(&place.join(dir), "@900000000");
        }
    });
    for dir in ["a/b/c", "a/b", "a/d", "a", "e/e2", "e", "f", ""] {
        touch(&src.join(dir), "@1000000000");
    }
    bench
}

#[test]
fn sources_keep_their_paths() {
    // Where a path leads upwards, stock rsync's processes also say how they end each other.
    let up = format!("{}/./a/../f/2", bench().src().display());
    let output = Command::new(FOREBAY).args(["sync", "-aR", &up, "/nonexistent/dst"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.starts_with(b"found \"..\" dir in relative path: a/../f/2\n"));
    for args in [
        "-aiR SRC/./a/b dst",
        "-aiR SRC/./a/b/ dst",
        "-aiR --delete SRC/./a/b SRC/./f dst",
        "-aiR --delete-after SRC/./a dst",
        "-aiR SRC/./3 SRC/./la/b/1 dst",
        "-aiR SRC/./ dst",
        "-aiR --delete SRC/./ dst",
        "-aiR SRC/./ SRC/a/./b dst",
        "-aiR SRC/a/./b SRC/./a/x SRC/./f/2 dst",
        "-aiR SRC/./nope/x SRC/./3 dst",
        "-aivR --exclude=b SRC/./a/b/1 SRC/./a/x dst",
        "-aiR --exclude=1 SRC/./a/b/1 SRC/./a/x dst",
        "-aimR SRC/./e SRC/./a/d dst",
        "-ltdiR SRC/./a/b SRC/./f/ dst",
        "-ltiR SRC/./a/b SRC/./f/2 dst",
        "-ainR SRC/./a/b SRC/./f/2 new",
    ] {
        let bench = bench();
        let src = bench.src().display().to_string();
        let args: Vec<String> = args.split(' ').map(|arg| arg.replace("SRC", &src)).collect();
        eprintln!("{args:?}");
        bench.same(&args);
        bench.same(&args);
    }
}

#[test]
fn a_file_names_the_sources() {
    for (names, args) in [
        ("a/b/1\n3\n#c\n;d\n\n/f/2\n../f\nnope/q\na/./x\nla\n", "-ai"),
        ("a/b/\nf\na/b/c\n", "-ai"),
        ("a/b/\nf\na/b/c\n", "-air"),
        ("a/b/\nf\na/b/c\n", "-ai --delete"),
        (".\n", "-ai"),
        (".\n", "-air --delete"),
        ("a/b/1\r\nf/2", "-aiv"),
        ("a/b/1\nf/2", "-ai --no-R"),
        ("a/b/1\nf/2", "-ai --exclude=a"),
        ("a/b/1\0f/2\0", "-ai0"),
        ("a\n", "-ai"),
        ("a\n", "-ai --no-d"),
        ("", "-ai"),
    ] {
        let bench = bench();
        for place in bench.places() {
            fs::write(place.join("names"), names).unwrap();
        }
        let mut args: Vec<String> = args.split(' ').map(str::to_owned).collect();
        args.extend(["--files-from=names".to_owned(), bench.src().display().to_string(), "dst".to_owned()]);
        eprintln!("{names:?} {args:?}");
        bench.same(&args);
        bench.same(&args);
    }
    let bench = bench();
    bench.same(&["-ai", "--files-from=none", &bench.src().display().to_string(), "dst"]);
}
