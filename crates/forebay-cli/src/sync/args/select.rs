//! What takes part in the transfer, and what is deleted.

use super::row::{Row, flag, later, value};
use super::state::State;
use super::value::{Refusal, Value};

/// The options that select and delete.
pub(super) const ROWS: &[Row] = &[
    flag("recursive", |s, on| s.options.recursive = on).short('r').no(),
    later("dirs").short('d').no(),
    later("old-dirs").alias(&["old-d"]),
    later("relative").short('R').no(),
    later("implied-dirs").alias(&["i-d"]).no(),
    later("one-file-system").short('x').no(),
    later("prune-empty-dirs").short('m').no(),
    later("mkpath").no(),
    flag("update", |s, _| s.options.update = true).short('u'),
    later("existing").alias(&["ignore-non-existing"]),
    later("ignore-existing"),
    later("ignore-times").short('I'),
    later("size-only"),
    later("modify-window").short('@'),
    later("max-size"),
    later("min-size"),
    later("remove-source-files"),
    later("files-from"),
    later("from0").short('0').no_long(),
    value("exclude", |s, value| rule(s, false, value)),
    value("include", |s, value| rule(s, true, value)),
    later("exclude-from"),
    later("include-from"),
    later("filter").short('f'),
    later("F").short('F'),
    later("cvs-exclude").short('C'),
    flag("delete", |s, _| s.options.delete = true),
    later("delete-before"),
    later("delete-during").alias(&["del"]),
    later("delete-delay"),
    later("delete-after"),
    later("delete-excluded"),
    later("delete-missing-args"),
    later("ignore-missing-args"),
    later("ignore-errors").no(),
    later("force").no(),
    later("max-delete"),
];

fn rule(s: &mut State, include: bool, value: &Value) -> Result<(), Refusal> {
    let pushed = s.options.filters.push(include, value.bytes());
    pushed.map_err(|error| format!("{error}: {}", value.lossy()).into())
}

/// What these options require of each other.
pub(super) fn agree(s: &State) -> Result<(), Refusal> {
    if s.options.delete && !s.options.recursive {
        return Err("rsync: --delete does not work without --recursive (-r) or --dirs (-d).".into());
    }
    Ok(())
}
