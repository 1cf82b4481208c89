//! The remote shell: what it does wrong, and a real one.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::harness::{Bench, End, FOREBAY, WAYS, Way, finish, shown};

/// The exit code of a pull and the first lines on standard error, with a remote shell that is this script.
fn with_shell(program: End, text: &str) -> (Option<i32>, Vec<String>) {
    let bench = Bench::new();
    bench.script("rsh", text);
    bench.prepare("ours");
    let output = finish(bench.client((program, End::Stock), Way::Pull, &["-a"], "ours"));
    let errors = String::from_utf8_lossy(&output.stderr);
    let lines = errors.lines().map(|line| line.split_once(" at ").map_or(line, |(text, _)| text));
    // Numbers of bytes, and who is at which end, are told by each in its own way.
    let lines = lines.filter(|line| line.starts_with("rsync error")).map(str::to_owned).collect();
    (output.status.code(), lines)
}

#[test]
fn a_shell_that_fails_is_told_by_its_code() {
    // Stock rsync says the same where it notices in time that its shell has ended.
    for (code, expected, text) in [
        (1, 12, "error in rsync protocol data stream"),
        (12, 12, "error in rsync protocol data stream"),
        (20, 20, "received SIGINT, SIGTERM, or SIGHUP"),
        (124, 124, "remote shell failed"),
        (125, 125, "remote shell killed"),
        (126, 126, "remote command could not be run"),
        (127, 127, "remote command not found"),
        (255, 255, "unexplained error"),
    ] {
        let lines = vec![format!("rsync error: {text} (code {expected})")];
        assert_eq!(with_shell(End::Ours, &format!("exit {code}\n")), (Some(expected), lines), "{code}");
    }
}

#[test]
fn a_shell_that_says_something_first_is_no_connection() {
    let script = "echo Welcome to this machine\nsleep 1\n";
    let (code, lines) = with_shell(End::Ours, script);
    assert_eq!((code, &lines), (Some(2), &vec!["rsync error: protocol incompatibility (code 2)".to_owned()]));
    assert_eq!(with_shell(End::Stock, script).0, code);
}

#[test]
fn a_shell_that_is_not_there() {
    let bench = Bench::new();
    fs::remove_file(bench.path("rsh")).unwrap();
    for (way, who) in [(Way::Pull, "Receiver"), (Way::Push, "sender")] {
        let line =
            format!("rsync: [{who}] Failed to exec {}: No such file or directory (2)\n", bench.path("rsh").display());
        // Stock rsync says so of a pull as well, and may then end with the code of a connection that was closed.
        let [stock, ours] = [End::Stock, End::Ours].map(|client| {
            let output = finish(bench.client((client, End::Stock), way, &["-a"], "ours"));
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        });
        assert!(stock.1.starts_with(&line) && ours.1.starts_with(&line), "{stock:?} {ours:?}");
        assert_eq!(ours.0, Some(14), "{ours:?}");
    }
}

#[test]
fn what_ends_a_session_is_told_in_stock_rsyncs_words() {
    for (script, args, code) in [
        ("echo Welcome to this machine; sleep 1; exit 12\n", &["-a"][..], 2),
        ("sleep 9\n", &["-a", "--timeout=1"], 30),
        // Not before the client has said what it begins with, and waits.
        ("head -c 4 >\"$0.took\"; exit 12\n", &["-a"], 12),
    ] {
        let bench = Bench::new();
        bench.script("rsh", script);
        bench.prepare("ours");
        for way in WAYS {
            let [stock, ours] = [End::Stock, End::Ours].map(|client| {
                let output = finish(bench.client((client, End::Stock), way, args, "ours"));
                let text = String::from_utf8(output.stderr).unwrap();
                let first = text.split("rsync error").next().unwrap_or_default().to_owned();
                (output.status.code(), first)
            });
            assert_eq!(ours, stock, "{way:?} {script}");
            assert_eq!(ours.0, Some(code), "{way:?} {script}");
        }
    }
}

