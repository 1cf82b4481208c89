//! What takes part in the transfer, and what is deleted.

use forebay_sync::DeleteWhen;

use super::row::{Row, check, flag, value};
use super::state::State;
use super::value::Refusal;

/// The options that select and delete.
pub(super) const ROWS: &[Row] = &[
    flag("recursive", |s, on| {
        s.options.recursive = on;
        s.recursive = Some(on);
    })
    .short('r')
    .no(),
    flag("dirs", |s, on| (s.dirs, s.old_dirs) = (Some(on), false)).short('d').no(),
    flag("old-dirs", |s, _| s.old_dirs = true).alias(&["old-d"]),
    flag("relative", |s, on| s.relative = Some(on)).short('R').no(),
    flag("implied-dirs", |s, on| s.options.select.no_implied_dirs = !on).alias(&["i-d"]).no(),
    flag("one-file-system", |s, on| {
        let x = &mut s.options.select.one_file_system;
        *x = if on { x.saturating_add(1) } else { 0 };
    })
    .short('x')
    .no(),
    flag("prune-empty-dirs", |s, on| s.options.select.prune_empty_dirs = on).short('m').no(),
    flag("mkpath", |s, on| s.options.select.mkpath = on).no(),
    flag("update", |s, _| s.options.update = true).short('u').receivers(),
    flag("existing", |s, _| s.options.select.existing = true).alias(&["ignore-non-existing"]).receivers(),
    flag("ignore-existing", |s, _| s.options.select.ignore_existing = true).receivers(),
    flag("ignore-times", |s, _| s.options.select.ignore_times = true).short('I').receivers(),
    flag("size-only", |s, _| s.options.select.size_only = true).receivers(),
    value("modify-window", |s, value| {
        let window = value.number()?;
        (s.options.select.modify_window, s.wire.connection.modify_window) = (window, Some(window));
        Ok(())
    })
    .short('@')
    .receivers(),
    value("max-size", |s, value| {
        s.options.select.max_size = Some(value.size_or_none("max-size")?);
        Ok(())
    })
    .receivers(),
    value("min-size", |s, value| {
        s.options.select.min_size = Some(value.size_or_none("min-size")?);
        Ok(())
    })
    .receivers(),
    flag("remove-source-files", |s, _| {
        s.options.remove_source_files = true;
        (s.options.only_sent, s.wire.connection.sent_files) = (false, false);
    }),
    flag("remove-sent-files", |s, _| {
        s.options.remove_source_files = true;
        (s.options.only_sent, s.wire.connection.sent_files) = (true, true);
    }),
    value("files-from", |s, value| {
        s.options.files_from = Some(value.text.clone());
        Ok(())
    }),
    flag("from0", |s, on| s.options.filters.nul = on).short('0').no_long(),
    value("exclude", |s, value| Ok(s.options.filters.push(false, value.bytes())?)),
    value("include", |s, value| Ok(s.options.filters.push(true, value.bytes())?)),
    value("exclude-from", |s, value| Ok(s.options.filters.push_file(false, &value.text)?)),
    value("include-from", |s, value| Ok(s.options.filters.push_file(true, &value.text)?)),
    value("filter", |s, value| Ok(s.options.filters.push_rule(value.bytes())?)).short('f'),
    check("F", |s, _| {
        s.f_count = s.f_count.saturating_add(1);
        match s.f_count {
            1 => Ok(s.options.filters.push_rule(b": /.rsync-filter")?),
            2 => Ok(s.options.filters.push_rule(b"- .rsync-filter")?),
            _ => Ok(()),
        }
    })
    .short('F'),
    flag("cvs-exclude", |s, _| s.wire.connection.cvs_exclude = true).short('C'),
    flag("delete", |s, _| s.options.delete = true),
    flag("delete-before", |s, _| delete_when(s, DeleteWhen::Before)),
    flag("delete-during", |s, _| delete_when(s, DeleteWhen::During)).alias(&["del"]),
    flag("delete-delay", |s, _| delete_when(s, DeleteWhen::Delay)),
    flag("delete-after", |s, _| delete_when(s, DeleteWhen::After)),
    flag("delete-excluded", |s, _| {
        s.options.delete = true;
        s.options.filters.delete_excluded = true;
    }),
    flag("delete-missing-args", |s, _| s.options.select.delete_missing = true),
    flag("ignore-missing-args", |s, _| s.options.select.ignore_missing = true),
    flag("ignore-errors", |s, on| s.options.deletion.ignore_errors = on).no(),
    flag("force", |s, on| s.options.deletion.force = on).no().receivers(),
    value("max-delete", |s, value| {
        s.options.deletion.max = Some(u64::try_from(value.number()?).unwrap_or(0));
        Ok(())
    })
    .receivers(),
];

fn delete_when(s: &mut State, when: DeleteWhen) {
    use DeleteWhen::{Delay, During};
    s.options.delete = true;
    s.options.deletion.when = when;
    // Both find out during the transfer, so the last one says when to delete.
    let alike = matches!((s.delete_when, when), (Some(During | Delay), During | Delay));
    s.delete_twice |= s.delete_when.is_some_and(|before| before != when) && !alike;
    s.delete_when = Some(when);
}

/// What these options require of each other, and what stands behind all others.
pub(super) fn agree(s: &mut State) -> Result<(), Refusal> {
    // A list of names brings the paths of the names, and directories without their contents, wherever it is given.
    let listed = s.options.files_from.is_some();
    if listed {
        s.options.recursive = s.recursive.unwrap_or(false);
        if s.paths.len() > 2 || (s.paths.len() < 2 && !s.wire.server) {
            return Err(crate::sync::help::text().trim_end().into());
        }
    }
    // For old programs at the other end, which know no directories without their contents; whatever else is said of recursion.
    if s.old_dirs {
        s.options.recursive = true;
        s.options.filters.push(false, b"/*/*")?;
    }
    s.options.select.relative = s.relative.unwrap_or(listed);
    s.options.select.dirs = s.dirs.unwrap_or(listed);
    s.wire.connection.delete_during = s.delete_when == Some(DeleteWhen::During);
    if !s.wire.server && !s.wire.is_remote(&s.paths) && s.wire.connection.cvs_exclude {
        s.options.filters.push_cvs()?;
    }
    if s.delete_twice {
        return Err("rsync: You may not combine multiple --delete-WHEN options.".into());
    }
    if s.options.delete && !s.options.recursive && !s.options.select.dirs {
        return Err("rsync: --delete does not work without --recursive (-r) or --dirs (-d).".into());
    }
    Ok(())
}
