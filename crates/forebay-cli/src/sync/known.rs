//! The options that rsync has and this program does not have yet, so that they can be refused as what they are.

/// Long names.
pub(crate) const LONG: &[&str] = &[
    "8-bit-output", "acls", "address", "append", "append-verify", "atimes", "backup", "backup-dir", "block-size",
    "blocking-io", "bwlimit", "checksum-choice", "cc", "checksum-seed", "chmod", "chown", "compare-dest", "compress",
    "compress-choice", "zc", "compress-level", "zl", "compress-threads", "zt", "confine-root", "contimeout", "copy-as",
    "copy-dest", "copy-devices", "copy-dirlinks", "copy-links", "copy-unsafe-links", "crtimes", "cvs-exclude",
    "daemon", "debug", "del", "delay-updates", "delete-after", "delete-before", "delete-delay", "delete-during",
    "delete-excluded", "delete-missing-args", "dirs", "drop-D", "early-input", "exclude-from", "executability",
    "existing", "fake-super", "files-from", "filter", "force", "from0", "fsync", "fuzzy", "groupmap", "hard-links",
    "human-readable", "iconv", "ignore-errors", "ignore-existing", "ignore-missing-args", "ignore-non-existing",
    "ignore-times", "inc-recursive", "include-from", "inplace", "insecure-links", "ipv4", "ipv6", "keep-dirlinks",
    "link-dest", "list-only", "log-file", "log-file-format", "max-alloc", "max-delete", "max-size", "min-size",
    "mkpath", "modify-window", "munge-links", "no-implied-dirs", "no-inc-recursive", "no-motd", "no-whole-file",
    "numeric-ids", "old-args", "old-dirs", "omit-dir-times", "omit-link-times", "one-file-system",
    "only-write-batch", "open-noatime", "out-format", "outbuf", "partial", "partial-dir", "password-file", "port",
    "preallocate", "progress", "protocol", "prune-empty-dirs", "read-batch", "relative", "remote-option",
    "remove-source-files", "rsh", "rsync-path", "safe-links", "secluded-args", "server", "size-only", "skip-compress",
    "sockopts", "sparse", "stderr", "stop-after", "stop-at", "suffix", "super", "temp-dir", "timeout", "trust-sender",
    "usermap", "version", "write-batch", "write-devices", "xattrs",
];

/// Short letters.
pub(crate) const SHORT: &str = "048ABCEFHIJKLMNOPRSTUVXbdefhjkmswxyz@";
