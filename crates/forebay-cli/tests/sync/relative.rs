//! Sources that keep their paths: `-R` and `--files-from`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::harness::{Bench, FOREBAY, command};
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
        "-aR --out-format=%f|%n SRC/./a/b SRC/./f/2 new",
        "-rlivR SRC/a/b new",
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
fn what_is_on_the_way_need_not_be_readable() {
    const NOBODY: u32 = 65_534;
    for args in [
        "-aiR SRC/./a/b/1 dst",
        "-aiR SRC/./a/b SRC/./a/x dst",
        "-aiR --delete SRC/./a/b/ dst",
        "-aiR SRC/./a/b SRC/./ dst",
        "-aiR SRC/./a SRC/./a/b/1 dst",
        "-aiR --no-i-r SRC/./a/d SRC/./a SRC/./e dst",
        "-aiR --no-implied-dirs SRC/./a/b/1 dst",
        "-aiR -FF SRC/./a/b dst",
        "-diR SRC/./a/ SRC/./a/d/ dst",
        "-ai --files-from=SRC/../names SRC/ dst",
        "-air --files-from=SRC/../names SRC/ dst",
        "-aR SRC/a/b dst",
    ] {
        let bench = bench();
        let src = bench.src();
        fs::write(src.join("../names"), "a/b/1\na/d\na/x\n").unwrap();
        for closed in ["a", ""] {
            fs::set_permissions(src.join(closed), fs::Permissions::from_mode(0o711)).unwrap();
        }
        for place in bench.places() {
            assert!(command(None, "chown", &["-R", "65534"]).arg(place).status().unwrap().success());
        }
        let src = src.display().to_string();
        let args: Vec<String> = args.split(' ').map(|arg| arg.replace("SRC", &src)).collect();
        eprintln!("{args:?}");
        bench.same_as(Some(NOBODY), &args);
    }
}

/// Their slash counts in the order.
#[test]
fn absolute_paths_come_where_their_slash_brings_them() {
    for args in [
        "-aiR zz SRC/3 4",
        "-aiR zz SRC/a/d SRC/f/2 aa 4 +x",
        "-aivR --no-i-r zz SRC/f aa 4",
        "-aiR --no-implied-dirs aa SRC/f 4 zz",
        "-aiR --delete zz SRC/f",
    ] {
        let bench = bench();
        for place in bench.places() {
            for dir in ["aa", "+x", "zz"] {
                fs::create_dir(place.join(dir)).unwrap();
                fs::write(place.join(dir).join("in"), dir).unwrap();
            }
            fs::write(place.join("4"), "4").unwrap();
        }
        let src = bench.src().display().to_string();
        let args: Vec<String> = args.split(' ').map(|arg| arg.replace("SRC", &src)).chain(["dst".to_owned()]).collect();
        eprintln!("{args:?}");
        bench.same(&args);
    }
}

/// What is named itself is not implied, whatever else is named beneath it.
#[test]
fn a_directory_in_one_that_is_named_is_not_implied() {
    for names in ["a/b/1\n.\n", ".\na/b/1\n", "a/\na/b/c/2\n", "a\na/b/1\n", "a/b/1\na/x\n./\n"] {
        for options in ["-ai", "-air", "-aid --delete", "-av"] {
            let bench = bench();
            bench.places().iter().for_each(|place| fs::write(place.join("names"), names).unwrap());
            for dir in ["a/b/c", "a/b", "a"] {
                fs::set_permissions(bench.src().join(dir), fs::Permissions::from_mode(0o700)).unwrap();
            }
            let src = bench.src().display().to_string();
            let args = ["--no-implied-dirs", "--files-from=names", &src, "new"];
            let args: Vec<&str> = options.split(' ').chain(args).collect();
            eprintln!("{names:?} {args:?}");
            bench.same(&args);
        }
    }
}

/// A line of a file of names ends at a NUL. What is a directory cannot be read.
#[test]
fn names_end_at_a_nul() {
    for (names, options) in [
        ("3\0a/x\nf/2\n", "-ai"),
        ("3\0none\n#\0\nf\0\n", "-air"),
        ("f\n\0a\n", "-ai"),
        ("\0a\n", "-ai --no-R"),
        ("3\0\0a/x\nb\0", "-ai0"),
    ] {
        let bench = bench();
        bench.places().iter().for_each(|place| fs::write(place.join("names"), names).unwrap());
        let src = bench.src().display().to_string();
        let args: Vec<&str> = options.split(' ').chain(["--files-from=names", &src, "dst"]).collect();
        eprintln!("{names:?} {args:?}");
        bench.same(&args);
    }
    let bench = bench();
    for (names, stdin) in [("a", "/dev/null"), ("-", "/")] {
        let [theirs, ours] = [("rsync", &[][..]), (FOREBAY, &["sync"])].map(|(program, first)| {
            let mut command = command(None, program, first);
            let args = ["-a", &format!("--files-from={names}"), ".", "new"];
            let stdin = fs::File::open(stdin).unwrap();
            let output = command.args(args).stdin(stdin).current_dir(bench.src()).output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            (output.status.code(), errors.lines().next().map(|line| line.replace(" [sender]", "")))
        });
        assert_eq!(ours, theirs, "{names} {stdin}");
        assert_eq!(ours.0, Some(12));
    }
}

