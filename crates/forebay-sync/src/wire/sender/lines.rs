//! The lines of a client that sends: what the receiving side says of an entry, in the words of a local run.

use std::fs::File;

use super::beneath::Folders;
use super::live::Found;
use super::request::Request;
use crate::dir::SourceDir;
use crate::itemize::{self, Action, Change, LINKED, Time, Traffic};
use crate::links;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::shared::Shared;
use crate::totals::Kinds;
use crate::wire::receiver::is_of_the_receivers;
use crate::wire::receiver::item::flag;

/// What `request` says that happens to `found`.
pub(super) fn change(shared: &Shared<'_>, request: &Request, found: &Found) -> Change {
    let has = |bit: u16| request.flags & bit != 0;
    let kind = found.stat.kinds();
    let action = match () {
        () if has(flag::NEW) => Action::Create,
        () if has(flag::TRANSFER) => Action::Replace,
        () if has(flag::LOCAL) => Action::Copy,
        () => Action::Keep,
    };
    let late = !shared.options.times || (kind == Kinds::Link && has(flag::SIZE));
    Change {
        content: has(flag::CHANGE),
        size: has(flag::SIZE) && kind != Kinds::Link,
        time: match has(flag::TIME) {
            false => Time::Same,
            true if late => Time::Now,
            true => Time::Set,
        },
        perms: has(flag::PERMS),
        owner: has(flag::OWNER),
        group: has(flag::GROUP),
        atime: has(flag::ATIME),
        acl: has(flag::ACL),
        xattr: has(flag::XATTR),
        hard: has(flag::LOCAL) && has(flag::NAME_FOLLOWS),
        sent: true,
        ..Change::new(&found.stat, action)
    }
}

/// Whether a server has a line about it for its log file: of files that come, or of everything where the format tells codes.
pub(super) fn are_logged(options: &Options, request: &Request) -> bool {
    let comes = request.flags & flag::TRANSFER != 0;
    options.log_format.as_ref().is_some_and(|format| !options.dry_run && (comes || format.has(b"i")))
}

/// A line that is not said before the content of its file has gone.
#[derive(Debug)]
pub(super) struct Said {
    change: Change,
    found: Found,
}

impl Said {
    /// Says it: so much has passed, and `sum` was that of the file.
    pub(super) fn say(self, shared: &Shared<'_>, traffic: Traffic, sum: &[u8], out: &mut Outcome) {
        let Said { mut change, found } = self;
        change.traffic = Some(traffic);
        if change.sum.is_none() && shared.tells_sum(&change) {
            change.sum = Some(sum.into());
        }
        itemize::behind(shared, out, &change, &found.named());
    }
}

/// Says it, and gives what is left to be said when the content has gone, if that is `sent`.
pub(super) fn say(
    shared: &Shared<'_>,
    folders: &mut Folders,
    request: &Request,
    sent: bool,
    out: &mut Outcome,
) -> Option<Said> {
    let found = &request.found;
    let mut change = change(shared, request, found);
    if shared.tells_sum(&change) && (shared.options.checksum || !sent) {
        let open = |source: &SourceDir| source.open(found.name(), found.follow, shared.options.open_noatime);
        let file = folders.open(shared, found.folder()).and_then(open).map(File::from);
        change.sum = Some(shared.sum_of(file.as_ref().map_err(|errno| *errno), 0));
    }
    if sent {
        itemize::ahead(shared, out, &change, &found.named());
        return itemize::tells_behind(shared.options).then(|| Said { change, found: found.clone() });
    }
    let leader = request.name.as_deref().filter(|name| change.hard && !name.is_empty());
    let link = match change.kind {
        Kinds::Link => {
            let to = folders.open(shared, found.folder()).and_then(|source| source.read_link(found.name()));
            to.ok().map(|to| links::unmunged(shared, to))
        }
        _ => None,
    };
    let target = match (leader, &link) {
        (Some(leader), _) => Some((LINKED, leader)),
        (None, Some(link)) => Some((&b" -> "[..], link.to_bytes())),
        (None, None) => None,
    };
    let codes = shared.serves && change.any();
    if codes || !is_of_the_receivers(shared.options, &change, leader.is_some()) {
        itemize::lines(shared, out, &change, &found.named(), target);
    }
    None
}
