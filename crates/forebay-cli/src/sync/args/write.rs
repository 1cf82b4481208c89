//! How content is compared and written.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroU32;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use forebay_sync::{AlternateKind, Append, Reflink};

use super::row::{Row, check, flag, value};
use super::state::State;
use super::value::{Refusal, Value};

/// The options about content.
pub(super) const ROWS: &[Row] = &[
    flag("dry-run", |s, _| (s.options.dry_run, s.wire.connection.dry_run) = (true, true)).short('n'),
    flag("checksum", |s, on| s.options.checksum = on).short('c').no(),
    value("checksum-choice", checksum_choice).alias(&["cc"]),
    flag("whole-file", |s, on| s.whole_file = Some(on)).short('W').no(),
    value("block-size", block_size).short('B'),
    check("fuzzy", fuzzy).short('y').no(),
    flag("backup", |s, on| s.options.backup = on).short('b').no_long(),
    value("backup-dir", |s, value| put(&mut s.options.backup_dir, value)),
    value("suffix", |s, value| put(&mut s.options.suffix, value)),
    flag("inplace", |s, on| s.options.inplace = on).no(),
    flag("append", |s, on| {
        // A client tells its server of `--append-verify` by saying this twice.
        let twice = s.wire.server && s.options.append.is_some();
        s.options.append = on.then_some(if twice { Append::Verify } else { Append::Trust });
    })
    .no(),
    flag("append-verify", |s, _| s.options.append = Some(Append::Verify)),
    flag("partial", |s, on| s.options.partial = on).no(),
    value("partial-dir", |s, value| put(&mut s.options.partial_dir, value)),
    flag("delay-updates", |s, on| s.options.delay_updates = on).no(),
    value("temp-dir", |s, value| put(&mut s.options.temp_dir, value)).short('T').receivers(),
    flag("sparse", |s, on| s.options.sparse = on).short('S').no().receivers(),
    flag("preallocate", |s, _| s.options.preallocate = true).receivers(),
    flag("fsync", |s, _| s.options.fsync = true).receivers(),
    value("reflink", reflink),
    value("compare-dest", |s, value| alternate(s, AlternateKind::Compare, value)),
    value("copy-dest", |s, value| alternate(s, AlternateKind::Copy, value)),
    value("link-dest", |s, value| alternate(s, AlternateKind::Link, value)),
];

/// Every checksum that rsync knows. Contents are compared byte by byte here, and blocks by the strongest, whatever is
/// chosen: on one machine, the choice decides what is refused, and which sums are told.
const CHECKSUMS: &[&str] = &["auto", "xxh128", "xxh3", "xxh64", "xxhash", "md5", "md4", "sha1", "none"];

/// The most trees that may be searched for unchanged files.
const MOST_ALTERNATES: usize = 20;

/// The longest block, in bytes.
const MOST_BLOCK_SIZE: u64 = 128 << 10;

fn put(slot: &mut Option<OsString>, value: &Value) -> Result<(), Refusal> {
    *slot = Some(value.text.clone());
    Ok(())
}

fn fuzzy(s: &mut State, on: bool) -> Result<(), Refusal> {
    s.options.fuzzy = if on { s.options.fuzzy.saturating_add(1) } else { 0 };
    Ok(())
}

fn checksum_choice(s: &mut State, value: &Value) -> Result<(), Refusal> {
    let text = value.lossy();
    let (transfer, compare) = text.split_once(',').unwrap_or((&text, &text));
    for name in [transfer, compare] {
        if !CHECKSUMS.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Err(Refusal::with(4, format!("unknown checksum name: {name}")));
        }
    }
    s.checksums = Some((transfer.into(), compare.into()));
    s.wire.connection.checksum_choice = Some(value.text.clone());
    Ok(())
}

fn block_size(s: &mut State, value: &Value) -> Result<(), Refusal> {
    let size = value.size_or_none("block-size")?;
    if size > MOST_BLOCK_SIZE {
        return Err(format!("rsync: --block-size={} is too large (max: 128.00K)", value.lossy()).into());
    }
    s.options.block_size = u32::try_from(size).ok().and_then(NonZeroU32::new);
    Ok(())
}

