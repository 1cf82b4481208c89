//! What is copied of what takes part: sizes, times, what is there and what is not, on random trees.

use std::fs;
use std::process::Command;

use crate::harness::{Bench, FOREBAY, copy, rounds};
use crate::tree::{Rng, change, fill, touch};

const SOME: &[&str] = &[
    "--existing",
    "--ignore-non-existing",
    "--ignore-existing",
    "-I",
    "--size-only",
    "-@1",
    "--modify-window=-1",
    "--max-size=1k",
    "--max-size=0",
    "--min-size=1.5k",
    "-u",
    "-c",
    "-n",
    "--delete",
    "--delete-after",
    "-x",
    "-m",
    "-m",
    "--exclude=[a-f]*",
    "--filter=P b*/",
    "-d --no-r",
];

fn round(seed: u64) {
    let mut rng = Rng::new(seed);
    let bench = Bench::new();
    fill(&mut rng, &bench.src(), 4);
    bench.both(|place| {
        copy(&bench.src(), &place.join("dst"));
        change(&mut rng, &place.join("dst"), 3);
    });
    change(&mut rng, &bench.src(), 3);
    let mut args = vec![rng.pick(&["-ai", "-av", "-aiv", "-avv", "-ri"]).to_owned()];
    for _ in 0..=rng.below(3) {
        args.extend(rng.pick(SOME).split(' ').map(str::to_owned));
    }
    args.push(format!("{}/", bench.src().display()));
    args.push("dst".to_owned());
    eprintln!("seed {seed}: {args:?}");
    bench.same(&args);
}

#[test]
fn what_is_copied_is_what_rsync_copies() {
    rounds(60, round);
}

/// In a mount namespace of its own.
#[test]
fn what_is_mounted_is_neither_entered_nor_deleted() {
    for args in [
        "-aix",
        "-aixx",
        "-aix --delete",
        "-aixx --delete",
        "-aivvx --delete",
        "-aivvxx --delete",
        "-aivvxx --no-i-r",
        "-aixx --info=mount --delete --no-i-r",
        "-aix --delete --info=mount",
        "-aix --delete --info=skip",
        "-aix --delete --debug=del",
    ] {
        let left = ["rsync", &format!("{FOREBAY} sync")].map(|program| {
            let temp = tempfile::tempdir().unwrap();
            let script = format!(
                "set -e; mkdir -p src/m src/k dst/m dst/n/q; for m in src/m dst/m dst/n/q; do mount -t tmpfs t $m; done
                touch src/m/in src/k/1 dst/m/old dst/n/1 dst/n/q/2; touch -d @1000000000 src dst src/m dst/m src/k
                {program} {args} src/ dst | grep -v '^sent\\|^total\\|^delta\\|uptodate' | sort; find dst | sort"
            );
            let run = Command::new("unshare").args(["-m", "sh", "-c", &script]).current_dir(temp.path()).output();
            let output = run.unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).into_owned()
        });
        assert_eq!(left[1], left[0], "{args}");
    }
}

/// In a mount namespace of its own.
#[test]
fn what_is_mounted_is_entered_where_it_is_asked_for() {
    let cases = [
        "-aixR s/mp d",
        "-aixR s/mp/ d",
        "-aixR s/mp/in d",
        "-aixR s s/mp d",
        "-aixR s s/mp/in d",
        "-aixR s/./mp s/./k/mp3/q d",
        "-aixR s/./ s/./mp d",
        "-aixR s/./ s/./mp/sub s/./mp/sub/mp4/u d",
        "-aixR s/./k s/./k/mp3 d",
        "-aixR --no-i-r s/./k/mp3 s/./k d",
        "-aixR --no-implied-dirs s/./mp/sub s/./k/mp3 d",
        "-aixR --delete s/./ s/./mp d",
        "-aixxR s/./ s/./mp/sub/mp4 d",
        "-aixxR s s/mp/in d",
        "-aix s/ s/mp d",
        "-aix s/mp s/ d",
        "-aix s/mp/ s/mp/sub/mp4 d",
        "-aix --files-from=one s d",
        "-aixr --files-from=one s d",
        "-aixxr --files-from=other s d",
        "-aixr --no-R --files-from=one s d",
    ];
    let script = |program: &str, args: &str| {
        format!(
            "set -e; mkdir -p s/mp s/k/mp3 d/mp/old; mount -t tmpfs t s/mp; mount -t tmpfs t s/k/mp3
            mkdir -p s/mp/sub/mp4 s/k/mp3/q; mount -t tmpfs t s/mp/sub/mp4
            touch s/f s/mp/in s/mp/sub/x s/mp/sub/mp4/u s/k/1 s/k/mp3/z s/k/mp3/q/v
            printf 'mp/in\\nk/mp3\\n' > one; printf './\\nmp/sub\\nmp\\n' > other
            find s d -exec touch -d @1000000000 {{}} +
            {program} {args} | grep -v '^sent\\|^total' | sort; find d | sort"
        )
    };
    for args in cases {
        let left = ["rsync", &format!("{FOREBAY} sync")].map(|program| {
            let temp = tempfile::tempdir().unwrap();
            let script = script(program, args);
            let run = Command::new("unshare").args(["-m", "sh", "-c", &script]).current_dir(temp.path()).output();
            let output = run.unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).into_owned()
        });
        assert_eq!(left[1], left[0], "{args}");
    }
}

