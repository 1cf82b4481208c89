//! What a client tells the program that it starts on the other side: section 16 of the protocol.

use std::ffi::{OsStr, OsString};

use super::handshake::{Compression, Letters, Offer};
use super::session::Connection;
use super::terms::Compressor;
use super::topics;
use crate::options::{AlternateKind, Append, Options};
use crate::select::DeleteWhen;

/// Where the letters are among the arguments of a server that receives; one further on for one that sends.
pub(crate) const LETTERS: usize = 1;

/// The arguments of a server, but for the paths.
pub(crate) fn server_args(
    options: &Options,
    connection: &Connection,
    offer: &Offer,
    server_sends: bool,
) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["--server".into()];
    if server_sends {
        args.push("--sender".into());
    }
    args.push(letters(options, connection, offer, server_sends).into());
    let mut add = |on: bool, arg: &str| {
        if on {
            args.push(arg.into());
        }
    };
    add(connection.list_only, "--list-only");
    add(options.devices && !options.specials, "--no-specials");
    add(!options.devices && options.specials, "--specials");
    if !server_sends {
        // What of the format takes the other side's knowledge; `X` is one that takes none.
        let says = options.format.is_some() || options.levels.name > 0;
        if options.has_codes() {
            add(true, if options.itemize_all { "--log-format=%i%I" } else { "--log-format=%i" });
        } else if options.format.as_ref().is_some_and(|format| format.has(b"o")) {
            add(true, "--log-format=%o");
        } else {
            add(says && connection.verbose == 0, "--log-format=X");
        }
    }
    if let Some(to_stderr) = connection.messages_to_stderr {
        add(true, if to_stderr { "--msgs2stderr" } else { "--no-msgs2stderr" });
    }
    if let Some(block) = options.block_size {
        add(true, &format!("-B{block}"));
    }
    if let Some(timeout) = connection.timeout {
        add(true, &format!("--timeout={}", timeout.as_secs()));
    }
    if let Some(rate) = options.bwlimit {
        add(true, &format!("--bwlimit={}", rate.get().saturating_add(512) / 1024));
    }
    let spelled = connection.checksum_choice.clone().filter(|choice| !choice.eq_ignore_ascii_case("auto"));
    let named = || offer.checksums.map(|(transfer, files)| format!("{},{}", transfer.name(), files.name()).into());
    args.extend(spelled.or_else(named).map(|choice| joined("--checksum-choice=", &choice)));
    args.extend(match offer.compress {
        Compression::No | Compression::Best => None,
        Compression::Never => Some("--compress-choice=none".into()),
        Compression::By(Compressor::Zlibx) => Some("--new-compress".into()),
        Compression::By(Compressor::Zlib) => Some("--old-compress".into()),
        Compression::By(kind) => {
            let spelled = connection.compress_choice.as_deref();
            Some(joined("--compress-choice=", spelled.unwrap_or(OsStr::new(kind.name()))))
        }
    });
    let mut add = |on: bool, arg: &str| {
        if on {
            args.push(arg.into());
        }
    };
    if let Some(level) = offer.level {
        add(true, &format!("--compress-level={level}"));
    }
    if connection.checksum_seed != 0 {
        add(true, &format!("--checksum-seed={}", connection.checksum_seed));
    }
    if let Some(info) = topics::told(&connection.info, server_sends) {
        add(true, &info);
    }
    let select = &options.select;
    add(options.numeric_ids, "--numeric-ids");
    add(select.relative && select.no_implied_dirs, "--no-implied-dirs");
    add(select.ignore_missing && !select.delete_missing && server_sends, "--ignore-missing-args");
    add(select.delete_missing, "--delete-missing-args");
    add(options.open_noatime && !options.atimes, "--open-noatime");
    let removed = if connection.sent_files { "--remove-sent-files" } else { "--remove-source-files" };
    add(options.remove_source_files, removed);
    add(connection.qsort, "--use-qsort");
    add(options.copy_unsafe_links, "--copy-unsafe-links");
    add(options.safe_links, "--safe-links");
    add(options.deletion.ignore_errors, "--ignore-errors");
    let streamed = server_sends && options.files_from.is_some();
    add(streamed, "--files-from=-");
    add(streamed || (connection.names_there.is_some() && options.filters.nul), "--from0");
    add((streamed || connection.names_there.is_some()) && !select.relative, "--no-relative");
    match options.append {
        Some(Append::Trust) => add(true, "--append"),
        Some(Append::Verify) => (0..2).for_each(|_| add(true, "--append")),
        None => add(options.inplace, "--inplace"),
    }
    add(options.copy_devices && server_sends, "--copy-devices");
    add(options.write_devices && !server_sends, "--write-devices");
    if let Some(names) = &connection.names_there {
        args.extend(["--files-from".into(), names.clone()]);
    }
    if let Some(dir) = &options.backup_dir {
        args.extend(["--backup-dir".into(), dir.clone()]);
    }
    let usual = if options.backup_dir.is_some() { "" } else { "~" };
    if let Some(suffix) = options.suffix.as_ref().filter(|suffix| *suffix != usual) {
        args.push(joined("--suffix=", suffix));
    }
    args.extend(connection.max_alloc.as_ref().map(|most| joined("--max-alloc=", most)));
    if server_sends {
        args.extend(connection.skip_compress.as_ref().map(|names| joined("--skip-compress=", names)));
        return args;
    }
    let mut add = |on: bool, arg: &str| {
        if on {
            args.push(arg.into());
        }
    };
    if options.delete {
        let excluded = options.filters.delete_excluded;
        let when = match options.deletion.when {
            DeleteWhen::Before => "--delete-before",
            DeleteWhen::During if connection.delete_during => "--delete-during",
            // What is usual there as well.
            DeleteWhen::During if excluded => "",
            DeleteWhen::During => "--delete",
            DeleteWhen::Delay => "--delete-delay",
            DeleteWhen::After => "--delete-after",
        };
        add(select.dirs && !options.recursive, "--no-r");
        add(!when.is_empty(), when);
        add(excluded, "--delete-excluded");
    }
    add(options.deletion.force, "--force");
    if let Some(max) = options.deletion.max {
        // A number of 0 would be no limit there.
        add(true, &format!("--max-delete={}", if max == 0 { "-1".to_owned() } else { max.to_string() }));
    }
    for (name, size) in [("min", select.min_size), ("max", select.max_size)] {
        if let Some(size) = size {
            add(true, &format!("--{name}-size={size}"));
        }
    }
    add(select.size_only, "--size-only");
    add(select.existing, "--existing");
    add(select.ignore_existing, "--ignore-existing");
    match connection.modify_window {
        None => {}
        // An option of its own for those that take no negative number behind the long name.
        Some(window @ ..0) => add(true, &format!("-@{window}")),
        Some(window) => add(true, &format!("--modify-window={window}")),
    }
    add(connection.stats, "--stats");
    add(select.mkpath, "--mkpath");
    add(options.super_user == Some(true), "--super");
    add(options.delay_updates, "--delay-updates");
    add(options.partial && options.partial_dir.is_none(), "--partial");
    add(options.fsync, "--fsync");
    add(options.preallocate, "--preallocate");
    for (name, map) in ["--usermap=", "--groupmap="].iter().zip(&connection.owner_maps) {
        args.extend(map.as_ref().map(|map| joined(name, map)));
    }
    let mut pair = |name: &str, value: Option<&OsStr>| {
        if let Some(value) = value {
            args.extend([name.into(), value.to_owned()]);
        }
    };
    pair("--partial-dir", options.partial_dir.as_deref());
    pair("--temp-dir", options.temp_dir.as_deref());
    let name = match options.alternates.kind {
        AlternateKind::Compare => "--compare-dest",
        AlternateKind::Copy => "--copy-dest",
        AlternateKind::Link => "--link-dest",
    };
    options.alternates.dirs.iter().for_each(|dir| pair(name, Some(dir)));
    args
}

