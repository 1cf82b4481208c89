//! How content is compared and written.

use super::row::{Row, check, flag, later};
use super::value::not_yet;

/// The options about content.
pub(super) const ROWS: &[Row] = &[
    flag("dry-run", |s, _| s.options.dry_run = true).short('n'),
    flag("checksum", |s, on| s.options.checksum = on).short('c').no(),
    // Files are always copied whole.
    check("whole-file", |_, on| if on { Ok(()) } else { Err(not_yet("--no-whole-file")) }).short('W').no(),
    later("checksum-choice").alias(&["cc"]),
    later("block-size").short('B'),
    later("fuzzy").short('y').no(),
    later("backup").short('b').no_long(),
    later("backup-dir"),
    later("suffix"),
    later("inplace").no(),
    later("append").no(),
    later("append-verify"),
    later("partial").no(),
    later("partial-dir"),
    later("delay-updates").no(),
    later("temp-dir").short('T'),
    later("sparse").short('S').no(),
    later("preallocate"),
    later("fsync"),
    later("reflink"),
    later("compare-dest"),
    later("copy-dest"),
    later("link-dest"),
];
