//! Regular files: whether they have changed, and what becomes of those that have.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::alternates::{Found, Likeness};
use crate::attrs;
use crate::backup;
use crate::content::copy::Failure;
use crate::content::{Plan, Way, Written, partial};
use crate::delete;
use crate::error::Error;
use crate::fs::{self, Stat};
use crate::fuzzy;
use crate::hardlinks::Role;
use crate::itemize::{self, Action, Change, Time};
use crate::options::{Append, Options};
use crate::outcome::Outcome;
use crate::select::DeleteWhen;
use crate::shared::Shared;
use crate::target::Ready;
use crate::totals::Kinds;
use crate::wire::Basis;
use crate::worker::{Entry, Worker, replaced_time};

impl Worker<'_> {
    /// Brings one regular file up to date.
    pub(crate) fn regular(&mut self, entry: &Entry<'_>, out: &mut Outcome) -> Result<(), Error> {
        let (shared, options, src) = (self.shared, self.shared.options, &entry.src);
        if let Some(why) = options.select.wrong_size(src.size) {
            shared.pass_over(out, "", &entry.rel(), why);
            return Ok(());
        }
        if self.is_newer(entry) {
            if options.levels.skip > 0 {
                shared.say(out, &[], &entry.target_rel(), b" is newer\n");
            }
            return Ok(());
        }
        let old = entry.old_of_kind();
        let found = match self.alternate(entry, out) {
            Ok(found) => found,
            Err(failure) => return self.unopened(entry, None, failure, out),
        };
        let mut way_made = false;
        if let Some(found) = &found
            && found.likeness == Likeness::Exact
        {
            way_made = self.make_way(entry, out);
            if !way_made || self.take_exact(entry, found, None, out) {
                // What is in another tree has arrived, unless that is the source itself.
                self.arrived = way_made && !shared.options.only_sent && found.stat.inode() != entry.src.inode();
                return Ok(());
            }
        }
        if let (Some(old), Some(ready)) = (&old, entry.ready) {
            match self.unchanged(entry, ready.fd.as_fd(), entry.target, old) {
                Ok(true) => {
                    self.keep(entry, old, None, out);
                    return Ok(());
                }
                Ok(false) => {}
                Err(failure) => return self.unopened(entry, None, failure, out),
            }
            if self.is_no_shorter(entry) {
                return Ok(());
            }
        }
        if !way_made && !self.make_way(entry, out) {
            return Ok(());
        }
        match &found {
            Some(found) if found.likeness >= Likeness::Content => self.copy_alternate(entry, found, out),
            _ => self.transfer(entry, found.as_ref(), out),
        }
    }

    /// Whether the destination's entry is to stay as it is, however it differs, and whichever other names the source has.
    pub(crate) fn left_alone(&self, entry: &Entry<'_>) -> bool {
        let select = &self.shared.options.select;
        let unwanted = if entry.old.is_some() { select.ignore_existing } else { select.existing };
        unwanted || (entry.src.kinds() == Kinds::File && select.wrong_size(entry.src.size).is_some())
    }

    /// Whether `-u` keeps the destination's file.
    pub(crate) fn is_newer(&self, entry: &Entry<'_>) -> bool {
        let select = &self.shared.options.select;
        let newer = |old: &Stat| old.kinds() == entry.src.kinds() && select.is_newer(old.mtime, entry.src.mtime);
        self.shared.options.update && entry.old.as_ref().is_some_and(newer)
    }

    /// Whether `--append` has nothing to add to the destination's file, whatever it is.
    pub(crate) fn is_no_shorter(&self, entry: &Entry<'_>) -> bool {
        let no_shorter = |old: Stat| old.kinds() == Kinds::File && old.size >= entry.src.size;
        self.shared.options.append.is_some() && entry.old_of_kind().is_some_and(no_shorter)
    }

    /// Whether a name that is one of several of the source has a part in what becomes of them: the destination's file does not
    /// stay. As with rsync, what stays becomes another name of the file all the same if one before it has been replaced.
    pub(crate) fn is_grouped(&mut self, entry: &Entry<'_>) -> bool {
        let newer = self.is_newer(entry);
        let may_stay = entry.src.kinds() == Kinds::File && (newer || self.is_no_shorter(entry));
        let (true, Some(old), Some(ready)) = (may_stay, entry.old_of_kind(), entry.ready) else { return true };
        match self.shared.groups.role(entry.src.inode(), &entry.rel()) {
            Some((Role::AfterLeader, _, Some(_))) => true,
            _ if newer => false,
            // The census has compared it.
            Some((Role::Leader, _, Some((inode, current)))) if inode == old.inode() => current,
            // What cannot be read is reported when it is its turn.
            _ => self.unchanged(entry, ready.fd.as_fd(), entry.target, &old).unwrap_or(false),
        }
    }

    /// Whether the file `name` beneath `at`, which is as `old` says, has the content of the source's: by size and time,
    /// or, with `-c`, by content.
    pub(crate) fn unchanged(
        &mut self,
        entry: &Entry<'_>,
        at: BorrowedFd<'_>,
        name: &CStr,
        old: &Stat,
    ) -> Result<bool, Failure> {
        if old.size != entry.src.size {
            return Ok(false);
        }
        if !self.shared.options.checksum {
            let select = &self.shared.options.select;
            return Ok(select.size_only || (!select.ignore_times && self.shared.same_time(old, &entry.src)));
        }
        if let (Some(remote), Some(sent)) = (&self.shared.remote, &entry.dir.sent) {
            let sum = sent.entry(entry.at).and_then(|facts| facts.sum.as_deref()).unwrap_or_default();
            let there = fs::open_file(at, name).map_err(std::io::Error::from);
            return Ok(there.and_then(|there| remote.has_sum(there, sum, &mut self.copier.buffer)).unwrap_or(false));
        }
        let source = entry.open(self.shared).map_err(Failure::Read)?;
        // What cannot be read cannot be the same.
        let Ok(there) = fs::open_file(at, name) else { return Ok(false) };
        self.copier.same(source.as_fd(), there.as_fd(), old.size)
    }

    /// Clears the name of a directory. A dry run tells of the backup of what else would be in the way.
    pub(crate) fn make_way(&self, entry: &Entry<'_>, out: &mut Outcome) -> bool {
        let (Some(old), Some(ready)) = (&entry.old, entry.ready) else { return true };
        if self.shared.options.dry_run
            && self.shared.options.backup
            && entry.old_stays()
            && old.kind != FileType::RegularFile
        {
            return backup::take(self.shared, out, ready.fd.as_fd(), entry.target, &entry.target_rel(), true);
        }
        if old.kind == FileType::Directory {
            // Also if nothing comes in its place.
            entry.dir.touched.store(true, Ordering::Relaxed);
        }
        delete::make_way(self.shared, out, ready, entry.target, old, &entry.rel(), "regular file")
    }

    /// Copies the file, whatever is there.
    fn transfer(&mut self, entry: &Entry<'_>, found: Option<&Found>, out: &mut Outcome) -> Result<(), Error> {
        let (shared, options) = (self.shared, self.shared.options);
        if options.backup
            && options.writes_in_place()
            && !options.dry_run
            && entry.old_of_kind().is_some()
            && entry.ready.is_some_and(|ready| !backup::may_copy(shared, entry, ready, out))
        {
            return Ok(());
        }
        let entry = &Entry { closed: self.is_closed(entry, out), ..*entry };
        let found = found.filter(|_| !entry.closed);
        if entry.src.index.is_some() {
            return self.request(entry, found, false, out);
        }
        let source = if options.dry_run { Ok(None) } else { entry.open(shared).map(Some) };
        let source = match source {
            Ok(source) => source,
            Err(errno) => return self.unopened(entry, found, Failure::Read(errno), out),
        };
        let change = self.say_transfer(entry, found, out);
        let (Some(source), Some(ready)) = (source, entry.ready) else { return Ok(()) };
        let from = entry.usable().filter(|_| options.append.is_some()).map_or(0, |old| old.size);
        let mut differs = false;
        if from > 0 && options.append == Some(Append::Verify) {
            let there = fs::open_file(ready.fd.as_fd(), entry.target).map_err(Failure::Read);
            match there.and_then(|there| self.copier.same(source.as_fd(), there.as_fd(), from)) {
                Ok(true) => {}
                Ok(false) => differs = true,
                Err(failure) => return self.unread(entry, failure, out),
            }
        }
        let basis = if from == 0 { self.basis(entry, ready, found).map(|(_, file)| file) } else { None };
        let like = entry.like(shared, found);
        let way = Way::new(options.writes_in_place(), false);
        let (size, dev) = (length(entry, &source), entry.src.dev);
        let (whole, onto_device) = (options.whole_file || from > 0 || entry.closed, entry.is_device());
        let plan = Plan { from, basis, whole, onto_device, ..Plan::whole(source, (size, dev), like, way) };
        match self.write(entry, ready, &plan, out)? {
            Written::Unread => self.once_more(entry, ready, plan, Some(change), out),
            // What could not be opened has no backup either.
            Written::Done if differs => {
                let second = self.say_again(entry, Some(change), out);
                let plan = Plan { from: 0, whole: false, way: Way::InPlaceAgain, last: true, ..plan };
                let written = self.write(entry, ready, &plan, out)?;
                self.give_up(entry, written, out);
                self.push_again(entry, second);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether what has the name was to be read, for what is appended to it or made of it, and may not be. Says so.
    pub(crate) fn is_closed(&self, entry: &Entry<'_>, out: &mut Outcome) -> bool {
        let shared = self.shared;
        if !shared.options.reads_old() {
            return false;
        }
        let Some(errno) = entry.unreadable(shared) else { return false };
        if entry.ready.is_some_and(|ready| left(shared, ready, entry.target).is_some()) {
            return false;
        }
        let after = format!("\", continuing: {}", fs::describe(errno));
        shared.complain(
            out,
            "rsync: [generator] failed to open \"",
            &shared.target_path(&entry.target_rel(), b""),
            &after,
        );
        true
    }

    /// Tries once more to write what could not be read as far as it was to reach, after the `change` that was told of, if it
    /// was. What the source has by now is copied, as far as it reaches when it is opened.
    pub(crate) fn once_more(
        &mut self,
        entry: &Entry<'_>,
        ready: &Ready,
        plan: Plan,
        change: Option<Change>,
        out: &mut Outcome,
    ) -> Result<(), Error> {
        let mut second = self.say_again(entry, change, out);
        // It makes for a partial transfer in any case, but what is right now is linked to, and its source may go.
        second.totals.failed += 1;
        let source = match entry.open(self.shared) {
            Ok(source) => source,
            Err(errno) => {
                self.push_again(entry, second);
                return self.unread(entry, Failure::Read(errno), out);
            }
        };
        let way = if plan.way == Way::Aside { Way::Aside } else { Way::InPlaceAgain };
        let size = length(entry, &source);
        let (from, basis, whole) = (0, None, true);
        let plan = Plan { source, size, from, basis, whole, way, last: true, ..plan };
        let written = self.write(entry, ready, &plan, out)?;
        self.give_up(entry, written, out);
        self.push_again(entry, second);
        Ok(())
    }

    /// Says so if a second try was in vain.
    fn give_up(&self, entry: &Entry<'_>, written: Written, out: &mut Outcome) {
        if written == Written::Unread {
            out.totals.failed += 1;
            let after = format!(" failed verification -- update {}.", update_is(self.shared.options, true));
            self.shared.complain(out, "ERROR: ", &entry.rel(), &after);
        }
    }

    /// What is said of a second try comes when everything else has been done, as with rsync.
    fn push_again(&self, entry: &Entry<'_>, second: Outcome) {
        self.shared.again.lock().unwrap_or_else(PoisonError::into_inner).push((entry.rel(), second));
    }

    /// Says that what has been written is not what the source has, after the `change` that was told of, and returns what there
    /// is to say of a second try. As with rsync, the second finds what the first has left in place, or as a partial file.
    fn say_again(&self, entry: &Entry<'_>, change: Option<Change>, out: &mut Outcome) -> Outcome {
        let (shared, options) = (self.shared, self.shared.options);
        if options.says_more() {
            let what = format!(" failed verification -- update {} (will try again).", update_is(options, false));
            shared.complain(out, "WARNING: ", &entry.rel(), &what);
        }
        let mut second = Outcome::default();
        let Some(mut change) = change else { return second };
        change.content = false;
        if options.writes_in_place() || (options.partial && options.partial_dir.is_none()) {
            if change.action == Action::Create {
                change.action = Action::Replace;
            }
            (change.size, change.perms, change.owner, change.group) = <_>::default();
            (change.acl, change.xattr) = (false, false);
            // It has been written to by then.
            change.time = if options.times { Time::Set } else { Time::Now };
        }
        itemize::log(shared, &mut second, &change, &entry.named(), None);
        self.count_transfer(entry, &mut second);
        second
    }

    /// What blocks of the file may come from: what an interrupted run has left, what has its name, what has that in
    /// another tree, or something like it.
    pub(crate) fn basis(&self, entry: &Entry<'_>, ready: &Ready, found: Option<&Found>) -> Option<(Basis, OwnedFd)> {
        if self.shared.options.whole_file || entry.closed {
            return None;
        }
        let at = ready.fd.as_fd();
        let itself = || entry.old_of_kind().and_then(|_| regular(at, entry.target)).map(|file| (Basis::Itself, file));
        let in_place = if self.shared.options.writes_in_place() { itself() } else { None };
        in_place
            .or_else(|| left(self.shared, ready, entry.target).map(|file| (Basis::Partial, file)))
            .or_else(itself)
            .or_else(|| {
                let tree = found?.tree;
                let file = regular(self.alternates.get(tree)?.as_fd(), entry.target)?;
                Some((Basis::Alternate(tree), file))
            })
            .or_else(|| match entry.old_of_kind() {
                None => fuzzy::open(self.shared, entry.dir, ready, entry.target, &entry.src),
                Some(_) => None,
            })
    }

    /// Says and counts that the content is transferred.
    pub(crate) fn say_transfer(&self, entry: &Entry<'_>, found: Option<&Found>, out: &mut Outcome) -> Change {
        let change = self.transfer_change(entry, found, out);
        itemize::log(self.shared, out, &change, &entry.named(), None);
        self.count_transfer(entry, out);
        change
    }

    /// What changes when the content is transferred: against what is there, or else against what was `found` in another
    /// tree. Counts what is new.
    pub(crate) fn transfer_change(&self, entry: &Entry<'_>, found: Option<&Found>, out: &mut Outcome) -> Change {
        let (shared, options) = (self.shared, self.shared.options);
        let mut change = Change::new(&entry.src, Action::Create);
        if options.levels.progress == 1 {
            change.ahead = entry.dir.dirs_ahead();
        }
        let old = entry.usable();
        if let Some(like) = old.or(found.map(|found| found.stat)) {
            change.action = Action::Replace;
            change.content = options.checksum;
            change.size = entry.src.size != like.size;
            change.time = replaced_time(shared, &entry.src, &like);
            match found.filter(|_| old.is_none()) {
                Some(found) => {
                    entry.compare_with(shared, &mut change, &like, self.place_of(entry, found.tree).as_ref());
                }
                None => entry.compare(shared, &mut change, &like),
            }
        } else {
            out.totals.count_created(Kinds::File);
        }
        if shared.remote.is_some() {
            // As with rsync, the side that receives tells which mode the file gets.
            change.src.mode = attrs::wanted_mode(shared, &entry.src, old.as_ref(), entry.ready);
        }
        entry.sum(shared, &mut change);
        change
    }

    pub(crate) fn count_transfer(&self, entry: &Entry<'_>, out: &mut Outcome) {
        out.totals.transferred += 1;
        out.totals.transferred_bytes += entry.src.size;
    }

    /// Copies the file from another tree, which has the same content, and gives it the source's attributes. What cannot be read
    /// there is like nothing.
    fn copy_alternate(&mut self, entry: &Entry<'_>, found: &Found, out: &mut Outcome) -> Result<(), Error> {
        let shared = self.shared;
        let mut opened = None;
        if let (Some(ready), false) = (entry.ready, shared.options.dry_run) {
            let dir = self.alternates.get(found.tree).ok_or(Errno::NOENT);
            match dir.and_then(|dir| fs::open_file(dir.as_fd(), entry.target)) {
                Ok(source) => opened = Some((ready, source)),
                Err(errno) => {
                    let place = shared.places.alternates.get(found.tree).map_or(&b""[..], |place| &place.shown);
                    let path = [place, b"/", &entry.target_rel()].concat();
                    out.totals.failed += 1;
                    let after = format!("\": {}", fs::describe(errno));
                    shared.complain(out, "rsync: [generator] open \"", &path, &after);
                    return self.transfer(entry, None, out);
                }
            }
        }
        let (options, mut change) = (shared.options, self.like(entry, found));
        // As with rsync, which tells it as a copy of what is elsewhere, and then with the time that it gets.
        if found.likeness == Likeness::Exact
            && options.levels.name > 1
            && !(options.times || options.has_codes() || options.json)
        {
            shared.say_same(out, &entry.target_rel(), b" is uptodate\n");
        }
        change.time = if options.times { change.time } else { Time::Now };
        change.lacking = entry.lacking(shared);
        entry.sum(shared, &mut change);
        itemize::log(shared, out, &change, &entry.named(), None);
        let Some((ready, source)) = opened else { return Ok(()) };
        let stat = &found.stat;
        // As with rsync: here, the mode is that of whatever it replaces.
        let like = entry.old.filter(|old| old.kinds() != Kinds::Dir);
        let from = (stat.size, stat.dev);
        let plan = Plan { local: true, ..Plan::whole(source, from, like, Way::Aside) };
        match self.write(entry, ready, &plan, out)? {
            Written::Unread => self.transfer(entry, None, out),
            _ => Ok(()),
        }
    }

    /// As [`unread`](Worker::unread), before the transfer was told of. As with rsync, it counts all the same.
    pub(crate) fn unopened(
        &self,
        entry: &Entry<'_>,
        found: Option<&Found>,
        failure: Failure,
        out: &mut Outcome,
    ) -> Result<(), Error> {
        if entry.usable().is_none() && found.is_none() {
            out.totals.count_created(Kinds::File);
        }
        self.count_transfer(entry, out);
        self.unread(entry, failure, out)
    }

    /// A file that could not be opened or read, or a cancellation meanwhile.
    fn unread(&self, entry: &Entry<'_>, failure: Failure, out: &mut Outcome) -> Result<(), Error> {
        match failure {
            Failure::Read(errno) | Failure::Write(errno) | Failure::Share(errno) => {
                let (shared, path) = (self.shared, entry.source.path_of(entry.name));
                if errno == Errno::NOENT {
                    shared.vanished(out, "file", &path);
                    return Ok(());
                }
                // As with rsync, what could be listed keeps nothing from being deleted along the way.
                if shared.options.deletion.when == DeleteWhen::After {
                    shared.io_error.store(true, Ordering::Relaxed);
                }
                shared.fail(out, "[sender] send_files failed to open", &path, errno);
                Ok(())
            }
            Failure::Cancelled => Err(Error::Cancelled),
        }
    }
}

/// What becomes of an update that was not right, and is `given_up` or tried once more.
pub(crate) fn update_is(options: &Options, given_up: bool) -> &'static str {
    match options.writes_in_place() {
        true => "retained",
        false if given_up && options.partial_dir.is_some() && !options.delay_updates => "put into partial-dir",
        false => "discarded",
    }
}

/// Opens what an interrupted run has left of the file `name`.
fn left(shared: &Shared<'_>, ready: &Ready, name: &CStr) -> Option<OwnedFd> {
    let dir = partial::dir(shared, ready.fd.as_fd(), false).ok()?;
    regular(dir.as_fd(), name)
}

/// Opens the file `name`, if blocks can come from it.
fn regular(dir: BorrowedFd<'_>, name: &CStr) -> Option<OwnedFd> {
    let stat = Stat::at(dir, name).ok()?;
    fs::open_file(dir, name).ok().filter(|_| stat.kinds() == Kinds::File && stat.size > 0)
}

/// How far the file reaches that has been opened to be copied: it may be another than when it was looked at.
pub(crate) fn length(entry: &Entry<'_>, source: &OwnedFd) -> u64 {
    match rustix::fs::fstat(source).map(Stat::from) {
        Ok(now) if now.kind == FileType::RegularFile => now.size,
        // A device says nothing here.
        _ => entry.src.size,
    }
}
