//! The last line of a run that has not gone well.

/// How a run ended that ended with exit code `code`, in rsync's words, as the side that is called `role`; nothing if all is well.
pub fn ending(code: u8, role: &str) -> Option<String> {
    let (kind, text) = match code {
        0 => return None,
        1 => ("error", "syntax or usage error"),
        2 => ("error", "protocol incompatibility"),
        3 => ("error", "errors selecting input/output files, dirs"),
        4 => ("error", "requested action not supported"),
        5 => ("error", "error starting client-server protocol"),
        10 => ("error", "error in socket IO"),
        11 => ("error", "error in file IO"),
        12 => ("error", "error in rsync protocol data stream"),
        13 => ("error", "errors with program diagnostics"),
        14 => ("error", "error in IPC code"),
        19 => ("error", "received SIGUSR1"),
        20 => ("error", "received SIGINT, SIGTERM, or SIGHUP"),
        23 => ("error", "some files/attrs were not transferred (see previous errors)"),
        24 => ("warning", "some files vanished before they could be transferred"),
        25 => ("error", "the --max-delete limit stopped deletions"),
        30 => ("error", "timeout in data send/receive"),
        124 => ("error", "remote shell failed"),
        125 => ("error", "remote shell killed"),
        126 => ("error", "remote command could not be run"),
        127 => ("error", "remote command not found"),
        _ => ("error", "unexplained error"),
    };
    Some(format!("rsync {kind}: {text} (code {code}) at forebay sync [{role}={}]", env!("CARGO_PKG_VERSION")))
}
