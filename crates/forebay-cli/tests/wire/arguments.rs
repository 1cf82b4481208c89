//! What is told to the program on the other side, and how.

use std::fs;
use std::process::Command;

use crate::harness::{Bench, End, FOREBAY, PAIRS, WAYS, Way, finish};

/// The command line that a client of `program` gives to its remote shell.
fn told(bench: &Bench, program: End, way: Way, args: &[&str]) -> String {
    bench.script("rsh", &format!("shift\necho \"$*\" >{}\n", bench.path("told").display()));
    bench.prepare("ours");
    finish(bench.client((program, End::Stock), way, args, "ours"));
    fs::read_to_string(bench.path("told")).unwrap()
}

/// Options that the other side may have to be told of; words are apart by one space.
const TOLD: &[&str] = &[
    "-a",
    "-av",
    "-avvv",
    "-aq",
    "-aqv",
    "-ai",
    "-aii",
    "-aiv",
    "-a --debug=cmd",
    "-av --debug=all",
    "-a --progress",
    "-avP",
    "-aq --progress",
    "-a --stats",
    "-a --out-format=%n",
    "-av --out-format=%n",
    "-a --out-format=%-10o%n",
    "-a --out-format=%%o",
    "-aii --out-format=%i",
    "-aii --out-format=%n",
    "-a --out-format=",
    "-a --log-file=/dev/null --log-file-format=%i",
    "-a --info=name",
    "-a --info=name0",
    "-av --info=name",
    "-avv --info=name2",
    "-a --info=progress2,name0",
    "-a --info=all",
    "-a --info=none,name",
    "-av --info=del,skip2,misc,stats2,symsafe0",
    "-a --info=backup,copy,nonreg,mount,flist2",
    "-a --info=remove",
    "-avv --info=remove0",
    "-a --info=all4,name2,del0",
    "-a --info=name --info=none",
    "-ai --info=name",
    "-a --info=backup,copy,del,flist,misc,mount,name,nonreg,progress,remove,skip,stats,symsafe",
    "-a --usermap=*:7 --no-o",
    "-a --chown=7:8 --no-g",
    "-rlt --no-o --usermap=*:7",
    "-a --remove-source-files",
    "-a --remove-sent-files",
    "-a --remove-sent-files --remove-source-files",
    "-a --qsort",
    "-an",
    "-ain --delete",
    "-a --delete",
    "-d --delete",
    "-d --delete-after",
    "-a --delete-excluded",
    "-a --del --delete-excluded",
    "-a --delete-after --delete-excluded",
    "-aC --delete",
    "-C",
    "-a --delete-before",
    "-a --del",
    "-a --delete-delay",
    "-a --delete-after --force",
    "-a --max-delete=0 --del",
    "-a --max-delete=5 --del",
    "-a --ignore-errors --del",
    "-a --list-only",
    "-r --list-only",
    "-rn --list-only",
    "-az",
    "-az --zc=zstd --zl=19",
    "-az --zc=zlib",
    "-az --zc=zlibx",
    "-az --zc=lz4",
    "-az --zl=3",
    "-a --zl=4",
    "-a --zl=0",
    "-a --zl=4 --no-z",
    "-azz",
    "-azz --no-z",
    "-azz --no-z -z",
    "-azz --zc=zstd",
    "-a --zc=zstd -zz",
    "-az --zc=auto -z",
    "-az --new-compress -z",
    "-az --zc=ZSTD",
    "-az --zc=ZLIBX",
    "-az --zc=Zlib",
    "-az --zc=NONE",
    "-az --zc=zstd --old-compress",
    "-az --zc=none",
    "-a --zc=none --zl=4",
    "-a --zc=zstd --zc=auto",
    "-az --zc=auto",
    "-az --old-compress --no-z",
    "-ac --cc=md5",
    "-a --cc=xxh64,md5",
    "-a --cc=none",
    "-a --cc=NONE",
    "-a --cc=xxhash",
    "-a --cc=MD5,none",
    "-a --cc=md5,md5",
    "-a --cc=auto,md5",
    "-a --cc=AUTO",
    "-a --cc=auto",
    "-a --checksum-seed=5",
    "-a --checksum-seed=0",
    "-a --checksum-seed=007",
    "-a --checksum-seed=5 --checksum-seed=0x10",
    "-a --checksum-seed=5 --checksum-seed=0",
    "-az --skip-compress=gz/zip",
    "-a --skip-compress=gz --skip-compress=zip",
    "-ab",
    "-ab --suffix=~",
    "-ab --suffix=.x",
    "-a --suffix=.x",
    "-ab --backup-dir=x --suffix=.y",
    "-auIS",
    "-aW",
    "-aAXH",
    "-aXX",
    "-rE",
    "-aEOJK",
    "-akL",
    "-aU",
    "-aUU",
    "-a --open-noatime",
    "-aR --no-implied-dirs",
    "-ax",
    "-axx",
    "-ay",
    "-ayy",
    "-ayy --compare-dest=c",
    "-am",
    "-dl",
    "--old-dirs",
    "-a --old-dirs",
    "--old-dirs -d",
    "-d --old-dirs --delete",
    "--old-dirs --no-r --list-only",
    "-r --old-dirs --no-d",
    "-rD",
    "-r --devices",
    "-r --specials",
    "-a --copy-devices",
    "-a --write-devices",
    "-a --copy-unsafe-links",
    "-a --safe-links",
    "-a --size-only --existing --ignore-existing",
    "-a --modify-window=2",
    "-a --modify-window=0",
    "-a --modify-window=2 -@3",
    "-a -@-1",
    "-a --min-size=1k --max-size=1.5m",
    "-a --max-alloc=100m",
    "-a --max-alloc=0",
    "-a --max-alloc=1g",
    "-a --max-alloc=2G --max-alloc=3G",
    "-a --max-alloc=2G --max-alloc=1024m",
    "-a --partial",
    "-aP --partial-dir=p",
    "-a --delay-updates",
    "-a --inplace",
    "-a --append",
    "-a --append-verify",
    "-aT t --fsync --preallocate",
    "-a --numeric-ids",
    "-a --super",
    "-a --fake-super",
    "-a --copy-dest=c --copy-dest=d",
    "-a --link-dest=c",
    "-a --timeout=7",
    "-a --bwlimit=1.5m",
    "-a --bwlimit=600b",
    "-aB1000",
    "-a --ignore-missing-args",
    "-a --delete-missing-args",
    "-a --delete-missing-args --ignore-missing-args",
    "-a --no-inc-recursive",
    "-a --usermap=0:1,2:x --groupmap=*:5",
    "-a --chown=a:b",
    "-a --mkpath",
    "-a --stderr=all",
    "-a --stderr=client",
    "-a --stderr=errors",
    "-a --no-msgs2stderr",
    "-a --stderr=all --stderr=errors",
    "-a --msgs2stderr --no-msgs2stderr",
    "-a --stderr=client --msgs2stderr",
    "-ai -M--fsync -M -X --remote-option=--suffix=a,b",
];

