//! `--files-from`: names on either side.

use std::fs;
use std::os::unix::fs::symlink;

use crate::harness::{Bench, Did, End, PAIRS, WAYS, Way, agreed, finish};
use crate::tree::{look, touch};

fn bench() -> Bench {
    let bench = Bench::new();
    let src = bench.src();
    fs::create_dir_all(src.join("d/e")).unwrap();
    for name in ["a", "#a", "b", "d/x", "d/e/y", "not asked for"] {
        fs::write(src.join(name), name).unwrap();
    }
    fs::write(bench.path("list"), "d/x\n\n#a\n;b\na\r\n./d/e\nnone\n").unwrap();
    fs::write(bench.path("list0"), "d/x\0\0#a\0a\0d/./e/y\0").unwrap();
    bench
}

#[test]
fn names_of_either_side() {
    let bench = bench();
    let (list, list0) = (bench.path("list").display().to_string(), bench.path("list0").display().to_string());
    for way in WAYS {
        for there in [format!(":{list}"), format!("host:{list}"), list.clone()] {
            let from = format!("--files-from={there}");
            for more in [&[][..], &["-r"], &["--no-relative"], &["--protocol=30"], &["-r", "--delete"]] {
                bench.same(way, &[&["-ai", &from], more].concat());
            }
        }
        // Nothing is left to copy: other trees are looked for beside the destination all the same.
        fs::write(bench.path("nothing"), "none\n").unwrap();
        let nothing = format!("--files-from={}", bench.path("nothing").display());
        bench.same(way, &["-ai", &nothing, "--compare-dest=../alt"]);
        for there in [format!(":{list0}"), list0.clone()] {
            bench.same(way, &["-ai", "-0", &format!("--files-from={there}")]);
        }
    }
}

/// What a server says of a name is escaped once: where it is printed.
#[test]
fn names_in_messages_are_escaped_once() {
    let bench = Bench::new();
    symlink("nowhere", bench.src().join("\u{e4}")).unwrap();
    for way in WAYS {
        let said = |pair| {
            bench.prepare("ours");
            let mut client = bench.client(pair, way, &["-aL"], "ours");
            client.env("LC_ALL", "C");
            let errors = String::from_utf8(finish(client).stderr).unwrap();
            let line = errors.lines().find(|line| line.contains("no referent")).map(str::to_owned);
            line.unwrap_or_else(|| panic!("{pair:?} {way:?}: {errors}"))
        };
        let stock = said((End::Stock, End::Stock));
        assert!(stock.ends_with("/\\#303\\#244\""), "{stock}");
        for pair in PAIRS {
            assert_eq!(said(pair), stock, "{pair:?} {way:?}");
        }
    }
}

#[test]
fn only_names_are_divided_and_not_the_source() {
    let bench = bench();
    fs::write(bench.path("list"), "x\ne/y\n").unwrap();
    touch(&bench.src().join("d"), "@1000000000");
    let from = format!("--files-from={}", bench.path("list").display());
    for way in WAYS {
        for source in ["d", "d/./", "./d/", "d/."] {
            let did = bench.same_of(way, &["-ai", &from], &[source]);
            assert!(did.lines.iter().any(|line| line.ends_with(" x")), "{did:?}");
        }
    }
}

/// A name with the end of a line in it makes no line of its own.
#[test]
fn names_in_messages_stay_in_their_lines() {
    let bench = Bench::new();
    fs::write(bench.src().join("a\nrsync: all is well"), "").unwrap();
    for way in WAYS {
        let said = |pair| {
            bench.prepare("ours");
            let text =
                String::from_utf8(finish(bench.client(pair, way, &["-anvv", "--existing"], "ours")).stdout).unwrap();
            text.lines().filter(|line| line.contains("well")).map(str::to_owned).collect::<Vec<_>>()
        };
        let stock = agreed(said, &way);
        assert!(stock.iter().all(|line| line.contains("a\\#012rsync")), "{stock:?}");
    }
}