fn reflink(s: &mut State, value: &Value) -> Result<(), Refusal> {
    s.options.reflink = match value.bytes() {
        b"auto" => Reflink::Auto,
        b"always" => Reflink::Always,
        b"never" => Reflink::Never,
        _ => return Err(format!("rsync: --reflink={} is invalid: auto, always or never", value.lossy()).into()),
    };
    Ok(())
}

fn alternate(s: &mut State, kind: AlternateKind, value: &Value) -> Result<(), Refusal> {
    let name = |kind| match kind {
        AlternateKind::Compare => "--compare-dest",
        AlternateKind::Copy => "--copy-dest",
        AlternateKind::Link => "--link-dest",
    };
    let alternates = &mut s.options.alternates;
    if !alternates.dirs.is_empty() && alternates.kind != kind {
        let (new, old) = (name(kind), name(alternates.kind));
        return Err(format!("rsync: ERROR: the {new} option conflicts with the {old} option").into());
    }
    if alternates.dirs.len() == MOST_ALTERNATES {
        return Err(format!("rsync: ERROR: at most 20 {} args may be specified", name(kind)).into());
    }
    alternates.kind = kind;
    alternates.dirs.push(value.text.clone());
    Ok(())
}

/// Whether the path `dir` leads nowhere.
fn is_here(dir: &OsStr) -> bool {
    let mut parts = dir.as_bytes().split(|&b| b == b'/');
    !dir.as_bytes().starts_with(b"/") && parts.all(|part| part.is_empty() || part == b".")
}

/// What these options require of each other, and what they imply.
pub(super) fn agree(s: &mut State) -> Result<(), Refusal> {
    let o = &mut s.options;
    o.inplace |= o.write_devices;
    if let Some(suffix) = &o.suffix
        && suffix.as_bytes().contains(&b'/')
    {
        return Err(format!("rsync: --suffix cannot contain slashes: {}", suffix.to_string_lossy()).into());
    }
    let no_suffix = o.suffix.as_ref().is_some_and(|suffix| suffix.is_empty());
    if no_suffix && o.backup_dir.is_none() {
        return Err("rsync: --suffix cannot be empty without a --backup-dir".into());
    }
    if let Some(dir) = &o.backup_dir {
        o.backup = true;
        if is_here(dir) {
            if o.suffix.as_ref().is_none_or(|suffix| suffix.is_empty()) {
                return Err("rsync: --suffix cannot be empty when --backup-dir is the same as the dest dir".into());
            }
            // As with rsync, that is as if there were none.
            o.backup_dir = None;
        }
    }
    if o.partial_dir.as_deref().is_some_and(is_here) {
        (o.partial, o.partial_dir) = (true, None);
    }
    if let Some(dir) = &o.partial_dir {
        let bytes = dir.as_bytes();
        let end = bytes.len() - bytes.iter().rev().take_while(|&&b| b == b'/').count();
        o.partial_dir = Some(OsString::from_vec(bytes[..end.max(1)].to_vec()));
    }
    let none = |name: &OsString| name.eq_ignore_ascii_case("none");
    let (transfer, compare) = s.checksums.as_ref().map_or((false, false), |(a, b)| (none(a), none(b)));
    // Without sums of its content, a file is sent whole.
    if o.append.is_some() && (s.whole_file == Some(true) || transfer) {
        return Err("rsync: --append cannot be used with --whole-file".into());
    }
    if o.append.is_some() || o.inplace {
        let option = if o.append.is_some() { "--append" } else { "--inplace" };
        let other = if o.delay_updates { "--delay-updates" } else { "--partial-dir" };
        if o.delay_updates || o.partial_dir.is_some() {
            return Err(format!("rsync: {option} cannot be used with {other}").into());
        }
    } else if o.partial && o.partial_dir.is_none() && !o.delay_updates {
        o.partial_dir = std::env::var_os("RSYNC_PARTIAL_DIR").filter(|dir| !is_here(dir));
    }
    let remote = s.wire.server || s.wire.is_remote(&s.paths);
    // As with rsync, that is found out where the sums would be made.
    let sends = if s.wire.server { s.wire.served.sends } else { !remote || s.wire.pushes(&s.paths) };
    if compare && o.checksum && sends {
        return Err(Refusal::with(4, "Invalid checksum-choice for --checksum: none (0)"));
    }
    // Between two machines, what the other one has need not be sent.
    o.whole_file = transfer || s.whole_file.unwrap_or(!remote);
    Ok(())
}