#[test]
fn a_host_that_the_shell_would_take_for_an_option_is_refused() {
    let bench = Bench::new();
    let shell = bench.script("rsh", "touch \"$0.started\"\n");
    for host in ["-oProxyCommand=x", "me@-x", "[-x]", "me@[-x]"] {
        let (here, there) = (bench.src().display().to_string(), format!("{host}:there"));
        for paths in [[&there, &here], [&here, &there]] {
            let told = [End::Stock, End::Ours].map(|program| {
                let mut command = Command::new(if program == End::Stock { "rsync" } else { FOREBAY });
                if program == End::Ours {
                    command.arg("sync");
                }
                command.arg("-e").arg(&shell).arg("--").args(paths);
                let output = finish(command);
                assert_eq!(output.status.code(), Some(1), "{program:?}, {paths:?}");
                String::from_utf8_lossy(&output.stderr).lines().next().map(str::to_owned)
            });
            assert_eq!(told[0], told[1], "{paths:?}");
            assert!(!bench.path("rsh.started").exists(), "{paths:?}");
        }
    }
}

/// Sends a file of `len` bytes, none of which goes to the disk, through a shell.
fn through_a_shell_that_does_not_block(len: u64) {
    // Stock rsync gives its shell a standard output that does not block.
    let bench = Bench::new();
    let file = fs::File::create(bench.src().join("large")).unwrap();
    file.set_len(len).unwrap();
    for way in WAYS {
        for pair in [(End::Stock, End::Ours), (End::Ours, End::Stock)] {
            let did = bench.run(pair, way, &["-aWS"], "ours");
            assert_eq!(did.code, Some(0), "{pair:?} {way:?} {did:?}");
            assert_eq!(fs::metadata(bench.path("ours/large")).unwrap().len(), len);
        }
    }
}

#[test]
fn a_large_file_comes_through_a_shell_that_does_not_block() {
    through_a_shell_that_does_not_block(256 << 20);
}

#[test]
#[ignore = "a gibibyte, four times: cargo xtask soak"]
fn soak_a_gibibyte_comes_through_a_shell_that_does_not_block() {
    through_a_shell_that_does_not_block(1 << 30);
}

/// A daemon for the secure shell that takes this test's key, and ends with it.
struct Sshd(Child, u16);

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sshd(dir: &Path) -> Sshd {
    assert!(Path::new("/usr/sbin/sshd").exists(), "is openssh-server installed? `cargo xtask test` does that");
    // Only root's needs it.
    let _ = fs::create_dir_all("/run/sshd");
    for key in ["host", "key"] {
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.join(key)).status();
        assert!(made.unwrap().success());
    }
    fs::rename(dir.join("key.pub"), dir.join("authorized")).unwrap();
    fs::set_permissions(dir.join("authorized"), fs::Permissions::from_mode(0o600)).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new("/usr/sbin/sshd")
        .args(["-D", "-e", "-f", "/dev/null", "-p", &port.to_string(), "-o", "ListenAddress=127.0.0.1"])
        .args(["-o", "StrictModes=no", "-o", "UsePAM=no", "-o"])
        .arg(format!("AuthorizedKeysFile={}", dir.join("authorized").display()))
        .arg("-h")
        .arg(dir.join("host"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Sshd(child, port)
}

#[test]
fn over_a_real_remote_shell() {
    let bench = Bench::new();
    fs::create_dir(bench.src().join("dir")).unwrap();
    fs::write(bench.src().join("dir/a b'$"), vec![7; 3_000_000]).unwrap();
    let sshd = sshd(&bench.path("."));
    let shell = format!(
        "ssh -p {} -i {} -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
         -o LogLevel=ERROR -o ConnectionAttempts=20",
        sshd.1,
        bench.path("key").display()
    );
    for (server, way) in [(false, Way::Pull), (false, Way::Push), (true, Way::Pull), (true, Way::Push)] {
        bench.prepare("ours");
        let mut command = Command::new(FOREBAY);
        command.args(["sync", "-aiz", "-e", &shell]);
        if server {
            command.arg(format!("--rsync-path={FOREBAY} sync"));
        }
        let (src, dst) = (format!("{}/", bench.src().display()), format!("{}/", bench.path("ours").display()));
        match way {
            Way::Pull => command.arg(format!("127.0.0.1:{src}")).arg(dst),
            Way::Push => command.arg(src).arg(format!("127.0.0.1:{dst}")),
        };
        let args = shown(&command);
        let output = finish(command);
        assert!(output.status.success(), "{args:?} {output:?}");
        assert_eq!(fs::read(bench.path("ours/dir/a b'$")).unwrap(), vec![7; 3_000_000]);
    }
}
