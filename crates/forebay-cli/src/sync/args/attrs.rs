//! What entries are: links, devices, owners, modes, times.

use super::row::{Row, flag, later};

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
    later("copy-links").short('L'),
    later("copy-unsafe-links"),
    later("safe-links"),
    later("munge-links").no(),
    later("insecure-links").no(),
    later("confine-root"),
    later("copy-dirlinks").short('k'),
    later("keep-dirlinks").short('K'),
    later("hard-links").short('H').no(),
    flag("perms", |s, on| s.options.perms = on).short('p').no(),
    later("executability").short('E'),
    later("chmod"),
    later("acls").short('A').no(),
    later("xattrs").short('X').no(),
    flag("owner", |s, on| s.options.owner = on).short('o').no(),
    flag("group", |s, on| s.options.group = on).short('g').no(),
    flag("devices", |s, on| s.options.devices = on).no(),
    flag("specials", |s, on| s.options.specials = on).no(),
    flag("D", |s, on| (s.options.devices, s.options.specials) = (on, on)).short('D').no(),
    later("drop-D").no(),
    later("copy-devices"),
    later("write-devices").no(),
    flag("times", |s, on| s.options.times = on).short('t').no(),
    later("atimes").short('U').no(),
    later("open-noatime").no(),
    later("crtimes").short('N').no(),
    later("omit-dir-times").short('O').no(),
    later("omit-link-times").short('J').no(),
    later("super").no(),
    later("fake-super"),
    later("numeric-ids").no(),
    later("usermap"),
    later("groupmap"),
    later("chown"),
];