#[test]
fn what_the_other_side_is_to_do_is_told_in_stock_rsyncs_words() {
    let bench = Bench::new();
    fs::write(bench.path("list"), "a\n").unwrap();
    let list = bench.path("list");
    let lists = [
        "-a --files-from=LIST",
        "-a --delete --files-from=LIST",
        "-ar --no-relative --files-from=LIST",
        "-a0 --files-from=:LIST",
        "--old-dirs --files-from=LIST",
    ];
    let lists = lists.map(|args| args.replace("LIST", list.to_str().unwrap()));
    for way in WAYS {
        for args in TOLD.iter().copied().chain(lists.iter().map(String::as_str)) {
            let words: Vec<_> = args.split(' ').collect();
            let [stock, ours] = [End::Stock, End::Ours].map(|end| sorted(&told(&bench, end, way, &words)));
            assert_eq!(ours, stock, "{way:?} {args}");
        }
    }
}

/// The options of a command line in any order, and what is behind them.
fn sorted(words: &str) -> (Vec<String>, String) {
    // Lists of single directories are a matter of each side.
    let words = words.replace("e.iLsf", "e.Lsf");
    let (options, paths) = words.trim().split_once(" . ").unwrap();
    let mut options: Vec<_> = options.split(" -").map(|word| word.trim().to_owned()).collect();
    options.sort();
    (options, paths.to_owned())
}

#[test]
fn arguments_need_not_pass_the_other_sides_shell() {
    let bench = Bench::new();
    fs::create_dir(bench.src().join("a b'$(x)")).unwrap();
    fs::write(bench.src().join("a b'$(x)/file"), "file").unwrap();
    for way in WAYS {
        for args in [&["-ais"][..], &["-ai", "--secluded-args", "--backup-dir=b $x", "-M--fsync"], &["-ai", "--no-s"]] {
            bench.same(way, args);
        }
    }
    // The shell sees what begins the arguments, and no paths.
    for program in [End::Stock, End::Ours] {
        let words = told(&bench, program, Way::Pull, &["-as"]);
        assert!(
            words.starts_with("rsync --server --sender -slogDtpr") && !words.contains("src"),
            "{program:?} {words}"
        );
    }
}

