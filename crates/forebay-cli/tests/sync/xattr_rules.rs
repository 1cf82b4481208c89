//! Rules about the names of extended attributes: `-X` with `--filter='-x NAME'` and its like.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::{Bench, copy};
use crate::metadata::same;
use crate::tree::touch;

fn set(path: &Path, name: &str, value: &str) {
    assert!(Command::new("setfattr").args(["-h", "-n", name, "-v", value]).arg(path).status().unwrap().success());
}

/// A source with attributes, of which the destination has some, with other values, and others.
fn bench() -> Bench {
    let bench = Bench::new();
    let src = bench.src();
    fs::create_dir(src.join("d")).unwrap();
    for name in ["a", "d/b", "new"] {
        fs::write(src.join(name), name).unwrap();
        touch(&src.join(name), "@1000000000");
    }
    touch(&src.join("d"), "@1000000000");
    for name in ["a", "d", "d/b", "new"] {
        set(&src.join(name), "user.foo", "1");
        set(&src.join(name), "user.bar", &"long ".repeat(20));
        set(&src.join(name), "trusted.t", "3");
    }
    bench.both(|place| {
        copy(&src, &place.join("dst"));
        copy(&src, &place.join("alt"));
        fs::remove_file(place.join("dst/new")).unwrap();
        for dir in ["dst", "alt"] {
            for name in ["a", "d", "d/b"] {
                let path = place.join(dir).join(name);
                set(&path, "user.foo", "9");
                set(&path, "user.old", "9");
                set(&path, "trusted.old", "9");
            }
        }
    });
    bench
}

const RULES: &[&[&str]] = &[
    &[],
    &["-x user.foo"],
    &["-x foo"],
    &["-x *foo"],
    &["-x user.*"],
    &["-x /user.foo"],
    &["-x user.foo/"],
    &["-x user.**"],
    &["-x trusted.*"],
    &["-x *"],
    &["+x user.foo", "-x *"],
    &["+x user.foo", "-x user.*"],
    &["-x! user.foo"],
    &["-xs user.foo"],
    &["-xr user.foo"],
    &["-xr *old"],
    &["-xs *", "-xr *foo"],
    &["- user.foo", "- b"],
    &["-x user.foo", "!"],
    &["-xp user.foo"],
    &["exclude,x user.foo"],
];

#[test]
fn what_rules_say_of_attributes_is_what_they_say_to_rsync() {
    for rules in RULES {
        for options in [
            "",
            "-n",
            "-I --inplace --delete",
            "--delete-excluded -b -I",
            "--link-dest=../alt",
            "--copy-dest=../alt -H",
        ] {
            let bench = bench();
            let mut args = vec!["-aiX".to_owned()];
            args.extend(rules.iter().map(|rule| format!("--filter={rule}")));
            args.extend(options.split(' ').filter(|option| !option.is_empty()).map(str::to_owned));
            args.extend([format!("{}/", bench.src().display()), "dst".to_owned()]);
            same(&bench, &args);
        }
    }
}

#[test]
fn per_directory_files_have_a_say_of_what_is_listed_there() {
    for (file, rule) in
        [(".r", "-x user.foo"), ("d/.r", "-x user.foo"), ("d/.r", "-xr user.foo"), ("d/.r", "-xs *\n+x trusted.t")]
    {
        for options in ["", "--delete -I", "--link-dest=../alt", "-n --delete"] {
            for source in ["/", ""] {
                let bench = bench();
                fs::write(bench.src().join(file), format!("{rule}\n")).unwrap();
                touch(&bench.src().join(file), "@1000000000");
                let mut args = vec!["-aiX".to_owned(), "--filter=: .r".to_owned()];
                args.extend(options.split(' ').filter(|option| !option.is_empty()).map(str::to_owned));
                args.extend([format!("{}{source}", bench.src().display()), "dst".to_owned()]);
                same(&bench, &args);
            }
        }
    }
}

#[test]
fn they_hold_with_fake_super_and_for_others_than_root() {
    for rules in RULES {
        for (user, options) in [(None, "--fake-super"), (None, "-M--fake-super"), (Some(65_534), "-O")] {
            let bench = bench();
            let mut args = vec!["-aiX".to_owned(), options.to_owned()];
            args.extend(rules.iter().map(|rule| format!("--filter={rule}")));
            args.extend([format!("{}/", bench.src().display()), "new".to_owned()]);
            if user.is_some() {
                for place in bench.places() {
                    fs::create_dir(place.join("new")).unwrap();
                    std::os::unix::fs::chown(place.join("new"), user, user).unwrap();
                }
            }
            crate::metadata::same_as(&bench, user, &args);
            crate::metadata::same_as(&bench, user, &args);
        }
    }
}
