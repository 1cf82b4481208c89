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
--relative, -R           use relative path names
--files-from=FILE        read list of source-file names from FILE
--dirs, -d               transfer directories without recursing
--prune-empty-dirs, -m   prune empty directory chains from file-list
--existing               skip creating new files on receiver
--ignore-existing        skip updating files that exist on receiver
--ignore-times, -I       don't skip files that match size and time
--size-only              skip files that match in size
--modify-window=NUM, -@  set the accuracy for mod-time comparisons
--max-size=SIZE          don't transfer any file larger than SIZE
--min-size=SIZE          don't transfer any file smaller than SIZE
--one-file-system, -x    don't cross filesystem boundaries
--ignore-missing-args    ignore missing source args without error
--checksum, -c           compare contents, not mod-time & size
--checksum-choice=STR    accepted (aka --cc): contents are compared byte by byte
--whole-file, -W         copy files whole (the default); --no-W: build them from
                         blocks that the destination has
--block-size=SIZE, -B    the length of these blocks
--fuzzy, -y              find similar file for basis if no dest file
--delete                 delete extraneous files from dest directories
--delete-before          delete before anything is copied
--delete-during, --del   delete in each directory before it is copied (default)
--delete-delay           delete in the end, what was decided in the beginning
--delete-after           delete in the end
--max-delete=NUM         don't delete more than NUM files
--ignore-errors          delete even if there are I/O errors
--force                  force deletion of dirs even if not empty
--delete-excluded        also delete excluded files from dest directories
--cvs-exclude, -C        auto-ignore files in the same way CVS does
--filter=RULE, -f        add a file-filtering RULE
-F                       same as --filter='dir-merge /.rsync-filter'
                         repeated: --filter='- .rsync-filter'
--exclude=PATTERN        exclude files matching PATTERN
--exclude-from=FILE      read exclude patterns from FILE
--include=PATTERN        don't exclude files matching PATTERN
--include-from=FILE      read include patterns from FILE
--from0, -0              all *-from/filter files are delimited by 0s

--backup, -b             make backups (see --suffix & --backup-dir)
--backup-dir=DIR         make backups into hierarchy based in DIR
--suffix=SUFFIX          backup suffix (default ~ w/o --backup-dir)
--inplace                update destination files in-place
--append                 append data onto shorter files
--append-verify          --append, comparing the old data first
--partial                keep partially transferred files
--partial-dir=DIR        put a partially transferred file into DIR
--delay-updates          put all updated files into place at end
--temp-dir=DIR, -T       create temporary files in directory DIR
--compare-dest=DIR       also compare destination files relative to DIR
--copy-dest=DIR          ... and include copies of unchanged files
--link-dest=DIR          hardlink to files in DIR when unchanged
--sparse, -S             turn sequences of nulls into sparse blocks
--preallocate            allocate dest files before writing them
--fsync                  fsync every written file
--reflink=WHEN           share extents with the source: auto, always or never

--workers=N              threads that compare and copy (default: one per core)
--memory=SIZE            memory for what waits (default: 64M, less in a small cgroup)
--spill-dir=DIR          where what does not fit there waits (default: TMPDIR or /tmp)
--spill-limit=SIZE       most that waits there (default: a quarter of the free space)

--help, -h (*)           show this help (* -h is help only on its own)
";
