//! What the options say of the other side of a connection.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;

use forebay_sync::{Checksum, Compression, Compressor, Connection, RemotePath, Served};

use super::value::{Refusal, not_yet};

/// Where the sources and the destination are.
#[derive(Debug)]
pub(crate) enum Place {
    /// On this machine.
    Here,
    /// The sources are on this host.
    Pull(OsString),
    /// The destination is on this host.
    Push(OsString),
    /// We were started by a client.
    Serve(Served),
}

/// The options about a connection as far as they have been read.
#[derive(Debug, Default)]
pub(super) struct Wire {
    pub(super) connection: Connection,
    /// `--server`
    pub(super) server: bool,
    pub(super) served: Served,
    /// `--protocol` names a version that there is not yet.
    pub(super) beyond: bool,
    /// `--compress-choice` and its kin: `Some(None)` is none.
    pub(super) choice: Option<Option<Compressor>>,
}

impl Wire {
    /// What messages about an option begin with: a client says nothing of where it stands.
    pub(super) fn origin(&self) -> &'static str {
        if self.server { "on remote machine: " } else { "" }
    }

    /// Whether any of `paths` is on another machine.
    pub(super) fn is_remote(&self, paths: &[OsString]) -> bool {
        paths.iter().any(|path| RemotePath::parse(path).is_some())
    }

    /// Whether the destination, the last of `paths`, is on another machine.
    pub(super) fn pushes(&self, paths: &[OsString]) -> bool {
        !self.server && paths.len() > 1 && paths.last().is_some_and(|path| RemotePath::parse(path).is_some())
    }

    /// Completes the connection, and takes the hosts away from `sources` and `destination`.
    pub(super) fn settle(
        mut self,
        sources: &mut [OsString],
        destination: &mut OsString,
        checksums: Option<&(OsString, OsString)>,
    ) -> Result<(Place, Connection), Refusal> {
        let compress = self.connection.compress;
        let offer = &mut self.connection.offer;
        offer.compress = match self.choice {
            Some(None) => Compression::Never,
            Some(Some(kind)) => Compression::By(kind),
            None if compress || offer.level.is_some() => Compression::Best,
            None => Compression::No,
        };
        let checksum_names = listed("RSYNC_CHECKSUM_LIST", self.server);
        if let Some(names) = &checksum_names {
            offer.checksum_list = names.iter().filter_map(|name| Checksum::named(name)).collect();
        }
        if let Some(names) = listed("RSYNC_COMPRESS_LIST", self.server) {
            offer.compressor_list = names.iter().filter_map(|name| Compressor::named(name)).collect();
        }
        offer.checksums = checksums.and_then(chosen);
        let no_checksum = checksum_names.is_some() && offer.checksum_list.is_empty() && offer.checksums.is_none();
        if self.server {
            return Ok((Place::Serve(self.served), self.connection));
        }
        for path in sources.iter().chain([&*destination]) {
            if is_daemon(path) {
                return Err(not_yet(&format!("the path of a daemon {}", path.to_string_lossy())));
            }
        }
        if let Some(command) = std::env::var_os("RSYNC_RSH").filter(|command| !command.is_empty())
            && self.connection.shell.command == "ssh"
        {
            self.connection.shell.command = command;
        }
        let place = match (sources.first().and_then(|path| RemotePath::parse(path)), RemotePath::parse(destination)) {
            (None, None) => {
                are_local(sources)?;
                if self.beyond {
                    return Err(Refusal::with(2, "--protocol must be no more than 32 on the Client."));
                }
                if no_checksum {
                    return Err(Refusal::with(4, "Failed to negotiate a checksum choice."));
                }
                Place::Here
            }
            (Some(_), Some(_)) => return Err("The source and destination cannot both be remote.".into()),
            (None, Some(there)) => {
                are_local(sources)?;
                *destination = there.path;
                Place::Push(there.host)
            }
            (Some(first), None) => {
                for source in sources.iter_mut() {
                    let Some(there) = RemotePath::parse(source) else {
                        let here = source.to_string_lossy();
                        let advice = "If arg is a remote file/dir, prefix it with a colon (:).";
                        return Err(format!("Unexpected local arg: {here}\n{advice}").into());
                    };
                    // More sources of the same host may leave its name out.
                    if !there.host.is_empty() && there.host != first.host {
                        return Err("All source args must come from the same machine.".into());
                    }
                    *source = there.path;
                }
                Place::Pull(first.host)
            }
        };
        Ok((place, self.connection))
    }
}

