//! `--compare-dest`, `--copy-dest`, `--link-dest`: what other trees have.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;
use std::process::Command;

use crate::harness::{Bench, FOREBAY, command};
use crate::prepared::{NEW, OLD, put, same, settle, touch_link};
use crate::tree::touch;

/// Another tree with the same, with other attributes, with other content.
fn alternates(bench: &Bench) {
    let src = bench.src();
    for name in ["same", "mode", "time", "content", "size", "both", "exists", "sub/deep/file", "new", "over dir"] {
        put(&src.join(name), name, NEW);
    }
    for name in ["link", "other link", "kept link"] {
        symlink("target", src.join(name)).unwrap();
    }
    for (name, time) in [("link", NEW), ("other link", NEW), ("kept link", NEW)] {
        touch_link(&src.join(name), time);
    }
    fs::create_dir(src.join("new dir")).unwrap();
    settle(&src);
    bench.both(|place| {
        let alt = place.join("alt");
        crate::harness::copy(&src, &alt);
        for name in ["new", "new dir", "other link"] {
            let _ = fs::remove_file(alt.join(name)).or_else(|_| fs::remove_dir(alt.join(name)));
        }
        symlink("elsewhere", alt.join("other link")).unwrap();
        touch_link(&alt.join("other link"), NEW);
        assert!(command(None, "chmod", &["600"]).arg(alt.join("mode")).status().unwrap().success());
        touch(&alt.join("time"), OLD);
        put(&alt.join("content"), "CONTENT", NEW);
        put(&alt.join("size"), "another size", NEW);
        settle(&alt);
        put(&place.join("alt2/time"), "time", NEW);
        put(&place.join("dst/both"), "both", NEW);
        put(&place.join("dst/exists"), "old", OLD);
        fs::create_dir(place.join("dst/over dir")).unwrap();
        symlink("target", place.join("dst/kept link")).unwrap();
        touch_link(&place.join("dst/kept link"), NEW);
        settle(&place.join("dst"));
    });
}

