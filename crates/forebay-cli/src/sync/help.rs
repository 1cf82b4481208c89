//! The text of `forebay sync --help`.

/// One screen; the options are rsync's, but for the last few.
pub(crate) const TEXT: &str = "\
forebay sync: copies and mirrors trees of files, in parallel, with rsync's options

Usage: forebay sync [OPTION]... SRC [SRC]... DEST

A SRC that ends in a slash means what is in the directory; else the directory itself is copied.

Options
--verbose, -v            say more; -vv also what stays as it is
--quiet, -q              suppress non-error messages
--info=progress2         show the progress of the whole transfer
--stats                  give some file-transfer stats
--itemize-changes, -i    output a change-summary for all updates
--dry-run, -n            perform a trial run with no changes made

--archive, -a            archive mode is -rlptgoD
--recursive, -r          recurse into directories
--links, -l              copy symlinks as symlinks
--perms, -p              preserve permissions
--times, -t              preserve modification times
--group, -g              preserve group
--owner, -o              preserve owner (super-user only)
--devices                preserve device files (super-user only)
--specials               preserve special files
-D                       same as --devices --specials
--no-OPTION              turn off an implied OPTION (e.g. --no-D)

--update, -u             skip files that are newer on the receiver
--checksum, -c           compare contents, not mod-time & size
--whole-file, -W         copy files whole (always the case)
--delete                 delete extraneous files from dest directories
--exclude=PATTERN        exclude files matching PATTERN
--include=PATTERN        don't exclude files matching PATTERN

--workers=N              threads that compare and copy (default: one per core)
--memory=SIZE            memory for what waits (default: 64M, less in a small cgroup)
--spill-dir=DIR          where what does not fit there waits (default: TMPDIR or /tmp)
--spill-limit=SIZE       most that waits there (default: a quarter of the free space)

--help, -h (*)           show this help (* -h is help only on its own)
";
