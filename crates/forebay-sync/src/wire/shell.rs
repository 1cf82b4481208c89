//! Where the other side is, and how it is started: over a remote shell.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::{Child, Command, Stdio};

use crate::error::Error;

/// A path on another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemotePath {
    /// The user and the host as the remote shell takes them: `user@host`, or `host`.
    pub host: OsString,
    /// The path there; empty for the home directory.
    pub path: OsString,
}

impl RemotePath {
    /// Reads `[USER@]HOST:PATH`; an IPv6 address stands in brackets, and nothing before the colon is a host for the remote shell to
    /// make sense of. `None`: it is a path on this machine, or a daemon's.
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
        if (host.is_empty() && !bytes.starts_with(b":")) || path.starts_with(b":") {
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
    /// The command that starts the program on `host` with `args`, of which the last `paths` are paths; `homes` says which may begin
    /// with a home directory.
    ///
    /// # Errors
    /// [`Error::Usage`] where the shell would take the host for an option, or its own command has a quote that does not end.
    pub(crate) fn words(
        &self,
        host: &OsStr,
        args: &[OsString],
        paths: usize,
        homes: Homes,
    ) -> Result<Vec<OsString>, Error> {
        let mut words: Vec<_> = split(self.command.as_bytes())?.into_iter().map(OsString::from_vec).collect();
        if words.is_empty() {
            words.push("ssh".into());
        }
        let host = host.as_bytes();
        let (user, host) = match host.iter().rposition(|&byte| byte == b'@') {
            Some(at) => (host.get(..at), host.get(at + 1..).unwrap_or_default()),
            None => (None, host),
        };
        if host.starts_with(b"-") {
            return Err(Error::Usage("Invalid remote host: hostnames may not start with '-'.".to_owned()));
        }
        if let Some(user) = user {
            words.extend(["-l".into(), OsStr::from_bytes(user).to_owned()]);
        }
        words.extend([OsStr::from_bytes(host).to_owned(), self.program.clone()]);
        let first_path = args.len().saturating_sub(paths);
        words.extend(args.iter().enumerate().map(|(at, arg)| {
            let is_path = at >= first_path;
            let mut word = match self.old_args {
                true => arg.as_bytes().to_vec(),
                false => escape(arg.as_bytes(), is_path),
            };
            if is_path && word.starts_with(b"-") {
                // It is no option over there.
                word.splice(..0, *b"./");
            }
            if is_path && word.starts_with(b"~") && !self.old_args && !homes.has(&word) {
                word.insert(0, b'\\');
            }
            OsString::from_vec(word)
        }));
        Ok(words)
    }

    /// Runs the command `words`. What it says on standard error goes to ours.
    ///
    /// # Errors
    /// The shell cannot be started.
    pub(crate) fn start(words: &[OsString]) -> std::io::Result<Connected> {
        let (program, args) = words.split_first().ok_or(std::io::ErrorKind::NotFound)?;
        let mut child = Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let missing = || std::io::Error::other("no pipe to the remote shell");
        let to = child.stdin.take().ok_or_else(missing)?.into();
        let from = child.stdout.take().ok_or_else(missing)?.into();
        Ok(Connected { child, to, from })
    }
}

/// Which paths may begin with the home directory of somebody over there, `~` or `~USER`; elsewhere that is a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Homes {
    All,
    /// Those with more behind it.
    Above,
    None,
}

impl Homes {
    fn has(self, path: &[u8]) -> bool {
        match self {
            Homes::All => true,
            Homes::Above => path.contains(&b'/'),
            Homes::None => false,
        }
    }
}

/// A program that was started on another machine.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) child: Child,
    pub(crate) to: OwnedFd,
    pub(crate) from: OwnedFd,
}

/// `words` as they are told: those that a shell would not take as they are stand in quotes. How many there are is behind them.
pub(crate) fn shown(words: &[OsString]) -> Vec<u8> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"+,-./=@_".contains(byte);
    let mut line = Vec::new();
    for word in words.iter().map(|word| word.as_bytes()) {
        let quote: &[u8] = if word.iter().all(plain) { b"" } else { b"\"" };
        [quote, word, quote, b" "].into_iter().for_each(|part| line.extend_from_slice(part));
    }
    line.extend_from_slice(format!(" ({} args)", words.len()).as_bytes());
    line
}

/// Splits a command line at spaces; quotes of both kinds keep them, and two of them stand for one within their kind.
fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
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
    if let Some(open) = quote {
        return Err(Error::Usage(format!("Missing trailing-{} in remote-shell command.", char::from(open))));
    }
    words.extend(word);
    Ok(words)
}

/// Escapes what is special to a shell, but for a tilde. Of a path, wildcards and a backslash right before one keep their meaning.
pub(crate) fn escape(text: &[u8], is_path: bool) -> Vec<u8> {
    const SPECIAL: &[u8] = b" \t\n!\"#$&'()*;<>?[\\]`{|}";
    const WILD: &[u8] = b"*?[]";
    let mut out = Vec::with_capacity(text.len());
    for (at, &byte) in text.iter().enumerate() {
        let before_wild = || text.get(at + 1).is_some_and(|next| WILD.contains(next));
        let keeps = is_path
            && match byte {
                b'\\' => before_wild(),
                _ => WILD.contains(&byte),
            };
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
        assert_eq!(parse(":x"), some("", "x"));
        for here in ["a/b:c", "./host:a", "plain", "[dir]/x", "host::module", "::module", "[]:x", ""] {
            assert_eq!(parse(here), None, "{here}");
        }
    }

    #[test]
    fn quotes_keep_words_together_and_paths_keep_their_wildcards() {
        assert_eq!(
            split(b"ssh -p 22  -o 'a b' \"c\"\"d\"").unwrap(),
            [&b"ssh"[..], b"-p", b"22", b"-o", b"a b", b"c\"d"]
        );
        assert_eq!(escape(b"--x=a b$", false), b"--x=a\\ b\\$");
        assert_eq!(escape(b"~/a *'", true), b"~/a\\ *\\'");
        assert_eq!(escape(b"a~*", false), b"a~\\*");
        assert_eq!(escape(br"\a\b\", true), br"\\a\\b\\");
        assert_eq!(escape(br"a\*b\]\\?\ c", true), br"a\*b\]\\\?\\\ c");
    }

    #[test]
    fn commands_are_told_as_stock_rsync_tells_them() {
        let shell = RemoteShell { command: "ssh 'q\"r' ''".into(), ..RemoteShell::default() };
        let words = |host: &str, path: &str| {
            let words = shell.words(OsStr::new(host), &["--server".into(), ".".into(), path.into()], 1, Homes::All);
            String::from_utf8(shown(&words.unwrap())).unwrap()
        };
        assert_eq!(words("host", "a+,-./=@_9"), "ssh \"q\"r\"  host rsync --server . a+,-./=@_9  (8 args)");
        assert_eq!(words("host", "-a"), "ssh \"q\"r\"  host rsync --server . ./-a  (8 args)");
        assert_eq!(words("u@v@::1", "a b%"), "ssh \"q\"r\"  -l u@v \"::1\" rsync --server . \"a\\ b%\"  (10 args)");
    }
}
