//! `--remove-source-files`: what goes from the source, and above all what does not.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::harness::{Bench, FOREBAY, command, copy};
use crate::tree::touch;

/// What is beneath `dir`, sorted.
fn names(dir: &Path) -> Vec<String> {
    let output = Command::new("find").arg(".").current_dir(dir).output().unwrap();
    let mut names: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    names.sort();
    names
}

/// A tree of each kind, partly at the destination already, within both places, for they lose it.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.both(|place| {
        let src = place.join("src");
        for dir in ["src/d/deep", "src/empty", "dst/d"] {
            fs::create_dir_all(place.join(dir)).unwrap();
        }
        for file in ["a", "same", "newer", "grow", "d/1", "d/deep/2", "large"] {
            fs::write(src.join(file), file.repeat(if file == "large" { 30_000 } else { 3 })).unwrap();
            touch(&src.join(file), "@1000000000");
        }
        symlink("a", src.join("link")).unwrap();
        assert!(Command::new("mkfifo").arg(src.join("pipe")).status().unwrap().success());
        fs::hard_link(src.join("a"), src.join("d/a2")).unwrap();
        fs::hard_link(src.join("d/1"), src.join("d/deep/1")).unwrap();
        copy(&src.join("same"), &place.join("dst/same"));
        fs::write(place.join("dst/newer"), "other").unwrap();
        fs::write(place.join("dst/grow"), "grow").unwrap();
        touch(&place.join("dst/grow"), "@900000000");
        fs::write(place.join("dst/d/extra"), "extra").unwrap();
        copy(&src, &place.join("alt"));
        fs::write(place.join("alt/large"), "small").unwrap();
    });
    bench
}

#[test]
fn what_has_arrived_goes_whatever_way_it_has_taken() {
    for options in [
        "",
        "-n",
        "-u",
        "-c",
        "-I",
        "-b",
        "-H",
        "-X",
        "-vv",
        "-H -vv",
        "--no-W",
        "--inplace",
        "--inplace --no-W",
        "--append",
        "--partial-dir=.p",
        "--delay-updates",
        "-H --delay-updates",
        "--delete",
        "--delete-before",
        "--delete-after",
        "--delete-delay",
        "-H --delete-after",
        "--delete-after --delay-updates -b",
        "--existing",
        "--ignore-existing",
        "--max-size=10",
        "--no-l",
        "--no-D",
        "-L",
        "-m",
        "--info=remove",
        "--copy-dest=../alt",
        "--link-dest=../alt",
        "--compare-dest=../alt",
        "-T /tmp",
        "--exclude=d",
    ] {
        let bench = bench();
        let first = match options {
            "-vv" => "-avv",
            _ if options.starts_with("-H") => "-aiH",
            _ => "-ai",
        };
        // Directories of the source change while names go from them.
        let mut args = vec![first, "-O", "--remove-source-files"];
        args.extend(options.split(' ').filter(|option| !option.is_empty() && !first.ends_with(&option[1..])));
        args.extend(["src/", "dst"]);
        eprintln!("{args:?}");
        // The trees are compared with the source in them.
        bench.same(&args);
        bench.same(&args);
        let [_, ours] = bench.places();
        let left = names(&ours.join("src"));
        assert_eq!(left.contains(&"./large".to_owned()), matches!(options, "-n" | "--existing" | "--max-size=10"));
        assert!(left.contains(&"./empty".to_owned()), "directories stay");
    }
}

/// The old option takes only what has been made or transferred.
#[test]
fn what_was_there_before_is_not_sent() {
    for options in ["-ai", "-aii", "-aiH", "-aiI", "-ain", "-aic", "-ai --delete-after", "-ai --compare-dest=../alt"] {
        let bench = bench();
        let args: Vec<&str> = options.split(' ').chain(["-O", "--remove-sent-files", "src/", "dst"]).collect();
        eprintln!("{args:?}");
        bench.same(&args);
        bench.same(&args);
    }
}

fn forebay(place: &Path, args: &[&str]) -> Output {
    command(None, FOREBAY, &["sync", "-a", "--remove-source-files"]).args(args).current_dir(place).output().unwrap()
}

