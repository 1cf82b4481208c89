//! What may not be read, as another user: root may everything.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::harness::{Bench, WAYS, agreed, finish};
use crate::tree::{look, touch};

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// `command` as nobody.
fn as_nobody(command: &Command) -> Command {
    let mut other = Command::new("setpriv");
    other
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(command.get_program())
        .args(command.get_args());
    other.env("LC_ALL", "C.UTF-8");
    other
}

#[test]
fn what_has_attributes_that_cannot_be_read_is_left_out() {
    let bench = Bench::new();
    let src = bench.src();
    mode(src.parent().unwrap(), 0o755);
    fs::create_dir_all(src.join("closed/inner")).unwrap();
    fs::create_dir_all(src.join("open/closed")).unwrap();
    for file in ["a", "secret", "open/secret", "open/f", "closed/f"] {
        fs::write(src.join(file), file).unwrap();
        touch(&src.join(file), "@1000000000");
    }
    for (path, closed) in [("secret", 0o600), ("open/secret", 0o600), ("closed", 0o700), ("open/closed", 0o700)] {
        let path = src.join(path);
        assert!(Command::new("setfattr").args(["-n", "user.a", "-v", "1"]).arg(&path).status().unwrap().success());
        mode(&path, closed);
    }
    fs::create_dir(bench.old().join("closed")).unwrap();
    fs::write(bench.old().join("closed/kept"), "kept").unwrap();
    for way in WAYS {
        for args in ["-rX", "-rtXi --delete", "-rXin", "-dXi", "-rXHi", "-rXi --no-inc-recursive", "-rX --list-only"] {
            let args: Vec<_> = args.split(' ').collect();
            let run = |pair| {
                bench.prepare("ours");
                let place = bench.path("ours");
                assert!(Command::new("chown").args(["-R", "65534:65534"]).arg(&place).status().unwrap().success());
                let output = finish(as_nobody(&bench.client(pair, way, &args, "ours")));
                let errors = String::from_utf8(output.stderr).unwrap();
                let mut errors: Vec<_> =
                    errors.lines().map(|line| line.split(" at ").next().unwrap_or(line).to_owned()).collect();
                errors.sort();
                (output.status.code(), String::from_utf8(output.stdout).unwrap(), errors, look(&place, false))
            };
            let (code, _, errors, _) = agreed(run, &(way, &args));
            let left_out = if args[0] == "-dXi" { 2 } else { 4 };
            assert_eq!((code, errors.len()), (Some(23), left_out + 1), "{way:?} {args:?}: {errors:?}");
        }
    }
}
