//! What entries are: links, devices, owners, modes, times.

use forebay_sync::{IdMap, Ids};

use super::row::{Row, check, flag, later, value};
use super::state::{Map, State};
use super::value::{Refusal, Value};

/// The options about kinds and attributes.
pub(super) const ROWS: &[Row] = &[
    flag("archive", |s, _| {
        let options = &mut s.options;
        (options.recursive, options.links) = (true, true);
        (options.perms, options.times, options.group, options.owner) = (true, true, true, true);
        (options.devices, options.specials) = (true, true);
    })
    .short('a'),
    flag("links", |s, on| s.options.links = on).short('l').no(),
    flag("copy-links", |s, _| s.options.copy_links = true).short('L'),
    flag("copy-unsafe-links", |s, _| s.options.copy_unsafe_links = true),
    flag("safe-links", |s, _| s.options.safe_links = true),
    flag("munge-links", |s, on| s.options.munge_links = on).no(),
    flag("insecure-links", |s, on| (s.options.insecure_links, s.options.filters.insecure_links) = (on, on)).no(),
    later("confine-root"),
    flag("copy-dirlinks", |s, _| s.options.copy_dirlinks = true).short('k'),
    flag("keep-dirlinks", |s, _| s.options.keep_dirlinks = true).short('K').receivers(),
    flag("hard-links", |s, on| s.options.hard_links = on).short('H').no(),
    flag("perms", |s, on| s.options.perms = on).short('p').no(),
    flag("executability", |s, _| s.options.executability = true).short('E'),
    value("chmod", |s, value| {
        let refused = |_| format!("rsync: Invalid argument passed to --chmod ({})", value.lossy()).into();
        s.options.chmod.push(value.bytes()).map_err(refused)
    }),
    flag("acls", |s, on| {
        s.options.acls = on;
        s.options.perms |= on;
    })
    .short('A')
    .no(),
    flag("xattrs", |s, on| {
        s.options.xattrs_all = on && s.options.xattrs;
        s.options.xattrs = on;
    })
    .short('X')
    .no(),
    flag("owner", |s, on| s.options.owner = on).short('o').no(),
    flag("group", |s, on| s.options.group = on).short('g').no(),
    flag("devices", |s, on| s.options.devices = on).no(),
    flag("specials", |s, on| s.options.specials = on).no(),
    flag("D", |s, on| (s.options.devices, s.options.specials) = (on, on)).short('D').no(),
    later("drop-D").no(),
    flag("copy-devices", |s, _| s.options.copy_devices = true),
    flag("write-devices", |s, on| s.options.write_devices = on).no().receivers(),
    flag("times", |s, on| s.options.times = on).short('t').no(),
    flag("atimes", |s, on| {
        // Twice, it also keeps those of the source.
        s.options.open_noatime |= on && s.options.atimes;
        s.options.atimes = on;
    })
    .short('U')
    .no(),
    flag("open-noatime", |s, on| s.options.open_noatime = on).no(),
    check("crtimes", |_, on| match on {
        true => Err("rsync: This rsync does not support --crtimes (-N)".into()),
        false => Ok(()),
    })
    .short('N')
    .no(),
    flag("omit-dir-times", |s, on| s.options.omit_dir_times = on).short('O').no().receivers(),
    flag("omit-link-times", |s, on| s.options.omit_link_times = on).short('J').no().receivers(),
    flag("super", |s, on| {
        s.options.super_user = Some(on);
        (s.options.fake_source, s.options.fake_destination) = (false, false);
    })
    .no()
    .receivers(),
    flag("fake-super", |s, _| {
        s.options.super_user = None;
        (s.options.fake_source, s.options.fake_destination) = (true, true);
    })
    .receivers(),
    flag("numeric-ids", |s, on| s.options.numeric_ids = on).no(),
    value("usermap", |s, value| {
        s.options.owner |= !s.wire.server;
        map(&mut s.user_map, "usermap", value)
    }),
    value("groupmap", |s, value| {
        s.options.group |= !s.wire.server;
        map(&mut s.group_map, "groupmap", value)
    }),
    value("chown", |s, value| {
        let text = value.lossy();
        let (user, group) = text.split_once(':').unwrap_or((&text, ""));
        // A server is told whether owners and groups come.
        s.options.owner |= !user.is_empty() && !s.wire.server;
        s.options.group |= !group.is_empty() && !s.wire.server;
        chown(&mut s.user_map, ("usermap", "user"), user)?;
        chown(&mut s.group_map, ("groupmap", "group"), group)
    }),
];

/// Keeps the argument of `--usermap` or `--groupmap`.
fn map(kept: &mut Option<Map>, option: &str, value: &Value) -> Result<(), Refusal> {
    match kept {
        Some(Map { chown: true, .. }) => Err(format!("rsync: --{option} conflicts with prior --chown.").into()),
        Some(_) => Err(format!("rsync: You can only specify --{option} once.").into()),
        None => {
            *kept = Some(Map { pairs: value.lossy(), chown: false });
            Ok(())
        }
    }
}

/// Keeps one half of the argument of `--chown`, unless it is empty.
fn chown(kept: &mut Option<Map>, (option, what): (&str, &str), to: &str) -> Result<(), Refusal> {
    match kept {
        _ if to.is_empty() => Ok(()),
        Some(Map { chown: false, .. }) => Err(format!("rsync: --chown conflicts with prior --{option}.").into()),
        Some(_) => Err(format!("rsync: You can only specify a {what}-affecting --chown once.").into()),
        None => {
            *kept = Some(Map { pairs: format!("*:{to}"), chown: true });
            Ok(())
        }
    }
}

/// What these options require of each other.
pub(super) fn agree(state: &State) -> Result<(), Refusal> {
    let options = &state.options;
    match options.xattrs && options.xattrs_all && (options.fake_source || options.fake_destination) {
        true => Err("rsync: --fake-super conflicts with -XX".into()),
        false => Ok(()),
    }
}

/// Turns what was said of owners into options, unless the other side receives and reads it. Gives lines about what does not
/// exist.
pub(super) fn owners(state: &mut State) -> Result<Vec<String>, Refusal> {
    let mut unknown = Vec::new();
    if state.wire.pushes(&state.paths) {
        let maps = [&state.user_map, &state.group_map];
        state.wire.connection.owner_maps = maps.map(|map| map.as_ref().map(|map| map.pairs.clone().into()));
        return Ok(unknown);
    }
    let numeric = state.options.numeric_ids;
    let mut read = |ids, map: Option<&Map>| {
        let (map, lines) = match map.map(|map| IdMap::parse(ids, &map.pairs, numeric)) {
            None => return Ok(None),
            Some(Ok(read)) => read,
            // As with rsync, which reads them when it knows the client.
            Some(Err(why)) if state.wire.server => {
                state.wire.served.refused.get_or_insert(why);
                return Ok(None);
            }
            Some(Err(why)) => return Err(Refusal { role: Some("Receiver"), ..why.into() }),
        };
        unknown.extend(lines);
        Ok(Some(map))
    };
    let users = read(Ids::Users, state.user_map.as_ref())?;
    let groups = read(Ids::Groups, state.group_map.as_ref())?;
    state.options.user_map = users.unwrap_or_default();
    state.options.group_map = groups.unwrap_or_default();
    Ok(unknown)
}