/// `name`, which ends with an equals sign, with `value` behind it.
fn joined(name: &str, value: &OsStr) -> OsString {
    let mut arg = OsString::from(name);
    arg.push(value);
    arg
}

/// The bundle of letters, with what we can do behind its `e`.
fn letters(options: &Options, connection: &Connection, offer: &Offer, server_sends: bool) -> String {
    let mut all = if connection.shell.secluded { "-s" } else { "-" }.to_owned();
    (0..connection.verbose).for_each(|_| all.push('v'));
    // Names that are listed bring directories along, but say nothing to a side that is to delete in them.
    let listed = options.files_from.is_some() || connection.names_there.is_some();
    let dirs = !listed || (options.delete && !server_sends);
    let select = &options.select;
    // What is only listed is not changed, without being told.
    let dry_run = connection.dry_run || (options.dry_run && options.list_only.is_none());
    let fuzzy = if options.alternates.dirs.is_empty() { options.fuzzy.min(1) } else { options.fuzzy };
    let zlib_or_any = match offer.compress {
        // A level implies it.
        Compression::Best => connection.compress || offer.level.is_none(),
        kind => kind == Compression::By(Compressor::Zlib),
    };
    for (on, letter) in [
        (options.quiet, "q"),
        (options.backup, "b"),
        (options.update, "u"),
        (dry_run, "n"),
        (options.links, "l"),
        (select.dirs && !options.recursive && dirs, "d"),
        (options.keep_dirlinks && !server_sends, "K"),
        (select.prune_empty_dirs && !server_sends, "m"),
        (options.omit_dir_times && !server_sends, "O"),
        (options.omit_link_times && !server_sends, "J"),
        (fuzzy > 0 && !server_sends, "y"),
        (fuzzy > 1 && !server_sends, "y"),
        (options.copy_links && server_sends, "L"),
        (options.copy_dirlinks && server_sends, "k"),
        (options.whole_file, "W"),
        (options.hard_links, "H"),
        (options.owner, "o"),
        (options.group, "g"),
        (options.devices, "D"),
        (options.times, "t"),
        (options.atimes, "U"),
        (options.atimes && options.open_noatime, "U"),
        (options.perms, "p"),
        (options.executability && !options.perms && !server_sends, "E"),
        (options.acls, "A"),
        (options.xattrs, "X"),
        (options.xattrs && options.xattrs_all, "X"),
        (options.recursive, "r"),
        (options.checksum, "c"),
        (connection.cvs_exclude, "C"),
        (select.ignore_times, "I"),
        (select.relative, "R"),
        (select.one_file_system > 0, "x"),
        (select.one_file_system > 1, "x"),
        (options.sparse, "S"),
        (zlib_or_any, "z"),
    ] {
        if on {
            all.push_str(letter);
        }
    }
    all + "e" + &Letters::ours(offer.incremental)
}