#[test]
fn what_would_lose_its_only_copy_stays() {
    let bench = bench();
    let [_, ours] = bench.places();
    let before = names(&ours.join("src"));
    for args in [&["src/", "src/"][..], &["src/", "src/", "-I"], &["-n", "src/", "dst"]] {
        forebay(&ours, args);
        assert_eq!(names(&ours.join("src")), before, "{args:?}");
    }
    fs::hard_link(ours.join("src/a"), ours.join("dst/a")).unwrap();
    // Another name of the same file is not another copy; neither is the source another tree.
    assert_eq!(forebay(&ours, &["src/a", "dst/"]).status.code(), Some(23));
    assert!(ours.join("src/a").exists());
    for kind in ["--compare-dest", "--link-dest"] {
        forebay(&ours, &[&format!("{kind}={}", ours.join("src").display()), "src/", "new"]);
        let left = names(&ours.join("src"));
        assert!(left.contains(&"./large".to_owned()) && left.contains(&"./d/1".to_owned()), "{kind}: {left:?}");
    }
}

#[test]
fn what_cannot_be_written_stays() {
    for options in [&[][..], &["--inplace"], &["--no-W"], &["--delay-updates"], &["-H"], &["--delete-after"]] {
        let bench = bench();
        let [_, ours] = bench.places();
        // Directories in the way, with something in them.
        for name in ["a", "d/1", "large", "link", "pipe"] {
            fs::create_dir_all(ours.join("dst").join(name).join("full")).unwrap();
            fs::write(ours.join("dst").join(name).join("full/x"), "x").unwrap();
        }
        let options: Vec<&str> = options.iter().copied().filter(|option| *option != "--delete-after").collect();
        let output = forebay(&ours, &[&options[..], &["src/", "dst"]].concat());
        assert_eq!(output.status.code(), Some(23), "{options:?}");
        let left = names(&ours.join("src"));
        for name in ["./a", "./d/1", "./large", "./link", "./pipe"] {
            assert!(left.contains(&name.to_owned()), "{options:?}: {name} in {left:?}");
        }
        assert!(!left.contains(&"./same".to_owned()), "{options:?}");
    }
}

/// Both say the same of a file that grows while it is copied slowly.
#[test]
fn what_has_changed_meanwhile_stays() {
    for options in [&[][..], &["--delay-updates"]] {
        let bench = Bench::new();
        let [_, ours] = bench.places();
        let src: PathBuf = ours.join("src");
        fs::create_dir(&src).unwrap();
        fs::write(src.join("file"), vec![7; 300_000]).unwrap();
        let mut run =
            command(None, FOREBAY, &["sync", "-a", "--remove-source-files", "--bwlimit=200", "--reflink=never"]);
        run.args(options).args(["src/", "dst"]).current_dir(&ours);
        let mut child = run.stderr(std::process::Stdio::piped()).spawn().unwrap();
        // As soon as there is something of the copy, it has been looked at.
        while !fs::read_dir(ours.join("dst")).is_ok_and(|mut dir| dir.next().is_some()) {
            assert!(child.try_wait().unwrap().is_none());
            std::thread::yield_now();
        }
        fs::write(src.join("file"), vec![8; 300_001]).unwrap();
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.starts_with("ERROR: Skipping sender remove for changed file: file\n"), "{errors}");
        assert_eq!(output.status.code(), Some(23));
        assert_eq!(fs::read(src.join("file")).unwrap(), vec![8; 300_001]);
    }
}

/// What a link to a directory leads to is copied and stays where it is.
#[test]
fn what_links_lead_to_is_not_removed() {
    for args in [
        "-aL src/ dst",
        "-ak src/ dst",
        "-a --copy-unsafe-links src/ dst",
        "-aL --delete-after src/ dst",
        "-aLH src/ dst",
        "-aL src/dirl dst",
        "-a src/dirl/ dst",
        "-a src/dirl/1 dst",
        "-aR src/./dirl/1 dst",
        "-aR src/dirl/deep/2 dst",
        "-aRL src/./dirl/deep dst",
        "-aR src/./inside dst",
    ] {
        let bench = bench();
        for place in bench.places() {
            fs::rename(place.join("src/d"), place.join("elsewhere")).unwrap();
            fs::remove_file(place.join("src/link")).unwrap();
            for (to, link) in [("../elsewhere", "dirl"), ("../elsewhere/1", "filel")] {
                symlink(to, place.join("src").join(link)).unwrap();
            }
            // By which of its names a file goes first is chance.
            if args.ends_with("inside dst") {
                symlink("empty", place.join("src/inside")).unwrap();
            }
            fs::write(place.join("src/empty/in"), "in").unwrap();
            touch(&place.join("src/empty/in"), "@1000000000");
        }
        let args: Vec<&str> = ["--remove-source-files", "-O"].into_iter().chain(args.split(' ')).collect();
        let did = bench.same(&args);
        let refused = did.errors.iter().any(|line| line.contains("failed to secure-open-parent"));
        assert_eq!(
            refused,
            !args.iter().any(|arg| ["src/dirl/", "src/dirl/1", "src/./inside"].contains(arg)),
            "{args:?}"
        );
    }
}

