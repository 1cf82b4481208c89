//! The text of `forebay sync --help`.

use super::args;

const HEAD: &str = "\
forebay sync: copies and mirrors trees of files, in parallel, with rsync's options

Usage: forebay sync [OPTION]... SRC [SRC]... DEST
  or   forebay sync [OPTION]... SRC               (lists it)
  or   forebay sync [OPTION]... [USER@]HOST:SRC [:SRC]... DEST
  or   forebay sync [OPTION]... SRC [SRC]... [USER@]HOST:DEST

HOST is reached over a remote shell (--rsh), and runs this program or rsync (--rsync-path). A SRC that ends in a slash means what is in the directory; else the directory itself is copied.

Options
";

/// A line each: how it is written, and what it does.
const OPTIONS: &[(&str, &str)] = &[
    ("--verbose, -v", "say more; -vv also what stays as it is"),
    ("--info=FLAGS", "say more or less of single topics (help lists them)"),
    ("--debug=FLAGS", "the same for what helps to find a mistake"),
    ("--stderr=e|a|c", "where messages go: errors, all or client's to standard error"),
    ("--quiet, -q", "say nothing but errors"),
    ("--checksum, -c", "compare contents, not time and size"),
    ("--archive, -a", "the same as -rlptgoD"),
    ("--no-OPTION", "take back what another option asks for (e.g. --no-D)"),
    ("--recursive, -r", "descend into directories"),
    ("--relative, -R", "keep the whole path of each source"),
    ("--no-implied-dirs", "with --relative, leave the directories above alone"),
    ("--backup, -b", "keep what is replaced or deleted"),
    ("--backup-dir=DIR", "keep it in DIR"),
    ("--suffix=SUFFIX", "keep it with SUFFIX (default: ~, none with --backup-dir)"),
    ("--update, -u", "leave alone what is newer at the destination"),
    ("--inplace", "write into files that are there"),
    ("--append", "add to shorter files what they lack"),
    ("--append-verify", "the same, and compare what is there"),
    ("--dirs, -d", "take directories, and not what is in them"),
    ("--old-dirs, --old-d", "the same, for old programs at the other end"),
    ("--mkpath", "make the directories above the destination"),
    ("--links, -l", "copy symlinks as symlinks"),
    ("--copy-links, -L", "copy what symlinks lead to"),
    ("--copy-unsafe-links", "copy what symlinks lead to outside the tree"),
    ("--safe-links", "leave out symlinks that lead outside the tree"),
    ("--munge-links", "make symlinks unusable, and usable again"),
    ("--insecure-links", "follow links of other users on the way to what is named"),
    ("--copy-dirlinks, -k", "follow symlinks to directories in the source"),
    ("--keep-dirlinks, -K", "follow symlinks to directories at the destination"),
    ("--hard-links, -H", "keep hard links"),
    ("--perms, -p", "keep modes"),
    ("--executability, -E", "keep whether files can be run"),
    ("--chmod=CHMOD", "change modes on the way"),
    ("--acls, -A", "keep ACLs (with --perms)"),
    ("--xattrs, -X", "keep extended attributes; twice: also those of --fake-super"),
    ("--owner, -o", "keep owners (super-user)"),
    ("--group, -g", "keep groups"),
    ("--devices", "copy device nodes (super-user)"),
    ("--copy-devices", "copy what is on devices"),
    ("--write-devices", "write to devices (with --inplace)"),
    ("--specials", "copy FIFOs and sockets"),
    ("-D", "the same as --devices --specials"),
    ("--times, -t", "keep times of modification"),
    ("--atimes, -U", "keep times of access"),
    ("--open-noatime", "leave times of access as they are"),
    ("--crtimes, -N", "keep times of creation"),
    ("--omit-dir-times, -O", "no times for directories"),
    ("--omit-link-times, -J", "no times for symlinks"),
    ("--super", "try what only the super-user may"),
    ("--fake-super", "keep what only the super-user may in xattrs, and read it there"),
    ("--sparse, -S", "make holes of zeros"),
    ("--preallocate", "reserve space before writing"),
    ("--reflink=WHEN", "share extents: auto (the default), always or never"),
    ("--dry-run, -n", "change nothing, say what would be"),
    ("--whole-file, -W", "copy files whole (the default on one machine)"),
    ("--no-whole-file, --no-W", "copy only blocks that differ (the default between two)"),
    ("--checksum-choice=STR", "the sums (also --cc)"),
    ("--one-file-system, -x", "stay on one file system"),
    ("--block-size=SIZE, -B", "the size of blocks"),
    ("--existing", "make nothing new"),
    ("--ignore-existing", "change no file that is there"),
    ("--remove-source-files", "remove files of the source that are transferred"),
    ("--delete", "delete what the source does not have"),
    ("--delete-before", "... before anything is copied"),
    ("--delete-during, --del", "... along the way (the default)"),
    ("--delete-delay", "... at the end, what was found along the way"),
    ("--delete-after", "... at the end"),
    ("--delete-excluded", "... and also what the rules leave out"),
    ("--ignore-missing-args", "take no notice of sources that are not there"),
    ("--delete-missing-args", "delete at the destination what they would become"),
    ("--ignore-errors", "delete even after errors"),
    ("--force", "delete full directories in the way"),
    ("--max-delete=NUM", "delete no more than NUM entries"),
    ("--max-size=SIZE", "leave out larger files"),
    ("--min-size=SIZE", "leave out smaller files"),
    ("--partial", "keep what an early end leaves half written"),
    ("--partial-dir=DIR", "keep it in DIR"),
    ("--delay-updates", "put everything into place at the end"),
    ("--prune-empty-dirs, -m", "leave out directories without files"),
    ("--numeric-ids", "owners and groups by number"),
    ("--usermap=STRING", "change owners"),
    ("--groupmap=STRING", "change groups"),
    ("--chown=USER:GROUP", "change owner and group"),
    ("--copy-as=USER[:GROUP]", "read and write files on this side as USER (super-user)"),
    ("--ignore-times, -I", "transfer also what has the same size and time"),
    ("--size-only", "transfer only what has another size"),
    ("--modify-window=NUM, -@", "seconds that times may differ"),
    ("--temp-dir=DIR, -T", "write temporary files in DIR"),
    ("--fuzzy, -y", "look for a similar file to take blocks from"),
    ("--compare-dest=DIR", "leave out what is the same in DIR"),
    ("--copy-dest=DIR", "copy what is the same from DIR"),
    ("--link-dest=DIR", "link what is the same to DIR"),
    ("--cvs-exclude, -C", "leave out what CVS does"),
    ("--filter=RULE, -f", "add a rule"),
    ("-F", "rules from .rsync-filter files; twice: and leave these out"),
    ("--exclude=PATTERN", "leave out what matches"),
    ("--exclude-from=FILE", "the same for each line of FILE"),
    ("--include=PATTERN", "take what matches"),
    ("--include-from=FILE", "the same for each line of FILE"),
    ("--files-from=FILE", "take the names in FILE"),
    ("--from0, -0", "names and rules in files end in NUL"),
    ("--stats", "say the sums at the end"),
    ("--8-bit-output, -8", "escape no byte above ASCII in names"),
    ("--human-readable, -h", "numbers with units; twice: by 1,024"),
    ("--progress", "say how far each file is; --info=progress2: all of them"),
    ("-P", "the same as --partial --progress"),
    ("--itemize-changes, -i", "say with codes what changes; twice: also what does not"),
    ("--out-format=FORMAT", "say what changes in this form"),
    ("--log-file=FILE", "write what is done to FILE"),
    ("--log-file-format=FMT", "in this form"),
    ("--json", "say everything as JSON, an object a line"),
    ("--list-only", "list the sources"),
    ("--rsh=COMMAND, -e", "the remote shell (default: RSYNC_RSH, or ssh)"),
    ("--rsync-path=PROGRAM", "what to run on the other machine (default: rsync)"),
    ("--remote-option=OPT, -M", "say OPT to the other side alone (on one machine, to the receiving)"),
    ("--timeout=SECONDS", "give up when nothing comes for so long"),
    ("--compress, -z", "compress what goes over the connection"),
    ("--compress-choice=STR", "zstd, lz4, zlibx or zlib (also --zc)"),
    ("--compress-level=NUM", "how well (also --zl)"),
    ("--no-inc-recursive", "list everything before anything else"),
    ("--protocol=NUM", "an older version of the protocol: 30 or 31"),
    ("--trust-sender", "do not hold a list against what was asked for"),
    ("--bwlimit=RATE", "copy no more than RATE KiB a second"),
    ("--stop-after=MINS", "stop after MINS minutes"),
    ("--stop-at=y-m-dTh:m", "stop at this time"),
    ("--fsync", "write each file to the disk"),
    ("--workers=N", "threads that compare and copy (default: one per core)"),
    ("--memory=SIZE", "memory for what waits (default: 64M, less in a small cgroup)"),
    ("--spill-dir=DIR", "where what does not fit there waits (default: TMPDIR or /tmp)"),
    ("--spill-limit=SIZE", "most that waits there (default: a quarter of the free space)"),
    ("--version, -V", "say the version; twice: as JSON"),
    ("--help, -h (*)", "show this help (* -h is help only on its own)"),
];

const TAIL: &str = "
Accepted without effect: --blocking-io, --outbuf, -4, -6; --max-alloc and --skip-compress but for telling them to the other
side; on one machine, as with rsync, also what is about a connection.
";

/// The text: the options that there are.
pub(crate) fn text() -> String {
    let mut text = HEAD.to_owned();
    for (names, about) in OPTIONS {
        let name = names.split([',', '=', ' ']).next().unwrap_or_default();
        if name == "--no-OPTION" || args::is_there(name) {
            text.push_str(&format!("{names:<24} {about}\n"));
        }
    }
    text.push_str(TAIL);
    text
}