/// What a server sends of names is what they are: it is escaped where it is printed.
#[test]
fn control_bytes_of_names_in_messages_are_escaped_once() {
    let bench = Bench::new();
    for name in ["a\nb", "c\u{1}d", "e\\#012f", "g\th"] {
        fs::write(bench.src().join(name), name).unwrap();
        symlink(format!("{name}\n"), bench.src().join(format!("{name}l"))).unwrap();
    }
    for way in WAYS {
        for args in [
            &["-aL"][..],
            &["-rt", "--existing", "--info=skip", "--debug=filter", "--exclude=c*"],
            &["-r", "--list-only"],
            &["-rlt", "--safe-links", "--info=symsafe"],
            &["-ai"],
        ] {
            bench.same_lines(way, args);
        }
    }
}

#[test]
fn a_line_that_is_too_long_for_a_name_is_one_line() {
    let bench = bench();
    fs::write(bench.path("long"), format!("{}b\na\n", "x".repeat(65_536))).unwrap();
    let from = format!("--files-from={}", bench.path("long").display());
    bench.prepare("ours");
    let output = finish(bench.client((End::Ours, End::Ours), Way::Push, &["-a", &from], "ours"));
    assert_eq!(output.status.code(), Some(23), "{output:?}");
    let left = |name: &str| bench.path("ours").join(name).exists();
    assert!(left("a") && !left("b"), "{output:?}");
}

#[test]
fn many_names_do_not_get_stuck() {
    let bench = Bench::new();
    let names: String = (0..700).map(|n| format!("{n:0200}\n")).collect();
    names.lines().for_each(|name| fs::write(bench.src().join(name), name).unwrap());
    fs::write(bench.path("list"), names).unwrap();
    let list = bench.path("list").display().to_string();
    for way in WAYS {
        for there in [list.clone(), format!(":{list}")] {
            for pair in PAIRS {
                let did = bench.run(pair, way, &["-a", &format!("--files-from={there}")], "ours");
                assert_eq!(did.code, Some(0), "{pair:?} {way:?} {there}: {:?}", did.errors);
                assert_eq!(fs::read_dir(bench.path("ours")).unwrap().count(), 700);
            }
        }
    }
}

#[test]
fn a_list_that_is_elsewhere_is_refused() {
    let bench = bench();
    bench.prepare("ours");
    for (way, from, text) in [
        (Way::Pull, "other:/list", "--files-from hostname is not the same as the transfer hostname"),
        (Way::Push, "other:/list", "--files-from hostname is not the same as the transfer hostname"),
        (Way::Pull, "/none", "rsync: failed to open files-from file /none: No such file or directory"),
        (Way::Push, "/none", "rsync: failed to open files-from file /none: No such file or directory"),
    ] {
        for program in [End::Ours, End::Stock] {
            let command = bench.client((program, End::Stock), way, &["-a", &format!("--files-from={from}")], "ours");
            let output = finish(command);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!((output.status.code(), errors.lines().next()), (Some(1), Some(text)), "{program:?} {way:?}");
        }
    }
}

#[test]
fn names_that_lead_upwards() {
    let bench = Bench::new();
    fs::create_dir_all(bench.src().join("d/e")).unwrap();
    for name in ["a", "d/x", "d/e/y"] {
        fs::write(bench.src().join(name), name).unwrap();
    }
    fs::write(bench.path("outside"), "outside").unwrap();
    let list = bench.path("list").display().to_string();
    for names in
        ["../a", "../outside", "d/../a", "..", "../d/", "d/..", "/../d/x", "./../a", "d/e/../x\nd/x\n", "a\n../a"]
    {
        fs::write(&list, names).unwrap();
        for way in WAYS {
            for more in [&[][..], &["-r"], &["--no-relative"]] {
                for there in [list.clone(), format!(":{list}")] {
                    let from = format!("--files-from={there}");
                    let args = [&["-ai", &from], more].concat();
                    let expected = bench.run((End::Stock, End::Stock), way, &args, "stock");
                    for pair in PAIRS {
                        let got = bench.run(pair, way, &args, "ours");
                        // Whoever is sent away has more or less to say to that.
                        let seen = |did: &Did| (did.code, did.lines.clone(), did.errors.first().cloned());
                        assert_eq!(seen(&got), seen(&expected), "{names:?} {pair:?} {way:?} {args:?}");
                        assert_eq!(look(&bench.path("ours"), true), look(&bench.path("stock"), true), "{names:?}");
                    }
                }
            }
        }
    }
}
