//! Where the other side is, and how it is started: over a remote shell.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::{Child, Command, Stdio};

/// A path on another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemotePath {
    /// The user and the host as the remote shell takes them: `user@host`, or `host`.
    pub host: OsString,
    /// The path there; empty for the home directory.
    pub path: OsString,
}

impl RemotePath {
    /// Reads `[USER@]HOST:PATH`; an IPv6 address stands in brackets. `None`: it is a path on this machine, or a daemon's.
    pub fn parse(text: &OsStr) -> Option<Self> {
        let bytes = text.as_bytes();
        let (host, path) = match bytes.iter().position(|&b| b == b'[') {
            Some(open) if bytes.get(..open).is_some_and(|user| user.is_empty() || user.ends_with(b"@")) => {
                let close = bytes.iter().position(|&b| b == b']')?;
                let user = bytes.get(..open)?;
                let address = bytes.get(open + 1..close)?;
                ([user, address].concat(), bytes.get(close + 1..)?.strip_prefix(b":")?)
            }
            _ => {
                let colon = bytes.iter().position(|&b| b == b'/' || b == b':').filter(|&at| bytes[at] == b':')?;
                (bytes.get(..colon)?.to_vec(), bytes.get(colon + 1..)?)
            }
        };
        if host.is_empty() || path.starts_with(b":") {
            return None;
        }
        let path = OsString::from_vec(path.to_vec());
        Some(RemotePath { host: OsString::from_vec(host), path })
    }
}

/// How the other side is started.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RemoteShell {
    /// `-e`: the shell and its own arguments, split at spaces where no quotes keep them together.
    pub command: OsString,
    /// `--rsync-path`: what is run there. It is for that shell to read, so it may have arguments.
    pub program: OsString,
    /// `--old-args`: nothing is escaped that is special to the shell over there.
    pub old_args: bool,
    /// `-s`: arguments do not pass that shell. They are sent to the program itself.
    pub secluded: bool,
    /// `--trust-sender`: what it lists is not held against what was asked for.
    pub trust_sender: bool,
}

impl Default for RemoteShell {
    fn default() -> Self {
        RemoteShell {
            command: "ssh".into(),
            program: "rsync".into(),
            old_args: false,
            secluded: false,
            trust_sender: false,
        }
    }
}

impl RemoteShell {
    /// Starts the program on `host` with `args`, of which the last `paths` are paths. What it says on standard error goes
    /// to ours.
    ///
    /// # Errors
    /// The shell cannot be started.
    pub(crate) fn start(&self, host: &OsStr, args: &[OsString], paths: usize) -> std::io::Result<Connected> {
        let mut words = split(self.command.as_bytes());
        if words.is_empty() {
            words.push(b"ssh".to_vec());
        }
        let mut words = words.into_iter().map(OsString::from_vec);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).arg(host).arg(&self.program);
        let first_path = args.len().saturating_sub(paths);
        for (at, arg) in args.iter().enumerate() {
            match self.old_args {
                true => command.arg(arg),
                false => command.arg(OsString::from_vec(escape(arg.as_bytes(), at >= first_path))),
            };
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let missing = || std::io::Error::other("no pipe to the remote shell");
        let to = child.stdin.take().ok_or_else(missing)?.into();
        let from = child.stdout.take().ok_or_else(missing)?.into();
        Ok(Connected { child, to, from })
    }
}

/// A program that was started on another machine.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) child: Child,
    pub(crate) to: OwnedFd,
    pub(crate) from: OwnedFd,
}

/// Splits a command line at spaces; quotes of both kinds keep them, and two of them stand for one within their kind.
fn split(line: &[u8]) -> Vec<Vec<u8>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None, None);
    let mut rest = line.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        match (byte, quote) {
            (b' ', None) => words.extend(word.take()),
            (b'\'' | b'"', None) => {
                quote = Some(byte);
                word.get_or_insert_with(Vec::new);
            }
            (byte, Some(open)) if byte == open => match rest.next_if_eq(&open) {
                Some(twice) => word.get_or_insert_with(Vec::new).push(twice),
                None => quote = None,
            },
            (byte, _) => word.get_or_insert_with(Vec::new).push(byte),
        }
    }
    words.extend(word);
    words
}

/// Escapes what is special to a shell. Of a path, wildcards and a tilde at its beginning keep their meaning.
fn escape(text: &[u8], is_path: bool) -> Vec<u8> {
    const SPECIAL: &[u8] = b" \t\n!\"#$&'()*;<>?[\\]`{|}~";
    const WILD: &[u8] = b"*?[]";
    let mut out = Vec::with_capacity(text.len());
    for (at, &byte) in text.iter().enumerate() {
        let keeps = is_path && (WILD.contains(&byte) || (byte == b'~' && at == 0) || byte == b'\\');
        if SPECIAL.contains(&byte) && !keeps {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_before_any_slash_means_another_machine() {
        let parse = |text: &str| {
            RemotePath::parse(OsStr::new(text)).map(|p| (p.host.into_string().unwrap(), p.path.into_string().unwrap()))
        };
        let some = |host: &str, path: &str| Some((host.to_owned(), path.to_owned()));
        assert_eq!(parse("host:a/b"), some("host", "a/b"));
        assert_eq!(parse("me@host:"), some("me@host", ""));
        assert_eq!(parse("me@[::1]:/x"), some("me@::1", "/x"));
        for here in ["a/b:c", "./host:a", "plain", "[dir]/x", "host::module", ":x", ""] {
            assert_eq!(parse(here), None, "{here}");
        }
    }

    #[test]
    fn quotes_keep_words_together_and_paths_keep_their_wildcards() {
        assert_eq!(split(b"ssh -p 22  -o 'a b' \"c\"\"d\""), [&b"ssh"[..], b"-p", b"22", b"-o", b"a b", b"c\"d"]);
        assert_eq!(escape(b"--x=a b$", false), b"--x=a\\ b\\$");
        assert_eq!(escape(b"~/a *'", true), b"~/a\\ *\\'");
        assert_eq!(escape(b"a~*", false), b"a\\~\\*");
    }
}
