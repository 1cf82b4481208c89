//! ACLs, extended attributes and owners between two machines.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::harness::{Bench, End, PAIRS, WAYS, Way};
use crate::tree::touch;

fn set(path: &Path, name: &str, value: &str) {
    let done = Command::new("setfattr").args(["-h", "-n", name, "-v", value]).arg(path).status();
    assert!(done.expect("is setfattr installed?").success(), "{name} of {path:?}");
}

/// All attributes beneath `root`, ACLs among them.
fn attributes(root: &Path) -> String {
    let dump = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).arg(".").current_dir(root).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    dump("getfattr", &["-R", "-h", "-d", "-m", "-", "--absolute-names"]) + &dump("getfacl", &["-R", "-n", "-p"])
}

/// As [`Bench::same`], attributes included.
fn same(bench: &Bench, way: Way, args: &[&str]) {
    let expected = bench.run((End::Stock, End::Stock), way, args, "stock");
    let theirs = attributes(&bench.path("stock"));
    for pair in PAIRS {
        let got = bench.run(pair, way, args, "ours");
        assert_eq!(got, expected, "{pair:?} {way:?} {args:?}");
        assert_eq!(attributes(&bench.path("ours")), theirs, "{pair:?} {way:?} {args:?}");
    }
}

fn bench() -> Bench {
    let bench = Bench::new();
    let (src, old) = (bench.src(), bench.old());
    let long = |fill: &str| fill.repeat(if fill.len() > 2 { 100 } else { 400 });
    for root in [&src, &old] {
        fs::create_dir(root.join("dir")).unwrap();
        for name in ["same", "other", "none", "dir/changed", "some"] {
            fs::write(root.join(name), name).unwrap();
            touch(&root.join(name), "@1000000000");
        }
        set(&root.join("same"), "user.long", &long("s"));
        set(&root.join("same"), "user.short", "s");
        set(&root.join("dir/changed"), "user.long", &long("c"));
        set(&root.join("some"), "user.m", &long("kept"));
    }
    // What differs in a long value alone, in one of several, and in all that there is.
    set(&src.join("other"), "user.long", &long("new"));
    set(&old.join("other"), "user.long", &long("old"));
    set(&old.join("none"), "user.long", &long("gone"));
    for (name, value) in [("user.a", long("1")), ("user.b", "short".into()), ("user.z", long("2"))] {
        set(&src.join("some"), name, &value);
    }
    fs::write(src.join("dir/changed"), "new content").unwrap();
    fs::create_dir(src.join("new")).unwrap();
    fs::write(src.join("new/file"), "new").unwrap();
    symlink("file", src.join("new/link")).unwrap();
    for name in ["new", "new/file", "dir"] {
        set(&src.join(name), "user.long", &long(name));
    }
    set(&src.join("new/link"), "trusted.long", &long("l"));
    set(&src.join("new/link"), "trusted.short", "l");
    fs::hard_link(src.join("new/file"), src.join("new/same")).unwrap();
    for path in ["dir/changed", "dir", "new/file", "new", "."] {
        touch(&src.join(path), "@1100000000");
    }
    bench
}

#[test]
fn long_values_are_asked_for() {
    let bench = bench();
    for way in WAYS {
        for args in [&["-aiX"][..], &["-aX"], &["-aiXn"], &["-aiXA"], &["-aiX", "--protocol=30"], &["-aiXW"]] {
            same(&bench, way, args);
        }
        same(&bench, way, &["-aXH"]);
        same(&bench, way, &["-aiXz", "--inplace"]);
        same(&bench, way, &["-aiX", "--delay-updates"]);
    }
}

#[test]
fn rules_decide_which_attributes_go() {
    let bench = bench();
    for way in WAYS {
        for rules in [
            &["-x user.long"][..],
            &["-x user.*"],
            &["-x *short"],
            &["-xs user.long"],
            &["-xr user.long"],
            &["+x user.long", "-x *"],
            &["-x! user.*"],
            &["-x trusted.*", "- some"],
        ] {
            let rules: Vec<String> = rules.iter().map(|rule| format!("--filter={rule}")).collect();
            for options in [&["-aiX"][..], &["-aiX", "--delete"]] {
                let args = [options, &rules.iter().map(String::as_str).collect::<Vec<_>>()].concat();
                same(&bench, way, &args);
            }
        }
    }
}