/// Whether all of the sources, the first of which is here, can be.
fn are_local(sources: &[OsString]) -> Result<(), Refusal> {
    for source in sources {
        if source.is_empty() {
            return Err("Empty source arg specified.".into());
        }
        if RemotePath::parse(source).is_some() {
            return Err(format!("Unexpected remote arg: {}", source.to_string_lossy()).into());
        }
    }
    Ok(())
}

/// The names of `--files-from`, where they are on the other side: they are taken out of `names`.
pub(super) fn names_there(names: &mut Option<OsString>, place: &Place) -> Result<Option<OsString>, Refusal> {
    let Some(text) = names.as_deref() else { return Ok(None) };
    if matches!(place, Place::Serve(_)) {
        return readable(text).map(|()| None);
    }
    let Some(RemotePath { host, path }) = RemotePath::parse(text) else { return readable(text).map(|()| None) };
    match place {
        Place::Pull(other) | Place::Push(other) if host.is_empty() || *other == host => {
            *names = None;
            Ok(Some(path))
        }
        Place::Here => Err("--files-from cannot be remote when the transfer is local".into()),
        _ => Err("--files-from hostname is not the same as the transfer hostname".into()),
    }
}

/// Whether there is a file of names at all, before anything is said of a list. What is no plain file is opened once only.
fn readable(names: &OsStr) -> Result<(), Refusal> {
    let opened = match fs::metadata(names) {
        _ if names == "-" => return Ok(()),
        Ok(meta) if meta.is_dir() && names.as_bytes().ends_with(b"/") => Err(rustix::io::Errno::ISDIR.into()),
        Ok(meta) if !meta.is_file() => return Ok(()),
        // Links on the way are looked at when it is read.
        Ok(_) => fs::File::open(names).map(drop),
        Err(error) => Err(error),
    };
    opened.map_err(|error| {
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        format!("rsync: failed to open files-from file {}: {text}", names.to_string_lossy()).into()
    })
}

/// What `--checksum-choice` says of the transfer and of `-c`. Where one of them is left open, that is as rsync has it no matter
/// of what both sides know.
fn chosen((transfer, files): &(OsString, OsString)) -> Option<(Checksum, Checksum)> {
    let named = |name: &OsString| Checksum::named(name.as_bytes());
    match (named(transfer), named(files)) {
        (None, None) => None,
        (transfer, files) => Some((transfer.unwrap_or(Checksum::Md5), files.unwrap_or(Checksum::Md5))),
    }
}

/// The names in an environment variable that limits what is offered: those before an `&` are a client's, those behind it a
/// server's.
fn listed(variable: &str, server: bool) -> Option<Vec<Vec<u8>>> {
    let value = std::env::var_os(variable)?;
    let mut parts = value.as_bytes().splitn(2, |&byte| byte == b'&');
    let (client, servers) = (parts.next().unwrap_or_default(), parts.next());
    let names = if server { servers.unwrap_or(client) } else { client };
    let names: Vec<_> = names.split(|&byte| byte == b' ').filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect();
    (!names.is_empty()).then_some(names)
}

/// Whether rsync would ask a daemon: two colons before any slash, or a URL.
fn is_daemon(path: &OsStr) -> bool {
    let bytes = path.as_bytes();
    let colon = bytes.iter().position(|&b| b == b'/' || b == b':');
    let module = || colon.is_some_and(|at| bytes.get(at..at + 2) == Some(b"::"));
    // What has colons in brackets is an address.
    bytes.starts_with(b"rsync://") || (module() && RemotePath::parse(path).is_none())
}
