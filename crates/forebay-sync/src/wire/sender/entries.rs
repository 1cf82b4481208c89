//! The list: what the walk finds becomes entries.

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use forebay::Weigh;
use rustix::fs::FileType;
use rustix::io::Errno;

use super::live::Folder;
use super::steps::Step;
use crate::dir::{Base, Dir, SourceDir};
use crate::extended::{self, Attributes, Origin, Place};
use crate::filter::Local;
use crate::fs::Stat;
use crate::links;
use crate::outcome::Outcome;
use crate::sent::Facts;
use crate::shared::Shared;
use crate::totals::Kinds;
use crate::walk::Ahead;
use crate::wire::limits;
use crate::wire::list::ListEntry;
use crate::wire::sums::FileSum;
use crate::wire::terms::Terms;

/// What a worker has made of one step.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) outcome: Outcome,
    pub(crate) entries: Vec<Listing>,
    pub(crate) mark: Option<Mark>,
}

/// Where the list of a directory begins and where everything beneath it ends.
#[derive(Debug)]
pub(crate) enum Mark {
    Enter(Arc<Dir>),
    Leave,
}

/// An entry, with what is kept of it.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) entry: ListEntry,
    pub(crate) folder: Arc<Folder>,
    pub(crate) name: CString,
    pub(crate) follow: bool,
}

impl Weigh for Listed {
    fn weight(&self) -> usize {
        let entries = self.entries.iter().map(|listing| {
            let ListEntry { path, facts, .. } = &listing.entry;
            let link = facts.link.as_ref().map_or(0, |link| link.count_bytes());
            let attributes = facts.attributes.iter().map(|(name, value)| name.count_bytes() + value.len());
            size_of::<Listing>() + path.capacity() + link + attributes.sum::<usize>()
        });
        size_of::<Self>() + self.outcome.weight() + entries.sum::<usize>()
    }
}

/// Makes entries.
#[derive(Debug)]
pub(crate) struct Lister<'a> {
    shared: &'a Shared<'a>,
    terms: &'a Terms,
    buffer: Vec<u8>,
    none: Arc<Attributes>,
}

impl<'a> Lister<'a> {
    pub(crate) fn new(shared: &'a Shared<'a>, terms: &'a Terms) -> Self {
        Lister { shared, terms, buffer: Vec::new(), none: Arc::default() }
    }

    /// Lists one step.
    pub(crate) fn list(&mut self, step: Step) -> Listed {
        let mut listed = Listed::default();
        match step {
            Step::Note(note) => listed.outcome = *note,
            Step::Enter(dir) => {
                let incremental = self.terms.incremental();
                // As with rsync, what is only on the way is listed all the same: the other side leaves it alone.
                let own = dir.transferred || dir.parent.is_some();
                if own && (!incremental || dir.parent.is_none()) {
                    self.directory(&dir, &mut listed);
                }
                listed.mark = incremental.then_some(Mark::Enter(dir));
            }
            Step::Leave => listed.mark = self.terms.incremental().then_some(Mark::Leave),
            Step::Names(dir, range) => {
                let mut folders = Folders::default();
                range.for_each(|at| self.name(&dir, at, folders.of(&dir, at), &mut listed));
            }
            Step::Dirs(dir, dirs) => {
                let mut folders = Folders::default();
                for ahead in dirs {
                    self.subdirectory(&dir, ahead, &mut folders, &mut listed);
                }
            }
        }
        listed
    }

    /// The entry of a directory that has been opened.
    fn directory(&mut self, dir: &Dir, listed: &mut Listed) {
        let shared = self.shared;
        let stat = dir.stat();
        // What its first source does not have any more may still come from another.
        let held = |source: &&SourceDir| matches!(source.base, Base::Held(_) | Base::Deep(_));
        let other = if is_dir(&stat) { None } else { dir.sources.iter().find(held) };
        let (folder, path, name) = match &dir.parent {
            None => (topmost(dir), b".".to_vec(), c".".to_owned()),
            Some(parent) => {
                let path = dir.rel.strip_suffix(b"/").unwrap_or(&dir.rel).to_vec();
                let above = other.and_then(|other| {
                    let path = other.shown.strip_suffix(b"/")?;
                    parent.sources.iter().position(|above| above.path_of(&dir.name) == path)
                });
                (folder(parent, above.unwrap_or(dir.in_parent)), path, dir.name.clone())
            }
        };
        let shown = || [&folder.shown, name.to_bytes()].concat();
        let stat = match other.map_or(stat, |other| other.stat(c".", true)) {
            Ok(stat) => stat,
            Err(errno) => return shared.unreadable(&mut listed.outcome, "[sender] link_stat", &shown(), errno),
        };
        if stat.kinds() != Kinds::Dir {
            return self.no_directory(&shown(), &mut listed.outcome);
        }
        let origin = match other {
            None => dir.attributes(),
            Some(other) => Place::source(other, c".", true).map(|place| Origin::Here(place.listed(&folder.local))),
        };
        let attributes = self.attributes(origin, &path, &mut listed.outcome);
        let given = dir.parent.as_deref().is_none_or(is_above_all);
        let select = &shared.options.select;
        let way = select.relative && !(select.no_implied_dirs && dir.transferred);
        let top = if dir.complete { given } else { way };
        let facts = Facts { stat: self.changed(stat), link: None, sum: None, attributes, long: Arc::default() };
        let entry = ListEntry { path, facts, content: dir.complete, top };
        self.add(Listing { entry, folder: Arc::new(folder), name, follow: true }, listed);
    }