#[test]
fn a_source_that_may_be_missing_is_no_error() {
    let bench = Bench::new();
    fs::write(bench.src().join("f"), "f").unwrap();
    let [there, gone] = ["f", "gone"].map(|name| format!("{}/{name}", bench.src().display()));
    bench.same(&["-ai", "--ignore-missing-args", &gone, &there, "new/"]);
    bench.same(&["-ai", "--ignore-missing-args", &gone, "none/"]);
}

#[test]
fn what_is_missing_in_the_source_goes_at_the_destination() {
    for args in [
        "-ai SRC/f SRC/gone SRC/full dst/",
        "-ai --delete --stats SRC/f SRC/gone SRC/full dst/",
        "-ai --force SRC/full dst/",
        "-avv SRC/f SRC/gone SRC/none SRC/empty dst/",
        "-ain SRC/gone SRC/empty SRC/full dst/",
        "-ti SRC/f SRC/gone dst/",
        "-aib SRC/gone dst/",
        "-ai --max-delete=1 SRC/gone SRC/empty dst/",
        "-ai --exclude=gone SRC/gone SRC/empty dst/",
        "-ai --exclude=gone --delete-excluded SRC/gone SRC/empty dst/",
        "-ai --filter=P_gone --filter=H_empty SRC/gone SRC/empty dst/",
        "-avv --filter=-r_gone --filter=R_empty SRC/gone SRC/empty dst/",
        "-ai --delete --filter=-s_gone --filter=P_empty/ SRC/gone SRC/empty dst/",
        "-aiR --filter=P_/a/gone SRC/./a/gone SRC/./gone dst/",
        "-ai --ignore-missing-args SRC/gone dst/",
        "-ai SRC/gone dst/gone",
        "-ai SRC/gone/ dst/",
        "-ai SRC/gone SRC/none new/",
        "-aiR SRC/./a/gone SRC/./gone dst/",
        "-aiR --stats SRC/./a/ SRC/./a/gone SRC/./f SRC/./gone dst/",
        "-ai --stats SRC/gone SRC/f SRC/gone dst/",
        "-aiH --delete-after SRC/gone SRC/f dst/",
        "-ai --files-from=names SRC dst",
        "-a --out-format=%o|%i|%n|%l SRC/gone dst/",
        "SRC/gone SRC/f",
    ] {
        let bench = Bench::new();
        fs::create_dir(bench.src().join("a")).unwrap();
        fs::write(bench.src().join("f"), "f").unwrap();
        touch(&bench.src().join("a"), "@1000000000");
        bench.both(|place| {
            for dir in ["a", "full/sub", "empty"] {
                fs::create_dir_all(place.join("dst").join(dir)).unwrap();
            }
            for file in ["gone", "a/gone", "full/sub/old"] {
                fs::write(place.join("dst").join(file), file).unwrap();
            }
            touch(&place.join("dst/a"), "@1000000000");
            fs::write(place.join("names"), "f\ngone\na/gone\nempty\n").unwrap();
        });
        let src = bench.src().display().to_string();
        let mut args: Vec<String> = args.split(' ').map(|arg| arg.replace("SRC", &src)).collect();
        args.push("--delete-missing-args".to_owned());
        eprintln!("{args:?}");
        bench.same(&args);
    }
}

#[test]
fn what_is_missing_in_the_source_may_be_protected() {
    for rule in ["P q1", "P qd", "P qd/", "-r qd", "P qd/x", "R qd", "P q1,qd"] {
        for options in ["-ai", "-aivv", "-ai --delete", "-ain", "-aib"] {
            let bench = Bench::new();
            bench.both(|place| {
                fs::create_dir_all(place.join("dst/qd")).unwrap();
                fs::write(place.join("dst/q1"), "1").unwrap();
                fs::write(place.join("dst/qd/x"), "x").unwrap();
            });
            let rule = format!("--filter={rule}");
            let gone = ["q1", "qd"].map(|name| format!("{}/{name}", bench.src().display()));
            let args = options.split(' ').chain(["-O", "--delete-missing-args", &rule, &gone[0], &gone[1], "dst"]);
            bench.same(&args.collect::<Vec<_>>());
        }
    }
}