#[test]
fn acls_go_along() {
    let bench = bench();
    for (args, path) in [
        (&["-m", "u:33:rw,g:7:x"][..], "other"),
        (&["-m", "u:1:rx,m::r"], "dir/changed"),
        (&["-d", "-m", "u:33:rwx,g:7:r"], "dir"),
        (&["-m", "u:33:rwx"], "new"),
    ] {
        assert!(Command::new("setfacl").args(args).arg(bench.src().join(path)).status().unwrap().success());
    }
    assert!(Command::new("setfacl").args(["-m", "g:9:r"]).arg(bench.old().join("same")).status().unwrap().success());
    for way in WAYS {
        for args in [&["-aiA"][..], &["-aiAX"], &["-aA", "--no-inc-recursive"], &["-aiAn"], &["-aiA", "--numeric-ids"]]
        {
            same(&bench, way, args);
        }
    }
}

#[test]
fn owners_are_mapped_by_the_side_that_receives() {
    let bench = bench();
    for (owner, path) in [("1:2", "same"), ("33:7", "other"), ("4242:4343", "none")] {
        assert!(Command::new("chown").arg(owner).arg(bench.src().join(path)).status().unwrap().success());
    }
    for way in WAYS {
        for args in [
            &["-ai", "--chown=3:5"][..],
            &["-ai", "--chown=:daemon"],
            &["-ai", "--usermap=0:33,1-2:1,www*:4", "--groupmap=*:5"],
            &["-ai", "--usermap=:12,daemon:13", "--no-inc-recursive"],
            &["-ai", "--usermap=1:9", "--numeric-ids"],
            &["-a", "--chown=no-such-user:5"],
        ] {
            bench.same(way, args);
        }
    }
}

fn set_acl(args: &[&str], path: &Path) {
    let done = Command::new("setfacl").args(args).arg(path).status();
    assert!(done.expect("is setfacl installed?").success(), "{args:?} of {path:?}");
}

#[test]
fn rules_for_attributes_are_about_acls_too() {
    let bench = bench();
    set_acl(&["-m", "u:33:rw,g:7:x"], &bench.src().join("other"));
    set_acl(&["-m", "u:1:rx,m::r"], &bench.src().join("dir/changed"));
    set_acl(&["-d", "-m", "u:33:rwx,g:7:r"], &bench.src().join("dir"));
    set_acl(&["-m", "g:9:r"], &bench.old().join("same"));
    for way in WAYS {
        for args in [
            &["-aX", "--filter=-x zz*"][..],
            &["-aAX", "--filter=-x zz*"],
            &["-aX", "--filter=-x system.*"],
            &["-aX", "--filter=-x! user.*"],
            &["-aX", "--filter=-xr system.*"],
        ] {
            same(&bench, way, args);
        }
    }
}

#[test]
fn owners_in_acls_are_mapped_by_the_side_that_receives() {
    let bench = bench();
    set_acl(&["-m", "u:7:rw,g:9:r,u:33:x"], &bench.src().join("other"));
    set_acl(&["-d", "-m", "u:33:rwx,g:7:r"], &bench.src().join("dir"));
    for way in WAYS {
        for args in [
            &["-aiA", "--usermap=7:70", "--groupmap=9:90"][..],
            &["-aiA", "--usermap=33:3,7:34", "--groupmap=*:5", "--numeric-ids"],
            &["-aiA", "--usermap=www*:4", "--no-inc-recursive"],
        ] {
            same(&bench, way, args);
        }
    }
}

#[test]
fn without_p_a_default_acl_says_what_new_entries_permit() {
    let bench = Bench::new();
    let (src, old) = (bench.src(), bench.old());
    fs::create_dir(src.join("d")).unwrap();
    fs::create_dir(old.join("old")).unwrap();
    fs::create_dir(src.join("old")).unwrap();
    for (name, mode) in [("f", 0o666), ("d/x", 0o777), ("d", 0o777), ("old/f", 0o666)] {
        if name != "d" {
            fs::write(src.join(name), name).unwrap();
        }
        fs::set_permissions(src.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    assert!(Command::new("mkfifo").args(["-m", "666"]).arg(src.join("d/pipe")).status().unwrap().success());
    set_acl(&["-d", "-m", "u:7:rwx,g::r,m::rw,o::x"], &old);
    set_acl(&["-d", "-m", "u::rwx,g::r,o::-"], &old.join("old"));
    for way in WAYS {
        for args in [&["-riD"][..], &["-riDE"], &["-riDp"], &["-riDA"], &["-riD", "--inplace"]] {
            same(&bench, way, args);
        }
    }
}
