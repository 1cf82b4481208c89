//! Programs that the tests call, and the Debian packages that they come from.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::workspace::on_path;

/// Program and package.
const NEEDED: &[(&str, &str)] = &[
    ("rsync", "rsync"),         // the oracle: same trees, same lines, same exit codes
    ("rdiff", "rdiff"),         // writes and reads the same signatures and deltas
    ("sshd", "openssh-server"), // a real remote shell at the other end
    ("ssh", "openssh-client"),  // and at this one
    ("zstd", "zstd"),           // reads what the compress example writes
    ("setfattr", "attr"),       // extended attributes that a copy must survive
    ("setfacl", "acl"),         // access control lists, likewise
    ("setpriv", "util-linux"),  // runs a test as somebody who is not root
    ("mkfs.ext4", "e2fsprogs"), // a file system that a test can freeze
    ("mkfs.xfs", "xfsprogs"),   // one on which files can share what they have
    ("mount", "mount"),         // and small ones that a test can fill
    ("losetup", "mount"),       // devices that hold what a test writes
    ("fsfreeze", "util-linux"), // a disk that stalls
    ("ps", "procps"),           // finds children that a test must not leave behind
    ("groff", "groff-base"),    // renders the man page
    ("python3", "python3"),     // runs other readers of Zarr, and DuckDB
];

/// Installs what is missing; asks for no password.
///
/// # Errors
/// Names the packages when they cannot be installed.
pub(crate) fn ensure() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    println!("==> packages: {packages}");
    // A package source that cannot be read is no reason to give up: the install will tell.
    let _ = apt_get("update");
    if !apt_get(&format!("install -y --no-install-recommends {packages}")) {
        bail!("the tests need these Debian packages, which could not be installed: {packages}");
    }
    let missing = self::missing();
    if !missing.is_empty() {
        bail!("installed, but what they should bring is not found: {}", missing.join(" "));
    }
    Ok(())
}

fn missing() -> Vec<&'static str> {
    let mut missing: Vec<_> =
        NEEDED.iter().filter(|(program, _)| !on_path(program)).map(|&(_, package)| package).collect();
    if !makes_environments() {
        missing.push("python3-venv");
    }
    missing
}

/// Whether `python3 -m venv` would work: Debian ships the module in its Python and the rest apart.
fn makes_environments() -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", "import ensurepip, venv"]).stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}

/// Runs `apt-get ARGS` as it is for root, else through a `sudo` that needs no password.
fn apt_get(args: &str) -> bool {
    ["", "sudo -n "].iter().any(|prefix| {
        let line = format!("{prefix}env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 {args}");
        let mut words = line.split_whitespace();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).status().is_ok_and(|status| status.success())
    })
}