#[test]
fn what_is_in_a_source_that_is_there_is_not_missing() {
    let bench = Bench::new();
    fs::create_dir(bench.src().join("a")).unwrap();
    bench.both(|place| {
        fs::create_dir_all(place.join("dst/a")).unwrap();
        fs::write(place.join("dst/a/kept"), "kept").unwrap();
    });
    let src = format!("{}/a", bench.src().display());
    bench.same(&["-ai", "--delete-missing-args", &src, "dst"]);
    assert!(bench.places()[1].join("dst/a/kept").exists());
}

#[test]
fn where_a_source_is_not_is_said_of_its_directory() {
    let bench = Bench::new();
    fs::write(bench.src().join("f"), "content").unwrap();
    bench.both(|place| fs::create_dir(place.join("dst")).unwrap());
    let src = bench.src().display().to_string();
    for source in ["none/x", "none/d/x", "none/x/", "none", "f/x", "f/", "none/."] {
        let source = format!("{src}/{source}");
        for options in ["-ai", "-ai --ignore-missing-args", "-ai --delete-missing-args", "-ai --delete"] {
            let args: Vec<&str> = options.split(' ').chain([&source[..], &src, "dst/"]).collect();
            bench.same(&args);
        }
    }
}

#[test]
fn a_link_that_leads_nowhere_is_not_missed_where_it_is_left_out() {
    let bench = Bench::new();
    fs::create_dir(bench.src().join("d")).unwrap();
    for name in ["left", "taken", "d/left", "d/taken"] {
        std::os::unix::fs::symlink("nowhere", bench.src().join(name)).unwrap();
    }
    let src = bench.src().display().to_string();
    let [contents, left, taken] = ["/", "/left", "/taken"].map(|end| format!("{src}{end}"));
    for options in ["-aLi", "-aLivv", "-aLiR"] {
        bench.same(&[options, "--exclude=left", &contents, &left, &taken, "dst"]);
    }
}

#[test]
fn where_there_is_nothing_to_do() {
    for args in
        ["-ai --existing SRC/ new", "-ai --existing --no-i-r SRC/ new/", "-avv --no-r SRC/ dst", "-avv --no-r SRC/ new"]
    {
        let bench = Bench::new();
        touch(&bench.src(), "@1000000000");
        bench.both(|place| fs::create_dir(place.join("dst")).unwrap());
        let src = bench.src().display().to_string();
        let args: Vec<String> = args.split(' ').map(|arg| arg.replace("SRC", &src)).collect();
        bench.same(&args);
        assert_eq!(bench.places()[0].join("new").exists(), bench.places()[1].join("new").exists(), "{args:?}");
    }
}

#[test]
fn how_what_is_there_differs_is_told_with_skip2() {
    let run = |program: &str, args: &[&str]| assert!(Command::new(program).args(args).status().unwrap().success());
    for options in ["-a", "-ac", "-aI", "-rl", "-aJ", "-rlD --size-only", "-an", "-aH", "-avv --info=skip1"] {
        let bench = Bench::new();
        let src = bench.src();
        for name in ["same", "mode", "time", "size", "content", "to dir", "to link"] {
            fs::write(src.join(name), name).unwrap();
            touch(&src.join(name), "@1000000000");
        }
        for name in ["link", "link's time", "other link", "pipe", "pipe's mode", "null", "other device"] {
            let path = src.join(name);
            let path = path.to_str().unwrap();
            match name {
                "pipe" | "pipe's mode" => run("mkfifo", &[path]),
                "null" | "other device" => run("mknod", &[path, "c", "1", "3"]),
                _ => run("ln", &["-s", "same", path]),
            }
            run("touch", &["-h", "-d", "@1000000000", path]);
        }
        fs::create_dir(src.join("dir")).unwrap();
        bench.both(|place| {
            copy(&src, &place.join("dst"));
            let at = |name: &str| place.join("dst").join(name);
            for name in ["to dir", "to link", "other link", "other device"] {
                fs::remove_file(at(name)).unwrap();
            }
            fs::remove_dir(at("dir")).unwrap();
            fs::create_dir(at("to dir")).unwrap();
            fs::write(at("dir"), "").unwrap();
            for (to, name) in [("same", "to link"), ("mode", "other link")] {
                run("ln", &["-s", to, at(name).to_str().unwrap()]);
            }
            run("mknod", &[at("other device").to_str().unwrap(), "c", "1", "5"]);
            run("touch", &["-h", "-d", "@900000000", at("link's time").to_str().unwrap()]);
            fs::write(at("size"), "another size").unwrap();
            fs::write(at("content"), "CONTENT").unwrap();
            touch(&at("content"), "@1000000000");
            touch(&at("time"), "@900000000");
            run("chmod", &["600", at("mode").to_str().unwrap(), at("pipe's mode").to_str().unwrap()]);
        });
        let src = format!("{}/", src.display());
        let args: Vec<&str> = ["--ignore-existing", "--info=skip2"].into_iter().chain(options.split(' ')).collect();
        bench.same(&[&args[..], &[&src, "dst"]].concat());
    }
}
