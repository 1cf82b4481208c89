//! What entries are beside their content: hard links, ACLs, extended attributes, owners, modes and links, on random trees.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Bench, copy, keeps_links, rounds};
use crate::tree::{Rng, change, fill, touch};

/// Everything beneath `dir`, sorted.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.symlink_metadata().unwrap().is_dir() {
                dirs.push(path.clone());
            }
            all.push(path);
        }
    }
    all.sort();
    all
}

/// Which names are one file.
fn groups(root: &Path) -> Vec<Vec<PathBuf>> {
    let mut groups: BTreeMap<(u64, u64), Vec<PathBuf>> = BTreeMap::new();
    for path in entries(root) {
        let meta = path.symlink_metadata().unwrap();
        if meta.nlink() > 1 && !meta.is_dir() {
            groups.entry((meta.dev(), meta.ino())).or_default().push(path.strip_prefix(root).unwrap().to_owned());
        }
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort();
    groups
}

/// ACLs and extended attributes of everything in `place`, as text.
fn attributes(place: &Path) -> String {
    // Sorted by path: directories need not list what is in them in the same order.
    let script = "find . ! -type l -print0 | LC_ALL=C sort -z | xargs -0 getfacl -n -P -- | grep -v -e '^# owner' -e '^# group' -e '^# flags'; \
                  getfattr -R -h -P -d -m '^user[.]|^trusted[.]' . | sort";
    let output = Command::new("sh").args(["-c", script]).current_dir(place).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs both programs and compares also what [`Bench::same`] does not.
pub(crate) fn same(bench: &Bench, args: &[String]) {
    same_as(bench, None, args);
}

/// As [`same`], as another user.
pub(crate) fn same_as(bench: &Bench, user: Option<u32>, args: &[String]) {
    bench.same_as(user, args);
    let [theirs, ours] = bench.places();
    if keeps_links(args) {
        assert_eq!(groups(&ours), groups(&theirs), "{args:?}");
    }
    assert_eq!(attributes(&ours), attributes(&theirs), "{args:?}");
}

/// Gives some of what is beneath `dir` further names.
pub(crate) fn link_some(rng: &mut Rng, dir: &Path) {
    let (dirs, others): (Vec<_>, Vec<_>) =
        entries(dir).into_iter().partition(|path| path.symlink_metadata().unwrap().is_dir());
    for path in others {
        for _ in 0..rng.below(4).saturating_sub(1) {
            let at = rng.below(dirs.len() as u64 + 1) as usize;
            let to = dirs.get(at).map_or(dir, PathBuf::as_path).join(format!("link{}", rng.below(40)));
            // A name that is taken stays as it is.
            let _ = fs::hard_link(&path, to);
        }
    }
}

/// Removes from `dst` what is of another kind than its source. With a full directory in the way of one name of a file,
/// stock rsync 3.5.0 hangs.
pub(crate) fn clear_the_way(src: &Path, dst: &Path) {
    for path in entries(dst).into_iter().rev() {
        let source = src.join(path.strip_prefix(dst).unwrap()).symlink_metadata();
        let kind = path.symlink_metadata().unwrap().file_type();
        if source.is_ok_and(|source| source.file_type() != kind) {
            if kind.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
        }
    }
}

/// Takes names from files in `dst` whose other names are those of another file in `src`.
pub(crate) fn part_others(src: &Path, dst: &Path) {
    let file = |name: &Path| src.join(name).symlink_metadata().ok().map(|meta| meta.ino());
    for names in groups(dst) {
        let first = names.iter().find_map(|name| file(name));
        for name in names.iter().filter(|name| file(name).is_some_and(|file| Some(file) != first)) {
            fs::remove_file(dst.join(name)).unwrap();
        }
    }
}

/// Removes files from `dst` that get another content, or make way for something else.
pub(crate) fn keep_lasting(src: &Path, dst: &Path) {
    for path in entries(dst).into_iter().filter(|path| path.symlink_metadata().unwrap().is_file()) {
        let source = src.join(path.strip_prefix(dst).unwrap());
        let same = |meta: fs::Metadata| meta.is_file() && fs::read(&source).unwrap() == fs::read(&path).unwrap();
        if source.symlink_metadata().is_ok_and(|meta| !same(meta)) {
            fs::remove_file(path).unwrap();
        }
    }
}

/// Gives some of what is beneath `dir` ACLs and extended attributes.
pub(crate) fn dress_some(rng: &mut Rng, dir: &Path) {
    for path in entries(dir) {
        let kind = path.symlink_metadata().unwrap().file_type();
        if !(kind.is_file() || kind.is_dir()) {
            continue;
        }
        for _ in 0..rng.below(3) {
            let mut command = match rng.below(4) {
                0 => Command::new("setfattr"),
                1 if kind.is_dir() => Command::new("setfacl"),
                _ => Command::new(rng.pick(&["setfattr", "setfacl"])),
            };
            let args: &[&str] = match (command.get_program() == "setfacl", rng.below(3)) {
                (true, 0) if kind.is_dir() => &["-d", "-m", "u:33:rwx,g:7:r"],
                (true, 1) => &["-m", "u:1:rx,m::r"],
                (true, _) => &["-m", "u:33:rw,g:7:x"],
                (false, 0) => &["-n", "user.a", "-v", "1"],
                (false, 1) => &["-n", "trusted.b", "-v", "two"],
                (false, _) => &["-n", "user.long", "-v", "0123456789012345678901234567890123456789"],
            };
            // Some modes refuse attributes.
            let _ = command.args(args).arg("--").arg(&path).output().unwrap();
        }
    }
}

#[test]
fn what_is_one_file_under_several_names_stays_one() {
    rounds(30, |seed| {
        let mut rng = Rng::new(seed);
        let bench = Bench::new();
        fill(&mut rng, &bench.src(), 3);
        link_some(&mut rng, &bench.src());
        let mut args = vec![rng.pick(&["-aHi", "-aHin", "-aHiv", "-aHic"]).to_owned()];
        bench.both(|place| {
            if rng.one_in(2) {
                copy(&bench.src(), &place.join("dst"));
                change(&mut rng, &place.join("dst"), 2);
                clear_the_way(&bench.src(), &place.join("dst"));
            }
        });
        if rng.one_in(3) {
            args.push("--delete".into());
        }
        args.extend([format!("{}/", bench.src().display()), "dst".into()]);
        eprintln!("seed {seed}: {args:?}");
        same(&bench, &args);
    });
}

#[test]
fn acls_and_extended_attributes_go_along() {
    rounds(30, |seed| {
        let mut rng = Rng::new(seed);
        let bench = Bench::new();
        fill(&mut rng, &bench.src(), 3);
        dress_some(&mut rng, &bench.src());
        bench.both(|place| {
            if rng.one_in(2) {
                copy(&bench.src(), &place.join("dst"));
                dress_some(&mut rng, &place.join("dst"));
            }
        });
        let mut args = vec![rng.pick(&["-aXi", "-aAi", "-aAXi", "-aAXin"]).to_owned()];
        args.extend([format!("{}/", bench.src().display()), "dst".into()]);
        eprintln!("seed {seed}: {args:?}");
        same(&bench, &args);
    });
}

#[test]
fn modes_owners_and_links_change_on_the_way() {
    const SOME: &[&str] = &[
        "--chmod=D755,F640",
        "--chmod=a+X,go-w",
        "--chmod=Du+s,Fo=",
        "--chown=1:2",
        "--chown=:7",
        "--usermap=0:33,1-2:1",
        "--chown=1:2 --out-format=%U:%G:%n",
        "--groupmap=*:5",
        "--numeric-ids",
        "-E --no-p",
        "-O",
        "-J",
        "-k",
        "--safe-links",
        "--munge-links",
    ];
    rounds(40, |seed| {
        let mut rng = Rng::new(seed);
        let bench = Bench::new();
        fill(&mut rng, &bench.src(), 3);
        bench.both(|place| {
            if rng.one_in(2) {
                copy(&bench.src(), &place.join("dst"));
                change(&mut rng, &place.join("dst"), 2);
            }
        });
        let mut args = vec![rng.pick(&["-ai", "-ain", "-aiv"]).to_owned()];
        for _ in 0..=rng.below(2) {
            args.extend(rng.pick(SOME).split(' ').map(str::to_owned));
        }
        args.extend([format!("{}/", bench.src().display()), "dst".into()]);
        eprintln!("seed {seed}: {args:?}");
        same(&bench, &args);
    });
}

#[test]
fn a_munged_link_leads_nowhere_where_it_is_to_be_followed() {
    for args in ["-ai", "-aivv", "-aiL", "-aik", "-ai --safe-links"] {
        let bench = Bench::new();
        fs::write(bench.src().join("f"), "f").unwrap();
        for (name, to) in [("munged", "/rsyncd-munged/f"), ("out", "/rsyncd-munged//f"), ("in", "f")] {
            symlink(to, bench.src().join(name)).unwrap();
        }
        let mut args: Vec<String> = args.split(' ').map(str::to_owned).collect();
        args.extend(["--munge-links", "--copy-unsafe-links"].map(str::to_owned));
        args.extend([format!("{}/", bench.src().display()), "dst".to_owned()]);
        eprintln!("{args:?}");
        assert_eq!(bench.same(&args).code, Some(23));
    }
}

#[test]
fn a_newer_name_becomes_a_link_behind_one_that_is_replaced() {
    // At the destination: whether `f`, `g` and `h`, one file in the source, are older or newer there, or missing.
    for there in ["oon", "nnn", "non", "ono", "-nn", "n-n", "--n", "on-", "n--"] {
        for options in ["-aHiu", "-aHiun"] {
            let bench = Bench::new();
            fs::write(bench.src().join("f"), "new content").unwrap();
            touch(&bench.src().join("f"), "@1000000000");
            for name in ["g", "h"] {
                fs::hard_link(bench.src().join("f"), bench.src().join(name)).unwrap();
            }
            bench.both(|place| {
                fs::create_dir(place.join("dst")).unwrap();
                for (name, age) in ["f", "g", "h"].iter().zip(there.chars()).filter(|&(_, age)| age != '-') {
                    let path = place.join("dst").join(name);
                    fs::write(&path, "old").unwrap();
                    touch(&path, if age == 'o' { "@900000000" } else { "@1000000001" });
                }
            });
            eprintln!("{there} {options}");
            same(&bench, &[options.to_owned(), format!("{}/", bench.src().display()), "dst".to_owned()]);
        }
    }
}

/// Of such, stock rsync says less than of others: only that what is left is the same is compared.
#[test]
fn set_id_bits_outlive_a_change_of_owner() {
    for options in ["-aq", "-aqH", "-aq --inplace", "-rpgq", "-aq --chown=5:6", "-rgoq"] {
        let bench = Bench::new();
        let modes = [0o4755, 0o2755, 0o6711, 0o2644];
        for (n, mode) in modes.into_iter().enumerate() {
            let path = bench.src().join(n.to_string());
            fs::write(&path, "content").unwrap();
            touch(&path, "@1000000000");
            std::os::unix::fs::chown(&path, Some(3), Some(4)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        bench.both(|place| {
            copy(&bench.src(), &place.join("dst"));
            for (n, mode) in modes.into_iter().enumerate() {
                let path = place.join("dst").join(n.to_string());
                std::os::unix::fs::chown(&path, Some(1), Some(2)).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
        });
        let src = format!("{}/", bench.src().display());
        bench.same(&options.split(' ').chain([&src[..], "dst"]).collect::<Vec<_>>());
    }
}

#[test]
fn what_gets_another_name_of_a_file_is_backed_up() {
    for options in [
        "-b",
        "-b --suffix=.old",
        "--backup-dir=bak",
        "--backup-dir=../bak",
        "-b --inplace",
        "-b -c",
        "-b --delay-updates",
    ] {
        let bench = Bench::new();
        bench.both(|place| {
            fs::create_dir_all(place.join("src/d")).unwrap();
            fs::create_dir_all(place.join("dst/d")).unwrap();
            fs::write(place.join("src/a"), "new").unwrap();
            for name in ["b", "c", "d/e", "z"] {
                fs::hard_link(place.join("src/a"), place.join("src").join(name)).unwrap();
            }
            std::os::unix::fs::symlink("new", place.join("src/link")).unwrap();
            fs::hard_link(place.join("src/link"), place.join("src/twin")).unwrap();
            for name in ["b", "d/e", "twin"] {
                fs::write(place.join("dst").join(name), format!("old {name}")).unwrap();
                touch(&place.join("dst").join(name), "@900000000");
            }
            std::os::unix::fs::symlink("old", place.join("dst/z")).unwrap();
            for dir in ["src", "src/d", "dst", "dst/d", "src/a"] {
                touch(&place.join(dir), "@1000000000");
            }
        });
        let args: Vec<String> = format!("-aiHO {options} src/ dst").split(' ').map(str::to_owned).collect();
        same(&bench, &args);
        same(&bench, &args);
    }
}

#[test]
fn who_is_no_super_user_by_name_copies_one_namespace() {
    for option in ["--no-super", "--super", "--no-super --fake-super"] {
        let bench = Bench::new();
        bench.both(|place| {
            for dir in ["src", "dst"] {
                fs::create_dir(place.join(dir)).unwrap();
                fs::write(place.join(dir).join("a"), "same").unwrap();
                touch(&place.join(dir).join("a"), "@1000000000");
                for name in ["user.a", "trusted.a", &format!("trusted.{dir}"), &format!("user.{dir}")] {
                    let file = place.join(dir).join("a");
                    let set = Command::new("setfattr").args(["-n", name, "-v", dir]).arg(file).status();
                    assert!(set.unwrap().success());
                }
                touch(&place.join(dir), "@1000000000");
            }
        });
        let args: Vec<String> = format!("-aiX {option} src/ dst").split(' ').map(str::to_owned).collect();
        same(&bench, &args);
    }
}

#[test]
fn what_gets_other_extended_attributes_gets_its_exact_time() {
    for options in ["-aXi", "-avvX", "-aXn", "-rltXJi", "-rltXOi", "-rlXi"] {
        let bench = Bench::new();
        bench.both(|place| {
            for (dir, time) in [("src", "@1000000000.6"), ("dst", "@1000000000.3")] {
                let dir = place.join(dir);
                fs::create_dir_all(dir.join("d")).unwrap();
                for name in ["a", "b", "c"] {
                    fs::write(dir.join(name), name).unwrap();
                }
                std::os::unix::fs::symlink("a", dir.join("l")).unwrap();
                let dressed: &[&str] = if dir.ends_with("src") { &["a", "d", "l"] } else { &["b"] };
                for name in dressed {
                    let path = dir.join(name);
                    let set = Command::new("setfattr").args(["-h", "-n", "trusted.a", "-v", "1"]).arg(path).status();
                    assert!(set.unwrap().success());
                }
                ["a", "b", "c", "d", "l"].iter().for_each(|name| touch(&dir.join(name), time));
                touch(&dir, "@1000000000");
            }
        });
        let args: Vec<String> = format!("{options} src/ dst").split(' ').map(str::to_owned).collect();
        same(&bench, &args);
        let [theirs, ours] = bench.places().map(|place| place.join("dst/d").metadata().unwrap().mtime_nsec());
        assert_eq!(ours, theirs, "{args:?}");
    }
}

#[test]
fn a_file_with_several_names_comes_from_another_tree_that_has_it() {
    for kind in ["--link-dest", "--copy-dest"] {
        for options in ["-aHi", "-aHi --info=name2", "-aHvv", "-rlpgoi -H", "-rlpgoi -H --info=name2", "-aHin", "-aHic"]
        {
            // Of copies, stock rsync says twice with -vv what comes before the leader.
            if kind == "--copy-dest" && options == "-aHvv" {
                continue;
            }
            for (time, content, there) in
                [(0, "text", false), (1, "text", false), (0, "more", false), (0, "text", true)]
            {
                let bench = Bench::new();
                bench.both(|place| {
                    let [src, dst, other] = ["src", "dst", "other"].map(|dir| place.join(dir));
                    fs::create_dir_all(src.join("d")).unwrap();
                    fs::create_dir(&dst).unwrap();
                    fs::write(src.join("a"), "text").unwrap();
                    let link = |name: &str| fs::hard_link(src.join("a"), src.join(name)).unwrap();
                    ["b", "d/z"].into_iter().for_each(link);
                    copy(&src, &other);
                    ["0", "c", "d/e"].into_iter().for_each(link);
                    fs::write(other.join("a"), content).unwrap();
                    touch(&src.join("a"), "@1000000000");
                    touch(&other.join("a"), &format!("@{}", 1_000_000_000 + time));
                    if there {
                        fs::write(dst.join("c"), "text").unwrap();
                        touch(&dst.join("c"), "@1000000000");
                    }
                    for dir in ["src/d", "src", "dst", "other/d", "other"] {
                        touch(&place.join(dir), "@1000000000");
                    }
                });
                let args: Vec<String> =
                    format!("{options} {kind}=../other src/ dst").split(' ').map(str::to_owned).collect();
                same(&bench, &args);
                same(&bench, &args);
            }
        }
    }
}

/// Names that are one file already, and get other attributes, are told each.
#[test]
fn names_of_a_file_that_gets_other_attributes_are_told_each() {
    for options in ["-aHXi", "-aHXii", "-aHXvv", "-aHXin", "-aHAXi"] {
        for set in ["setfattr -n user.a -v 1 src/a", "chmod 600 src/a", "setfacl -m u:7:r src/a", "chown 7 src/a"] {
            let bench = Bench::new();
            bench.both(|place| {
                fs::create_dir(place.join("src")).unwrap();
                fs::write(place.join("src/a"), "text").unwrap();
                ["b", "c"].into_iter().for_each(|name| {
                    fs::hard_link(place.join("src/a"), place.join("src").join(name)).unwrap();
                });
                touch(&place.join("src/a"), "@1000000000");
                copy(&place.join("src"), &place.join("dst"));
                let words: Vec<&str> = set.split(' ').collect();
                assert!(Command::new(words[0]).args(&words[1..]).current_dir(place).status().unwrap().success());
                ["src", "dst"].into_iter().for_each(|dir| touch(&place.join(dir), "@1000000000"));
            });
            let args: Vec<String> = format!("{options} src/ dst").split(' ').map(str::to_owned).collect();
            same(&bench, &args);
        }
    }
}

/// What another tree has replaces what the destination has, and then all names of the file are names of that.
#[test]
fn all_names_are_those_of_what_another_tree_has() {
    for (there, others) in [("d/a", "f/l"), ("f/l", "d/a"), ("c/l", "a/l b/l"), ("b/l", "a/l c/l"), ("a/l", "b/l c/l")]
    {
        for options in ["-aHvv", "-aHi", "-aHic", "-aHi --remove-source-files"] {
            let bench = Bench::new();
            bench.both(|place| {
                for name in [there].into_iter().chain(others.split(' ')) {
                    for tree in ["src", "dst", "other"] {
                        fs::create_dir_all(place.join(tree).join(name).parent().unwrap()).unwrap();
                    }
                    if name != there {
                        fs::hard_link(place.join("src").join(there), place.join("src").join(name)).unwrap();
                        continue;
                    }
                    for tree in ["src", "dst", "other"] {
                        fs::write(place.join(tree).join(name), "text").unwrap();
                        touch(&place.join(tree).join(name), "@1000000000");
                    }
                }
                let find = ["-type", "d", "-exec", "touch", "-d", "@1000000000", "{}", "+"];
                assert!(Command::new("find").arg(place).args(find).status().unwrap().success());
            });
            let args: Vec<String> =
                format!("{options} --link-dest=../other src/ dst").split(' ').map(str::to_owned).collect();
            same(&bench, &args);
        }
    }
}

/// Names that are one file in the source, and at the destination files of their own. Some have the source's content and time
/// already.
fn apart(same: &[&str]) -> Bench {
    let bench = Bench::new();
    let set = |dir: &Path, program: &str, args: &[&str]| {
        assert!(Command::new(program).args(args).arg(dir.join("a")).status().unwrap().success());
    };
    let src = bench.src();
    fs::write(src.join("a"), "text").unwrap();
    touch(&src.join("a"), "@1000000000");
    bench.both(|place| {
        fs::create_dir_all(place.join("dst/d")).unwrap();
        for name in ["a", "b", "d/c"] {
            let path = place.join("dst").join(name);
            fs::write(&path, if same.contains(&name) { "text" } else { "other" }).unwrap();
            touch(&path, if same.contains(&name) { "@1000000000" } else { "@900000000" });
        }
    });
    set(&src, "setfacl", &["-m", "u:33:rw,g:7:x"]);
    set(&src, "setfattr", &["-n", "user.a", "-v", "1"]);
    fs::create_dir(src.join("d")).unwrap();
    fs::hard_link(src.join("a"), src.join("b")).unwrap();
    fs::hard_link(src.join("a"), src.join("d/c")).unwrap();
    bench
}

#[test]
fn what_a_link_replaces_is_told_without_what_the_link_brings() {
    for same_names in [&[][..], &["a"], &["b"], &["d/c"], &["a", "b", "d/c"]] {
        for options in ["-rlptiHA", "-rlptiHX", "-rlptiHAX", "-rlptiHAXn", "-rlptiHAX --no-i-r"] {
            let bench = apart(same_names);
            let mut args: Vec<String> = options.split(' ').map(str::to_owned).collect();
            args.extend([format!("{}/", bench.src().display()), "dst".to_owned()]);
            eprintln!("{same_names:?} {args:?}");
            same(&bench, &args);
        }
    }
}

#[test]
fn without_p_a_new_file_is_like_what_has_its_name_in_another_tree() {
    for other in ["", "text", "other text"] {
        for kind in ["--copy-dest", "--compare-dest", "--link-dest"] {
            for options in ["-ri", "-rti --no-W", "-riE", "-rpi", "-ri --chmod=F640", "-rtiI", "-ri --inplace"] {
                let bench = Bench::new();
                let src = bench.src().join("f");
                fs::write(&src, "text").unwrap();
                fs::set_permissions(&src, fs::Permissions::from_mode(0o755)).unwrap();
                touch(&src, "@1000000000");
                bench.both(|place| {
                    fs::create_dir(place.join("dst")).unwrap();
                    fs::create_dir(place.join("other")).unwrap();
                    fs::write(place.join("other/f"), other).unwrap();
                    fs::set_permissions(place.join("other/f"), fs::Permissions::from_mode(0o604)).unwrap();
                    touch(&place.join("other/f"), "@1000000000");
                });
                let mut args: Vec<String> = options.split(' ').map(str::to_owned).collect();
                args.extend([format!("{kind}=../other"), format!("{}/", bench.src().display()), "dst".to_owned()]);
                same(&bench, &args);
            }
        }
    }
}

#[test]
fn names_that_append_has_nothing_to_add_to_have_no_part_in_their_group() {
    for (a, b) in [("longer text", None), ("longer text", Some("longer yet, it is")), ("te", Some("longer text"))] {
        for options in ["-rtiH --append", "-rtiH --append-verify", "-rtiHn --append", "-rtiHc --append", "-rtiH"] {
            let bench = Bench::new();
            let src = bench.src();
            fs::write(src.join("a"), "text").unwrap();
            touch(&src.join("a"), "@1000000000");
            for name in ["b", "c"] {
                fs::hard_link(src.join("a"), src.join(name)).unwrap();
            }
            bench.both(|place| {
                fs::create_dir(place.join("dst")).unwrap();
                for (name, text) in [("a", Some(a)), ("b", b)] {
                    let path = place.join("dst").join(name);
                    text.into_iter().for_each(|text| fs::write(&path, text).unwrap());
                }
            });
            let mut args: Vec<String> = options.split(' ').map(str::to_owned).collect();
            args.extend([format!("{}/", src.display()), "dst".to_owned()]);
            eprintln!("{a:?} {b:?} {args:?}");
            same(&bench, &args);
        }
    }
}

#[test]
fn a_copy_from_another_tree_takes_the_mode_of_what_it_replaces() {
    for make in ["ln -s nowhere", "mkfifo -m 604", "mkdir -m 705"] {
        let bench = Bench::new();
        fs::write(bench.src().join("f"), "text").unwrap();
        fs::set_permissions(bench.src().join("f"), fs::Permissions::from_mode(0o600)).unwrap();
        bench.both(|place| {
            fs::create_dir(place.join("dst")).unwrap();
            copy(&bench.src(), &place.join("other"));
            let script = format!("{make} dst/f");
            assert!(Command::new("sh").args(["-c", &script]).current_dir(place).status().unwrap().success());
        });
        same(
            &bench,
            &["-rti", "--copy-dest=../other", &format!("{}/", bench.src().display()), "dst"].map(str::to_owned),
        );
    }
}

#[test]
fn links_that_files_stand_for_have_times() {
    let bench = Bench::new();
    std::os::unix::fs::symlink("nowhere", bench.src().join("l")).unwrap();
    touch(&bench.src().join("l"), "@1000000000");
    let args = ["-aiJ", "-M--fake-super", &format!("{}/", bench.src().display()), "dst"].map(str::to_owned);
    same(&bench, &args);
    same(&bench, &args);
}

#[test]
fn access_times_of_what_is_no_file_are_kept_too() {
    let script = "mkfifo fifo; mknod device c 1 3; ln -s to link; echo a > file; mkdir dir; \
        touch -h -m -d @1000000000 fifo device link file dir; touch -h -a -d @$1 fifo device link file dir";
    let make = |place: &Path, atime: &str| {
        let mut shell = Command::new("sh");
        assert!(shell.args(["-ec", script, "sh", atime]).current_dir(place).status().unwrap().success());
    };
    for (options, differ) in [("-aiU", 3), ("-aiUJ", 3), ("-aiUn", 3), ("-aiU --no-t", 3), ("-ai", 0)] {
        let bench = Bench::new();
        make(&bench.src(), "1100000000");
        bench.both(|place| {
            fs::create_dir(place.join("dst")).unwrap();
            make(&place.join("dst"), "1050000000");
        });
        let source = format!("{}/", bench.src().display());
        let did = bench.same(&[&options.split(' ').collect::<Vec<_>>()[..], &[&source, "dst"]].concat());
        assert_eq!(did.lines.iter().filter(|line| line.contains('u')).count(), differ, "{options}: {did:?}");
        let [theirs, ours] = bench.places().map(|place| {
            ["fifo", "device", "link", "file"].map(|name| {
                let seen = place.join("dst").join(name).symlink_metadata().unwrap().atime();
                // What was set by being read differs.
                if seen > 1_600_000_000 { 0 } else { seen }
            })
        });
        assert_eq!(ours, theirs, "{options}");
    }
}

/// Of names that are one file at the destination, the first that is to have other attributes gets them for all.
#[test]
fn the_first_of_several_names_of_a_file_is_told_to_get_other_attributes() {
    for options in ["-ai", "-ai --delete-after", "-ain"] {
        let bench = Bench::new();
        let names: Vec<_> = (0..40).map(|n| format!("d{n:02}/f")).collect();
        for (n, name) in names.iter().enumerate() {
            let file = bench.src().join(name);
            fs::create_dir(file.parent().unwrap()).unwrap();
            fs::write(&file, "text").unwrap();
            // One changes it back, for those behind it to change again.
            fs::set_permissions(&file, fs::Permissions::from_mode(if n == 20 { 0o640 } else { 0o600 })).unwrap();
            touch(&file, "@1000000000");
        }
        // Something to do before the first.
        fs::write(bench.src().join("d00/before"), vec![7; 40_000_000]).unwrap();
        bench.both(|place| {
            for name in &names {
                fs::create_dir_all(place.join("dst").join(name).parent().unwrap()).unwrap();
            }
            let first = place.join("dst").join(&names[0]);
            fs::write(&first, "text").unwrap();
            touch(&first, "@1000000000");
            names[1..].iter().for_each(|name| fs::hard_link(&first, place.join("dst").join(name)).unwrap());
        });
        for dir in names.iter().map(|name| Path::new(name).parent().unwrap()) {
            touch(&bench.src().join(dir), "@1100000000");
        }
        let src = format!("{}/", bench.src().display());
        let args: Vec<_> = options.split(' ').chain([&*src, "dst"]).collect();
        let did = bench.same(&args);
        let told = did.lines.iter().filter(|line| line.starts_with(".f")).count();
        assert_eq!(told, if options.contains('n') { 40 } else { 3 }, "{options}");
    }
}