    /// The entry of a directory in `dir` that has not been opened.
    fn subdirectory(&mut self, dir: &Dir, ahead: Ahead, folders: &mut Folders, listed: &mut Listed) {
        let (shared, out) = (self.shared, &mut listed.outcome);
        let select = &shared.options.select;
        let Ahead { at: first, follow, content, passed } = ahead;
        let name = dir.listing.name(first);
        let stat_of = |at| dir.source_of(at).and_then(|source| source.stat(name, follow));
        // That it cannot be read is reported when the walk comes to it.
        let readable = |&at: &usize| dir.is_readable(shared, at, &mut Outcome::default());
        let crosses = |at: usize| select.one_file_system > 0 && is_mounted(dir, at, stat_of(at));
        let listed_here = |&at: &usize| passed || select.one_file_system < 2 || !crosses(at);
        let run = dir.listing.same_name(first);
        let mut all = run.clone().filter(readable).filter(listed_here).peekable();
        let Some(&first) = all.peek() else { return };
        // What its first source does not have any more may still come from another.
        let found = all.map(|at| (at, stat_of(at))).find(|(_, stat)| is_dir(stat));
        let (at, stat) = found.unwrap_or_else(|| (first, stat_of(first)));
        let folder = folders.of(dir, at);
        let shown = || [&folder.shown, name.to_bytes()].concat();
        let stat = match stat {
            Ok(stat) => stat,
            Err(errno) => return shared.unreadable(out, "[sender] link_stat", &shown(), errno),
        };
        if stat.kinds() != Kinds::Dir {
            return self.no_directory(&shown(), out);
        }
        let path = [&dir.rel, name.to_bytes()].concat();
        if path.len() > limits::PATH {
            return self.too_long(&shown(), out);
        }
        let place = dir.source_of(at).and_then(|source| Place::source(source, name, follow));
        let attributes = self.attributes(place.map(Origin::Here), &path, out);
        let own = || run.clone().filter(|&at| !dir.listing.passes(at));
        let content = content && own().any(|at| !crosses(at));
        // What is mounted is no more on the way than what is listed.
        let mounted = own().any(crosses) && (select.no_implied_dirs || !passed);
        let top = if content { is_above_all(dir) } else { select.relative && !mounted };
        let facts = Facts { stat: self.changed(stat), link: None, sum: None, attributes, long: Arc::default() };
        let entry = ListEntry { path, facts, content, top };
        self.add(Listing { entry, folder, name: name.to_owned(), follow }, listed);
    }

    /// Says of what is there that the list has no room for it. Nothing is deleted for not being listed.
    fn too_long(&self, shown: &[u8], out: &mut Outcome) {
        self.shared.io_error.store(true, Ordering::Relaxed);
        self.shared.fail(out, "[sender] too long for the list:", shown, Errno::NAMETOOLONG);
    }

    /// Says of what was a directory when it was listed that it is none any more, and is left out.
    fn no_directory(&self, shown: &[u8], out: &mut Outcome) {
        out.totals.failed += 1;
        self.shared.io_error.store(true, Ordering::Relaxed);
        self.shared.complain(out, "rsync: [sender] is no directory any more: \"", shown, "\"");
    }

    fn name(&mut self, dir: &Dir, at: usize, folder: Arc<Folder>, listed: &mut Listed) {
        let (shared, out) = (self.shared, &mut listed.outcome);
        let name = dir.listing.name(at);
        let shown = || [&folder.shown, name.to_bytes()].concat();
        let stat = match dir.stat_of(at) {
            _ if dir.listing.is_missing(at) => Stat::of_kind(FileType::Unknown),
            Ok(stat) => stat,
            Err(errno) => return shared.unreadable(out, "[sender] link_stat", &shown(), errno),
        };
        if !dir.is_readable(shared, at, out) {
            return;
        }
        let path = [&dir.rel, name.to_bytes()].concat();
        let (mut link, mut sum) = (None, None);
        match stat.kinds() {
            Kinds::Dir => {
                out.totals.failed += 1;
                shared.io_error.store(true, Ordering::Relaxed);
                return shared.complain(out, "rsync: [sender] has become a directory: \"", &shown(), "\"");
            }
            Kinds::Link => match dir.link_of(at) {
                Ok(to) => link = Some(links::unmunged(shared, to)),
                Err(errno) => return shared.unreadable(out, "[sender] readlink", &shown(), errno),
            },
            Kinds::File if shared.options.checksum && stat.kind == FileType::RegularFile => sum = self.sum(dir, at),
            _ => {}
        }
        if link.as_ref().is_some_and(|link| link.count_bytes() > limits::LINK) || path.len() > limits::PATH {
            return self.too_long(&shown(), out);
        }
        let attributes = match stat.kind {
            FileType::Unknown => Arc::clone(&self.none),
            _ => self.attributes(dir.attributes_of(at), &path, out),
        };
        let facts = Facts { stat: self.changed(stat), link, sum, attributes, long: Arc::default() };
        let entry = ListEntry { path, facts, content: false, top: false };
        let follow = dir.listing.follows(at);
        self.add(Listing { entry, folder, name: name.to_owned(), follow }, listed);
    }

