//! Stock rsync as the other side, for tests.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use super::handshake::{self, Offer};
use super::mux::{Incoming, Outgoing, Writing};
use super::terms::Terms;

/// Starts a server of stock rsync with `args`. It does not run for ever.
pub(crate) fn server<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Child {
    let mut command = Command::new("timeout");
    command.args(["120", "rsync", "--server"]).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("is rsync installed?")
}

/// A server that sends, up to its first list.
pub(crate) struct Sending {
    pub(crate) child: Child,
    pub(crate) terms: Terms,
    pub(crate) incoming: Incoming,
    pub(crate) outgoing: Outgoing,
    pub(crate) writing: Writing,
}

/// Starts a server that is to send and has no rules, with `args`.
pub(crate) fn sending<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>, offer: &Offer) -> Sending {
    let mut child = server(args);
    let mut incoming = Incoming::new(OwnedFd::from(child.stdout.take().unwrap()), None);
    let (outgoing, writing) = Outgoing::start(OwnedFd::from(child.stdin.take().unwrap()), None, None).unwrap();
    let terms = handshake::client(&mut incoming, |bytes| outgoing.send(bytes), offer).unwrap();
    outgoing.multiplex();
    outgoing.send(&0_i32.to_le_bytes()).unwrap();
    Sending { child, terms, incoming, outgoing, writing }
}