/// The one file takes the name of a destination that is not there, and is looked for under it.
#[test]
fn a_file_that_gets_another_name_is_looked_for_under_that() {
    for kind in ["compare", "copy", "link"] {
        for options in ["-aivv", "-ai --no-W", "-ain"] {
            for name in ["new", "other", "link"] {
                let bench = Bench::new();
                put(&bench.src().join("file"), "file", NEW);
                bench.both(|place| {
                    put(&place.join("alt/file"), "file", NEW);
                    put(&place.join("alt/new"), "file", NEW);
                    put(&place.join("alt/other"), "another", OLD);
                    symlink("file", place.join("alt/link")).unwrap();
                    fs::create_dir(place.join("dst")).unwrap();
                    settle(&place.join("dst"));
                });
                let file = format!("{}/file", bench.src().display());
                let other = format!("--{kind}-dest=../alt");
                let args: Vec<&str> = options.split(' ').chain([&other[..], &file]).collect();
                let to = format!("dst/{name}");
                bench.same(&args.into_iter().chain([&to[..]]).collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn of_directories_in_several_trees_one_that_is_the_same_counts() {
    for kind in ["compare", "copy", "link"] {
        for options in ["-ai", "-aivv", "-av", "-ri", "-aiO"] {
            same(&format!("{options} --{kind}-dest=../alt --{kind}-dest=../alt2"), |bench| {
                put(&bench.src().join("dir/sub/file"), "file", NEW);
                settle(&bench.src());
                bench.both(|place| {
                    for tree in ["alt", "alt2"] {
                        crate::harness::copy(&bench.src(), &place.join(tree));
                    }
                    let mode = fs::Permissions::from_mode(0o711);
                    fs::set_permissions(place.join("alt/dir"), mode).unwrap();
                    touch(&place.join("alt/dir/sub"), OLD);
                    fs::create_dir(place.join("dst")).unwrap();
                    settle(&place.join("dst"));
                });
            });
        }
    }
}

#[test]
fn other_trees_are_compared_copied_from_and_linked_to() {
    for kind in ["compare", "copy", "link"] {
        for options in
            ["-ai", "-aivv", "-av", "-ain", "-aic", "-ai --delete", "-ai --inplace", "-ai --no-W", "-avv --no-t"]
        {
            same(
                &format!("{options} --{kind}-dest=../alt --{kind}-dest=../alt2 --{kind}-dest=../missing/"),
                alternates,
            );
        }
    }
    let bench = Bench::new();
    alternates(&bench);
    bench.same(&["-ai", "--link-dest=../alt", &format!("{}/", bench.src().display()), "dst"]);
    let ours = &bench.places()[1];
    for (name, linked) in [("same", true), ("exists", true), ("mode", false), ("size", false), ("link", true)] {
        let inode = |tree: &str| ours.join(tree).join(name).symlink_metadata().unwrap().ino();
        assert_eq!(inode("dst") == inode("alt"), linked, "{name}");
    }
}

/// A directory makes way for what another tree has, also where nothing comes in its place.
#[test]
fn a_directory_in_the_way_of_what_is_elsewhere_goes() {
    for kind in ["--link-dest", "--compare-dest", "--copy-dest"] {
        for options in ["-ai", "-rpti --size-only", "-ain"] {
            let bench = Bench::new();
            bench.both(|place| {
                for tree in ["src", "other"] {
                    put(&place.join(tree).join("file"), "file", NEW);
                }
                fs::create_dir_all(place.join("dst/file")).unwrap();
                for tree in ["src", "dst", "other"] {
                    touch(&place.join(tree), NEW);
                }
            });
            let args = format!("{options} {kind}=../other src/ dst");
            bench.same(&args.split(' ').collect::<Vec<_>>());
        }
    }
}

#[test]
fn what_is_no_file_is_looked_for_elsewhere_only_where_nothing_is() {
    for kind in ["--link-dest", "--compare-dest", "--copy-dest"] {
        for there in ["nothing", "file", "link", "same", "empty", "full"] {
            let bench = Bench::new();
            bench.both(|place| {
                for dir in ["src", "dst", "other"] {
                    fs::create_dir(place.join(dir)).unwrap();
                }
                for dir in ["src", "other"] {
                    symlink("to", place.join(dir).join("l")).unwrap();
                    assert!(Command::new("mkfifo").arg(place.join(dir).join("p")).status().unwrap().success());
                    for name in ["l", "p"] {
                        assert!(
                            Command::new("touch")
                                .args(["-h", "-d", NEW])
                                .arg(place.join(dir).join(name))
                                .status()
                                .unwrap()
                                .success()
                        );
                    }
                }
                for name in ["l", "p"] {
                    let path = place.join("dst").join(name);
                    match there {
                        "file" => fs::write(path, "x").unwrap(),
                        "link" => symlink("else", path).unwrap(),
                        "same" => symlink("to", path).unwrap(),
                        "empty" => fs::create_dir(path).unwrap(),
                        "full" => fs::create_dir_all(path.join("full")).unwrap(),
                        _ => {}
                    }
                }
                for dir in ["src", "dst", "other"] {
                    touch(&place.join(dir), NEW);
                }
            });
            bench.same(&["-ai", &format!("{kind}=../other"), "src/", "dst"]);
        }
    }
}

#[test]
fn a_directory_like_one_elsewhere_is_told_as_rsync_tells_it() {
    for kind in ["--link-dest", "--compare-dest", "--copy-dest"] {
        for args in ["-aiX -b", "-aiX -O", "-aiX", "-rlpiX", "-rlpiX -b", "-ai -b", "-ai -O"] {
            for (time, differs) in [(NEW, true), (NEW, false), (OLD, true), (OLD, false)] {
                let bench = Bench::new();
                bench.both(|place| {
                    put(&place.join("src/d/f"), "text", NEW);
                    put(&place.join("other/d/f"), "text", NEW);
                    fs::create_dir(place.join("dst")).unwrap();
                    if differs {
                        let dir = place.join("src/d");
                        let set = Command::new("setfattr").args(["-n", "user.a", "-v", "1"]).arg(dir).status();
                        assert!(set.unwrap().success());
                        fs::set_permissions(place.join("other/d"), fs::Permissions::from_mode(0o700)).unwrap();
                    }
                    for (dir, time) in [("src/d", NEW), ("other/d", time), ("src", NEW), ("dst", NEW)] {
                        touch(&place.join(dir), time);
                    }
                });
                let mut all: Vec<&str> = args.split(' ').collect();
                let other = format!("{kind}=../other");
                all.extend([&other[..], "src/", "dst"]);
                bench.same(&all);
            }
        }
    }
}

#[test]
fn a_file_of_another_tree_too_gets_its_exact_time_by_its_sum() {
    for args in ["-aic", "-avvc", "-aicn", "-ai", "-rlic"] {
        let bench = Bench::new();
        bench.both(|place| {
            put(&place.join("src/f"), "text", NEW);
            put(&place.join("other/f"), "text", &format!("{NEW}.6"));
            fs::create_dir(place.join("dst")).unwrap();
            fs::hard_link(place.join("other/f"), place.join("dst/f")).unwrap();
            ["src", "other", "dst"].iter().for_each(|dir| touch(&place.join(dir), NEW));
        });
        bench.same(&[args, "--link-dest=../other", "src/", "dst"]);
    }
}

/// Files with several names that differ in every way from what is there, and from another tree.
fn names(bench: &Bench) {
    let src = bench.src();
    let link = |dir: &Path, from: &str, to: &str| fs::hard_link(dir.join(from), dir.join(to)).unwrap();
    for name in ["content1", "mode1", "same1", "gone1", "elsewhere1", "apart1"] {
        put(&src.join(name), name, NEW);
    }
    for (name, to) in [("link1", "to"), ("target1", "to"), ("owner1", "to")] {
        symlink(to, src.join(name)).unwrap();
        touch_link(&src.join(name), NEW);
    }
    let names = ["content", "mode", "same", "gone", "elsewhere", "apart", "link", "target", "owner"];
    for name in names {
        link(&src, &format!("{name}1"), &format!("{name}2"));
        link(&src, &format!("{name}1"), &format!("{name}3"));
    }
    settle(&src);
    bench.both(|place| {
        let (dst, other) = (place.join("dst"), place.join("other"));
        crate::harness::copy(&src, &other);
        crate::harness::copy(&src, &dst);
        for name in ["content1", "elsewhere1"] {
            put(&dst.join(name), "another", OLD);
        }
        for name in ["content1", "mode1", "gone1", "link1", "target1", "owner1"] {
            fs::remove_file(other.join(name)).unwrap();
        }
        fs::set_permissions(dst.join("mode1"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::remove_file(dst.join("gone2")).unwrap();
        for name in ["apart1", "apart2", "apart3"] {
            fs::remove_file(dst.join(name)).unwrap();
            fs::remove_file(other.join(name)).unwrap();
            put(&other.join(name), "apart1", NEW);
        }
        touch_link(&dst.join("link1"), OLD);
        std::os::unix::fs::lchown(dst.join("owner1"), Some(3), None).unwrap();
        for name in ["target1", "target2", "target3"] {
            fs::remove_file(dst.join(name)).unwrap();
        }
        symlink("from", dst.join("target1")).unwrap();
        link(&dst, "target1", "target2");
        link(&dst, "target1", "target3");
        settle(&dst);
    });
}

#[test]
fn names_of_one_file_are_told_as_rsync_tells_them_dry_or_not() {
    for options in [
        "-avvnH",
        "-avvnHI",
        "-avnH",
        "-anHi",
        "-aivvnH",
        "-avvnH --link-dest=../other",
        "-aivvnH --link-dest=../other",
        "-anH --out-format=%n",
        "-avvH --link-dest=../other",
        "-aivvH --link-dest=../other",
        "-aiH --link-dest=../other",
    ] {
        same(options, names);
    }
}

/// The other tree has what the source has behind a link to `to`, which is `owner`'s.
fn linked(bench: &Bench, to: &str, owner: u32) {
    let src = bench.src();
    for name in ["dd/1", "dd/sub/2"] {
        put(&src.join(name), name, NEW);
    }
    symlink("x", src.join("dd/l")).unwrap();
    touch_link(&src.join("dd/l"), NEW);
    symlink("dd", src.join("ld")).unwrap();
    settle(&src);
    bench.both(|place| {
        for tree in ["alt", "else"] {
            crate::harness::copy(&src, &place.join(tree));
        }
        fs::remove_file(place.join("alt/ld")).unwrap();
        symlink(to, place.join("alt/ld")).unwrap();
        lchown(place.join("alt/ld"), Some(owner), None).unwrap();
        fs::create_dir(place.join("dst")).unwrap();
        settle(place);
    });
    put(&src.join("dd/new"), "new", NEW);
    settle(&src);
}

#[test]
fn links_to_directories_of_other_trees_are_followed_by_whose_they_are() {
    for (to, owner) in [("dd", 0), ("../else/dd", 0), ("nowhere", 0), ("dd", 1234)] {
        for kind in ["compare", "copy", "link"] {
            for options in ["-rLti", "-aLii", "-aLi --no-W -c", "-ak", "-aLii --insecure-links", "-aLiin"] {
                let bench = Bench::new();
                linked(&bench, to, owner);
                let (other, src) = (format!("--{kind}-dest=../alt"), format!("{}/", bench.src().display()));
                let args: Vec<&str> = options.split(' ').chain([&other[..], &src, "dst"]).collect();
                if options.contains('n') {
                    let [theirs, ours] = bench.places();
                    let refusals = |program: &str, first: &[&str], place: &Path| {
                        let output = command(None, program, first).args(&args).current_dir(place).output().unwrap();
                        String::from_utf8_lossy(&output.stderr).matches("refusing to follow a symlink").count()
                    };
                    let refused = refusals("rsync", &[], &theirs);
                    assert_eq!(refusals(FOREBAY, &["sync"], &ours), refused, "{to} {owner} {args:?}");
                    assert_eq!(refused > 0, owner != 0 && !options.contains("insecure"), "{to} {owner} {args:?}");
                }
                bench.same(&args);
                bench.same(&args);
            }
        }
    }
}

/// What is told of a link's time with `-J`, which leaves it as it is: as with rsync, nothing where the link is as it is to be, and
/// else that it is set.
#[test]
fn times_that_links_do_not_get_make_no_difference() {
    for kind in ["compare", "copy", "link"] {
        for options in ["-aiiJ", "-avii -OJ", "-rltiiJ", "-rliiJ", "-aiiJn", "-aiiJc", "-aii", "-aJ --stats"] {
            same(&format!("{options} --{kind}-dest=../alt"), |bench| {
                let put_link = |path: &Path, to: &str, time: &str| {
                    symlink(to, path).unwrap();
                    touch_link(path, time);
                };
                let src = bench.src();
                let names = ["same", "time", "target", "both", "there", "stays"];
                for name in names.iter().chain(&["new"]) {
                    put_link(&src.join(name), "x", NEW);
                }
                put(&src.join("dir/file"), "file", NEW);
                settle(&src);
                bench.both(|place| {
                    let (alt, dst) = (place.join("alt"), place.join("dst"));
                    put(&alt.join("dir/file"), "file", OLD);
                    fs::create_dir(&dst).unwrap();
                    for (name, (to, time)) in names.iter().zip([("x", NEW), ("x", OLD), ("y", NEW), ("y", OLD)]) {
                        put_link(&alt.join(name), to, time);
                    }
                    put_link(&dst.join("there"), "y", NEW);
                    put_link(&dst.join("stays"), "x", OLD);
                    settle(place);
                });
            });
        }
    }
}

#[test]
fn a_tree_without_a_name_is_the_destination() {
    for kind in ["compare", "copy", "link"] {
        for options in ["-aii", "-aiin", "-aiic"] {
            same(&format!("{options} --{kind}-dest="), |bench| {
                for name in ["same", "other", "sub/same"] {
                    put(&bench.src().join(name), name, NEW);
                }
                settle(&bench.src());
                bench.both(|place| {
                    crate::harness::copy(&bench.src(), &place.join("dst"));
                    put(&place.join("dst/other"), "older", OLD);
                    settle(&place.join("dst"));
                });
            });
        }
    }
}

/// As another user: root may read everything.
#[test]
fn what_is_elsewhere_and_may_not_be_read_is_like_nothing() {
    for kind in ["copy", "link", "compare"] {
        for options in ["-aii --no-p", "-aii", "-aii --no-p --no-W", "-ain --no-p", "-ai --stats"] {
            let bench = Bench::new();
            let src = bench.src();
            put(&src.join("closed"), "closed", NEW);
            put(&src.join("open"), "open", NEW);
            settle(&src);
            bench.both(|place| {
                let alt = place.join("alt");
                crate::harness::copy(&src, &alt);
                fs::set_permissions(alt.join("closed"), fs::Permissions::from_mode(0o0)).unwrap();
                fs::create_dir(place.join("dst")).unwrap();
                settle(place);
                lchown(place.join("dst"), Some(65_534), Some(65_534)).unwrap();
            });
            let (other, src) = (format!("--{kind}-dest=../alt"), format!("{}/", src.display()));
            let args: Vec<&str> = options.split(' ').chain([&other[..], &src, "dst"]).collect();
            bench.same_as(Some(65_534), &args);
        }
    }
}