/// As with rsync, links that lead to somewhere in the directory that they are in keep nothing from going; names in a list may be
/// reached through any that are to be trusted.
#[test]
fn links_that_stay_in_their_directory_keep_nothing() {
    for (args, refused) in [
        ("-aR src/./l1/1 src/./d2/l2/2 src/./l3/3 src/./l4/4 src/./out/e dst", 2),
        ("-aR src/l3/sub dst", 0),
        ("-aRL src/./l3 src/./out dst", 1),
        ("-ak src/l4 src/out dst", 1),
        ("-a --files-from=names src dst", 0),
        ("-aL --files-from=names src dst", 2),
    ] {
        let bench = Bench::new();
        bench.both(|place| {
            for dir in ["src/d1/sub", "src/d2", "elsewhere", "dst"] {
                fs::create_dir_all(place.join(dir)).unwrap();
            }
            for file in ["src/d1/1", "src/d1/2", "src/d1/3", "src/d1/4", "src/d1/sub/5", "elsewhere/e"] {
                fs::write(place.join(file), file).unwrap();
                touch(&place.join(file), "@1000000000");
            }
            for (to, link) in
                [("d2/../d1", "l1"), ("../d1", "d2/l2"), ("./d1", "l3"), ("l3", "l4"), ("../elsewhere", "out")]
            {
                symlink(to, place.join("src").join(link)).unwrap();
            }
            fs::write(place.join("names"), "l1/1\nd2/l2/2\nl3/3\nout/e\n").unwrap();
        });
        let args: Vec<&str> = ["--remove-source-files", "-O"].into_iter().chain(args.split(' ')).collect();
        let did = bench.same(&args);
        let of_parents = did.errors.iter().filter(|line| line.contains("failed to secure-open-parent"));
        assert_eq!(of_parents.count(), refused, "{args:?}");
    }
}

/// What goes may be what another source is about. Stock rsync has what is left of the first names that it lists.
#[test]
fn where_one_source_is_inside_another_all_is_copied_before_anything_goes() {
    for (args, copies) in [
        ("-a src/d src/d/ dst", 4002),
        ("-a src/d/1 src/d dst", 2002),
        ("-a src/d src/d/1 dst", 2002),
        ("-aR src/d/./1 src/d dst", 2002),
        ("-a src/d/sub src/d/ dst", 2001),
    ] {
        let bench = Bench::new();
        let [_, place] = bench.places();
        fs::create_dir_all(place.join("src/d/sub")).unwrap();
        for n in 0..2000 {
            fs::write(place.join(format!("src/d/{n}")), "n").unwrap();
        }
        fs::write(place.join("src/d/sub/f"), "f").unwrap();
        fs::create_dir(place.join("dst")).unwrap();
        touch(&place.join("src/d"), "@1000000000");
        let args: Vec<&str> = ["--remove-source-files"].into_iter().chain(args.split(' ')).collect();
        let output = command(None, FOREBAY, &["sync"]).args(&args).current_dir(&place).output().unwrap();
        assert!(output.status.success(), "{args:?} {output:?}");
        let files =
            |dir: &str| names(&place.join(dir)).iter().filter(|name| place.join(dir).join(name).is_file()).count();
        assert_eq!((files("src"), files("dst")), (0, copies), "{args:?}");
        for dir in ["dst/d", "dst/src/d"].map(|dir| place.join(dir)).iter().filter(|dir| dir.exists()) {
            assert_eq!(fs::metadata(dir).unwrap().mtime(), 1_000_000_000, "{args:?}");
        }
    }
}