#[test]
fn a_path_that_begins_with_a_dot_brings_what_it_is_relative_to() {
    for args in [
        "-aiR SRC/././a/b dst",
        "-aiR SRC/././3 new",
        "-aiR --stats SRC/././a/x SRC/././f dst",
        "-aiR SRC/a/./b SRC/././f dst",
        "-aiR SRC/e/./e2 SRC/./f SRC/././3 dst",
        "-aiR SRC/f/././2 SRC/././3 dst",
        "-aiR SRC/f/./2 SRC/./f/././2 SRC/././3 dst",
        "-aiR SRC/././3 SRC/f/./ dst",
        "-aiR --delete SRC/././a dst",
        "-aiR --delete-before SRC/././a/b dst",
        "-aiR --delete SRC/./a SRC/././3 SRC/./ dst",
        "-aiR --no-implied-dirs SRC/././a/b dst",
        "-aiRO SRC/././a/b dst",
        "-aiRX SRC/././a/b dst",
        "-aiR --existing SRC/././a/b new",
        "-aniR SRC/././a/b new",
        "-dRi SRC/././a dst",
        "-Ri SRC/././a/x SRC/././3 dst",
        "-aiR SRC/././nope dst",
        "-aiR --exclude=. SRC/././a/b dst",
        "-aiR --exclude=* SRC/././a/b dst",
        "-aiRm SRC/././e dst",
        "-aiR --link-dest=../dst SRC/././a/b new",
        "-ai --files-from=names SRC new",
        "-ai --files-from=names --delete SRC dst",
        "-air --files-from=names SRC dst",
        "-air --files-from=names --delete SRC dst",
        "-ai --files-from=names --no-implied-dirs SRC dst",
        "-ai --files-from=names --no-R SRC dst",
    ] {
        let bench = bench();
        for place in bench.places() {
            fs::write(place.join("names"), "./a/b/1\n/./3\n././f\na/./nope/x\nnope/./x\n").unwrap();
        }
        let src = bench.src().display().to_string();
        let args: Vec<String> = args.split(' ').map(|arg| arg.replace("SRC", &src)).collect();
        eprintln!("{args:?}");
        bench.same(&args);
        bench.same(&args);
    }
}

#[test]
fn a_slash_may_stand_behind_anything() {
    for source in [
        "SRC/./3/",
        "SRC/./3/.",
        "SRC/3//",
        "SRC/./la/",
        "SRC/./la/.",
        "SRC/./l3/",
        "SRC/./bad/",
        "SRC/./pipe/",
        "SRC/./nope/",
        "SRC/3/./x",
        "SRC/nope/./x",
        "SRC/./3/x",
        "SRC/./a/b/ SRC/./la/",
    ] {
        for options in ["-aiR", "-aiRL", "-aiRk", "-dRi", "-lRi", "-aiR --delete", "-aiR --ignore-missing-args"] {
            let bench = bench();
            let src = bench.src();
            symlink("3", src.join("l3")).unwrap();
            symlink("nowhere", src.join("bad")).unwrap();
            assert!(Command::new("mkfifo").arg(src.join("pipe")).status().unwrap().success());
            touch(&src, "@1000000000");
            let text = src.display().to_string();
            let args = format!("{options} {source} dst");
            let args: Vec<String> = args.split(' ').map(|arg| arg.replace("SRC", &text)).collect();
            eprintln!("{args:?}");
            bench.same(&args);
        }
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

#[test]
fn directories_on_the_way_may_stay_as_they_are() {
    /// Gives what is on the way attributes of its own.
    fn other(place: &Path) {
        let dst = place.join("new");
        fs::create_dir_all(dst.join("a/b")).unwrap();
        fs::write(dst.join("a/b/extra"), "extra").unwrap();
        fs::set_permissions(dst.join("a"), fs::Permissions::from_mode(0o700)).unwrap();
    }
    fn link(place: &Path) {
        fs::create_dir_all(place.join("new/real")).unwrap();
        symlink("real", place.join("new/a")).unwrap();
    }
    let before: [fn(&Path); 3] = [|_| {}, other, link];
    for prepare in before {
        for args in [
            "-aiR SRC/./a/b/1 new",
            "-ainR SRC/./a/b/1 new",
            "-aiR --stats SRC/./a/b/1 SRC/./f new",
            "-aiR --existing SRC/./a/b new",
            "-aiR --delete-after SRC/./a/b SRC/./f new",
            "-aiRH SRC/./a/b/1 SRC/./f/2 new",
            "-avv --files-from=names SRC new",
        ] {
            let bench = bench();
            for place in bench.places() {
                fs::write(place.join("names"), "a/b/1\nf/2\n").unwrap();
                prepare(&place);
            }
            let src = bench.src().display().to_string();
            let mut args: Vec<String> = args.split(' ').map(|arg| arg.replace("SRC", &src)).collect();
            args.push("--no-implied-dirs".to_owned());
            eprintln!("{args:?}");
            bench.same(&args);
            bench.same(&args);
        }
    }
}

#[test]
fn a_link_on_the_way_does_not_lead_out() {
    let bench = bench();
    let place = &bench.places()[1];
    fs::create_dir_all(place.join("outside/b")).unwrap();
    fs::create_dir(place.join("new")).unwrap();
    symlink("../outside", place.join("new/a")).unwrap();
    let args = ["sync", "-aR", "--no-implied-dirs", &format!("{}/./a/b/1", bench.src().display()), "new"];
    let output = command(None, FOREBAY, &[]).args(args).current_dir(place).output().unwrap();
    assert_eq!(output.status.code(), Some(23));
    assert!(String::from_utf8_lossy(&output.stderr).contains("new/a\" failed: "), "{output:?}");
    assert!(!place.join("outside/b/1").exists());
}