    fn add(&self, listing: Listing, listed: &mut Listed) {
        let totals = &mut listed.outcome.totals;
        let stat = &listing.entry.facts.stat;
        totals.count_listed(stat.kinds());
        totals.name_bytes += listing.name.count_bytes() as u64;
        if matches!(stat.kinds(), Kinds::File | Kinds::Link) {
            totals.size_bytes += stat.size;
        }
        listed.entries.push(listing);
    }

    /// With the mode that it is to have there. Owners are mapped by the receiving side.
    fn changed(&self, stat: Stat) -> Stat {
        let mode = match stat.kind {
            FileType::Symlink | FileType::Unknown => stat.mode,
            kind => {
                let is_dir = kind == FileType::Directory;
                self.shared.options.chmod.apply(stat.mode, is_dir, self.shared.me.umask)
            }
        };
        Stat { mode, ..stat }
    }

    fn attributes(&self, origin: Result<Origin, Errno>, path: &[u8], out: &mut Outcome) -> Arc<Attributes> {
        if !extended::wanted(self.shared) {
            return Arc::clone(&self.none);
        }
        match origin.and_then(|origin| origin.read(self.shared)) {
            Ok(attributes) => Arc::new(attributes),
            Err(errno) => {
                self.shared.fail(out, "[sender] llistxattr", path, errno);
                Arc::clone(&self.none)
            }
        }
    }

    /// The sum for `-c`. Of what cannot be read there is none, so that it is asked for, and that reported.
    fn sum(&mut self, dir: &Dir, at: usize) -> Option<Box<[u8]>> {
        let open = || {
            let source = dir.source_of(at)?;
            source.open(dir.listing.name(at), dir.listing.follows(at), self.shared.options.open_noatime)
        };
        let mut file = File::from(open().ok()?);
        self.buffer.resize(PIECE, 0);
        let mut sum = FileSum::new(self.terms.files);
        loop {
            match file.read(&mut self.buffer) {
                Ok(0) => return Some(sum.finish().into()),
                Ok(n) => sum.update(self.buffer.get(..n).unwrap_or_default()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }
}

/// Bytes that are read at once.
pub(super) const PIECE: usize = 256 << 10;

fn is_dir(stat: &Result<Stat, Errno>) -> bool {
    matches!(stat, Ok(stat) if stat.kinds() == Kinds::Dir)
}

/// Whether the directory at `at` in the listing of `dir`, which is as `stat` says, was found there on another file system.
fn is_mounted(dir: &Dir, at: usize, stat: Result<Stat, Errno>) -> bool {
    let device = dir.source_of(at).ok().and_then(|source| source.base.fd()?.ok());
    let device = device.and_then(|fd| rustix::fs::fstat(fd).ok()).map(|stat| Stat::from(stat).dev);
    !dir.listing.is_given(at) && device.zip(stat.ok()).is_some_and(|(device, stat)| device != stat.dev)
}

/// Whether what is in `dir` was given itself.
fn is_above_all(dir: &Dir) -> bool {
    dir.parent.is_none() && !dir.transferred
}

/// Where the names of one step are.
#[derive(Default)]
struct Folders(Vec<(usize, Arc<Folder>)>);

impl Folders {
    /// Where what is at `at` in the listing of `dir` is.
    fn of(&mut self, dir: &Dir, at: usize) -> Arc<Folder> {
        let source = dir.listing.source(at);
        if let Some((_, folder)) = self.0.iter().find(|(number, _)| *number == source) {
            return Arc::clone(folder);
        }
        let folder = Arc::new(folder(dir, source));
        self.0.push((source, Arc::clone(&folder)));
        folder
    }
}

/// Where `dir` itself is, the root: what its files say holds beneath it.
pub(super) fn topmost(dir: &Dir) -> Folder {
    Folder { local: Local::default(), ..folder(dir, 0) }
}

/// Where what `source` of `dir` has is.
pub(super) fn folder(dir: &Dir, source: usize) -> Folder {
    let of = dir.source(source).map(|source| (source.shown.clone(), Arc::clone(&source.above), source.local.clone()));
    let (shown, above, local) = of.unwrap_or_default();
    Folder { rel: dir.rel.clone(), shown, above, local }
}
