//! `ClusterOptions`: which processes run together, and how they know each other.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::error::ClusterError;

/// The largest hosts file and the largest secret file that are read.
const LARGEST: u64 = 1 << 20;

/// Which processes run together. All of them need the same `hosts`, `secret` and `job`.
pub struct ClusterOptions {
    /// `host:port` of every process, in the same order everywhere, this one's included.
    pub hosts: Vec<String>,
    /// The number of this process: its place in `hosts`, counted from 0.
    pub process: usize,
    /// Where this process listens, already bound; none: it binds its own entry of `hosts`.
    pub listener: Option<TcpListener>,
    /// What proves that a peer is one; none: an empty one, which keeps mistakes out, but nobody who means harm.
    pub secret: Option<Vec<u8>>,
    /// What is run, with all that must be the same everywhere. Processes with different jobs refuse each other.
    pub job: String,
    /// How long a peer may take to connect, and how long it may be silent. Default 10 s; at least 100 ms.
    pub deadline: Duration,
}

impl ClusterOptions {
    /// Process `process` of `hosts`, without a secret, with an empty job and a deadline of 10 s.
    pub fn new(hosts: Vec<String>, process: usize) -> Self {
        let deadline = Duration::from_secs(10);
        ClusterOptions { hosts, process, listener: None, secret: None, job: String::new(), deadline }
    }

    /// The addresses in a hosts file: `host:port` a line, in the order of the processes' numbers. What follows a `#` is a comment,
    /// blank lines count for nothing, an IPv6 address stands in brackets.
    ///
    /// # Errors
    /// [`ClusterError::Read`]; [`ClusterError::Hosts`] with the line that is no address or names one again.
    pub fn hosts_file(path: impl AsRef<Path>) -> Result<Vec<String>, ClusterError> {
        let path = path.as_ref();
        let fail = |line, problem| ClusterError::Hosts { path: path.to_owned(), line, problem };
        let bytes = read(&fs::File::open(path).map_err(|error| unread(path, error))?, path)?;
        let text = String::from_utf8(bytes).map_err(|_| fail(None, "it is not UTF-8 text".to_owned()))?;
        let mut seen = HashMap::new();
        let mut hosts = Vec::new();
        for (line, entry) in text.lines().enumerate() {
            let (line, entry) = (line + 1, entry.split_once('#').map_or(entry, |(entry, _)| entry).trim());
            if entry.is_empty() {
                continue;
            }
            check(entry).map_err(|problem| fail(Some(line), format!("{entry:?}: {problem}")))?;
            if let Some(before) = seen.insert(entry.to_owned(), line) {
                return Err(fail(Some(line), format!("{entry:?} stands in line {before} already")));
            }
            hosts.push(entry.to_owned());
        }
        if hosts.is_empty() { Err(fail(None, "it names no process".to_owned())) } else { Ok(hosts) }
    }

    /// The secret in a file, without the line ends after it, which some editors add and some do not.
    ///
    /// A file that others than its owner may use is refused, as `ssh` refuses such keys: a warning of a process that is started
    /// by a supervisor is read by nobody, and the secret would be none.
    ///
    /// # Errors
    /// [`ClusterError::Read`]; [`ClusterError::Secret`] if nothing is in it or others may read or write it.
    pub fn secret_file(path: impl AsRef<Path>) -> Result<Vec<u8>, ClusterError> {
        let path = path.as_ref();
        let fail = |problem| ClusterError::Secret { path: path.to_owned(), problem };
        let file = fs::File::open(path).map_err(|error| unread(path, error))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            // Of the open file: the name may mean another one by now.
            let mode = file.metadata().map_err(|error| unread(path, error))?.mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(fail(format!("others than its owner may use it (mode {mode:o}); chmod 600 it")));
            }
        }
        let mut secret = read(&file, path)?;
        secret.truncate(secret.trim_ascii_end().len());
        if secret.is_empty() {
            return Err(fail("it is empty; put a long random line into it, the same for all processes".to_owned()));
        }
        Ok(secret)
    }

    pub(crate) fn check(&self) -> Result<(), ClusterError> {
        let fail = |problem: String| Err(ClusterError::Options { problem });
        let ClusterOptions { hosts, process, deadline, .. } = self;
        if *process >= hosts.len() {
            return fail(format!("there is no process {process}: {} hosts are given, counted from 0", hosts.len()));
        }
        if hosts.len() > 1 << 16 {
            return fail(format!("{} processes are too many", hosts.len()));
        }
        if *deadline < Duration::from_millis(100) {
            return fail(format!("a deadline of {deadline:?} is too short; at least 100 ms"));
        }
        match hosts.iter().find_map(|host| Some((host, check(host).err()?))) {
            Some((host, problem)) => fail(format!("{host:?}: {problem}")),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ClusterOptions {
    /// Without the secret, which would end up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ClusterOptions { hosts, process, listener, secret, job, deadline } = self;
        f.debug_struct("ClusterOptions")
            .field("hosts", hosts)
            .field("process", process)
            .field("listener", listener)
            .field("secret", &secret.as_ref().map(|_| ".."))
            .field("job", job)
            .field("deadline", deadline)
            .finish()
    }
}

/// Whether `entry` is `host:port`.
fn check(entry: &str) -> Result<(), &'static str> {
    let Some((host, port)) = entry.rsplit_once(':') else { return Err("not host:port") };
    if !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err("the port is not a number from 1 to 65535");
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if bare.is_none() && host.contains(':') {
        return Err("an IPv6 address needs brackets");
    }
    let bare = bare.unwrap_or(host);
    if bare.is_empty() || bare.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("not host:port");
    }
    Ok(())
}

fn read(file: &fs::File, path: &Path) -> Result<Vec<u8>, ClusterError> {
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| unread(path, error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(unread(path, std::io::Error::other("it is larger than 1 MiB")));
    }
    Ok(bytes)
}

fn unread(path: &Path, error: std::io::Error) -> ClusterError {
    ClusterError::Read { path: path.to_owned(), source: Arc::new(error) }
}