#[test]
fn the_program_expands_wildcards_that_no_shell_has_seen() {
    let bench = Bench::new();
    for name in ["d1/x", "d2/x", ".hidden", "w*", "wx", "one"] {
        fs::create_dir_all(bench.src().join(name).parent().unwrap()).unwrap();
        fs::write(bench.src().join(name), name).unwrap();
    }
    for path in ["*", "w*", "w\\*", "d?/x", "[d]1", "none*", "one"] {
        let mut all = Vec::new();
        for (client, server) in [(End::Stock, End::Stock)].into_iter().chain(PAIRS) {
            bench.prepare("ours");
            let mut command = Command::new(if client == End::Ours { FOREBAY } else { "rsync" });
            command.args((client == End::Ours).then_some("sync")).args(["-ais", "-e"]).arg(bench.path("rsh"));
            if server == End::Ours {
                command.arg(format!("--rsync-path={FOREBAY} sync"));
            }
            command
                .arg(format!("host:{}/{path}", bench.src().display()))
                .arg(bench.path("ours"))
                .env("LC_ALL", "C.UTF-8");
            let output = finish(command);
            all.push((output.status.code(), String::from_utf8(output.stdout).unwrap()));
        }
        assert!(all.iter().all(|one| *one == all[0]), "{path}: {all:?}");
    }
}

#[test]
fn where_to_copy_may_have_wildcards_that_no_shell_has_seen() {
    for path in ["one/*", "o?e/x", "none*", "q d/*"] {
        let all = [(End::Stock, End::Stock)].into_iter().chain(PAIRS).map(|(client, server)| {
            let bench = Bench::new();
            fs::write(bench.src().join("f"), "f").unwrap();
            for name in ["one/x/old", "q d/a", "q d/b"] {
                fs::create_dir_all(bench.path(name).parent().unwrap()).unwrap();
                fs::write(bench.path(name), "").unwrap();
            }
            let mut command = Command::new(if client == End::Ours { FOREBAY } else { "rsync" });
            command.args((client == End::Ours).then_some("sync")).args(["-ais", "-e"]).arg(bench.path("rsh"));
            if server == End::Ours {
                command.arg(format!("--rsync-path={FOREBAY} sync"));
            }
            command.arg(bench.src()).arg(format!("host:{}", bench.path(path).display())).env("LC_ALL", "C.UTF-8");
            let output = finish(command);
            let there = Command::new("find").arg(".").current_dir(bench.path("")).output().unwrap();
            let mut there: Vec<_> = String::from_utf8(there.stdout).unwrap().lines().map(str::to_owned).collect();
            there.sort();
            let place = bench.path("").display().to_string();
            (output.status.code(), String::from_utf8(output.stdout).unwrap().replace(&place, "PLACE/"), there)
        });
        let all: Vec<_> = all.collect();
        assert!(all.iter().all(|one| *one == all[0]), "{path}: {all:?}");
    }
}

#[test]
fn who_sends_keeps_to_the_limit() {
    let bench = Bench::new();
    // What one step of the limit does not hold.
    fs::write(bench.src().join("file"), vec![7; 60_000]).unwrap();
    for way in WAYS {
        for pair in PAIRS {
            let begun = std::time::Instant::now();
            let did = bench.run(pair, way, &["-aW", "--bwlimit=50"], "ours");
            assert_eq!(did.code, Some(0), "{did:?}");
            assert!(begun.elapsed().as_millis() >= 900, "{pair:?} {way:?}: {:?}", begun.elapsed());
        }
    }
}

/// What the remote shell is given for a path, and that a host may be left to it.
#[test]
fn paths_are_told_as_stock_rsync_tells_them() {
    let bench = Bench::new();
    fs::write(bench.path("x"), "x").unwrap();
    bench.script("rsh", "echo \"host <$1> $*\" >\"$0.told\"\n");
    let told = |program: &str, first: &[&str], args: &[&str]| {
        let mut command = Command::new(program);
        command.args(first).arg("-e").arg(bench.path("rsh")).args(args);
        // From where the names are not there.
        let mut within = Command::new("env");
        within.arg("-C").arg(bench.path("")).arg(program).args(command.get_args());
        let _ = finish(within);
        fs::read_to_string(bench.path("rsh.told")).unwrap()
    };
    for args in [
        &["-a", "host:~", "y"][..],
        &["-a", "host:~/", "y"],
        &["-a", "host:~x", "y"],
        &["-a", "host:~x/~y", "y"],
        &["-aR", "host:~x/y", "y"],
        &["-a", "--old-args", "host:~", "y"],
        &["-a", "host:a~/~", "y"],
        &["-a", "x", "host:~"],
        &["-aR", "x", "host:~x/y"],
        &["-a", "-T~/t~", "x", "host:y"],
        &["-a", "x", ":y"],
        &["-a", "host:-x", "y"],
        &["-a", "--old-args", "host:--delete", "y"],
        &["-a", "x", "host:-*"],
        &["-a", ":x", "y"],
        &["-a", "host:x", ":z", "y"],
        &["-avv", "host:x"],
        &["-avv", "--list-only", "host:x"],
    ] {
        let [stock, ours] =
            [("rsync", &[][..]), (FOREBAY, &["sync"][..])].map(|(program, first)| told(program, first, args));
        assert_eq!(ours, stock, "{args:?}");
    }
}
