//! What the arguments of the command line mean: where the walk begins, and which directory is the destination.

mod destination;
mod files_from;

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::above::Above;
use crate::asked::{Asked, components};
use crate::dir::{Base, Dir, Reads, SourceDir};
use crate::error::Error;
use crate::extended;
use crate::filter::{FilterError, Folder, Local, clean};
use crate::fs::{self, Stat};
use crate::given;
use crate::links;
use crate::listing::Listing;
use crate::outcome::Outcome;
use crate::shared::Shared;
use crate::totals::Kinds;
use crate::walk;
pub(crate) use destination::{Shape, destination, destination_of_nothing, without_slashes};
pub(crate) use files_from::names_from;
use files_from::{beneath, without_root};

/// Finds what the walk begins with: the contents of arguments that end in a slash, and the other arguments by name.
///
/// Without a destination yet: `shared` knows only the options.
pub(crate) fn sources(shared: &Shared<'_>, arguments: &[impl AsRef<OsStr>], note: &mut Outcome) -> Result<Top, Error> {
    let mut root = Dir {
        rel: Vec::new(),
        name: CString::default(),
        parent: None,
        sources: Vec::new(),
        sent: None,
        in_parent: 0,
        links: 0,
        listing: Listing::default(),
        transferred: false,
        complete: true,
        target: OnceLock::new(),
        entered: Mutex::default(),
        touched: AtomicBool::new(false),
        delayed: Mutex::default(),
        candidates: OnceLock::new(),
    };
    let mut asked = Asked::default();
    let one = arguments.first().map_or(&b""[..], |argument| argument.as_ref().as_bytes());
    let keeps = shared.options.select.relative;
    let listed = shared.listed.as_deref().map(|listed| listed.split(|&b| b == 0));
    // What is told of names in a list is as if they were given beneath the source.
    let listed = listed
        .into_iter()
        .flatten()
        .filter_map(|name| Some((beneath(one, name)?, Above::of(without_root(name), keeps))));
    let given = arguments.iter().map(|argument| argument.as_ref().as_bytes());
    let given = given.map(|argument| (argument.to_vec(), Above::of(argument, keeps)));
    let arguments: Box<dyn Iterator<Item = (Vec<u8>, Above)>> =
        if shared.listed.is_some() { Box::new(listed) } else { Box::new(given) };
    let mut seen = 0_u64;
    for (argument, told) in arguments {
        seen += 1;
        let (argument, told) = (&argument[..], &Arc::new(told));
        let split = argument.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
        let (prefix, name) = argument.split_at(split);
        let (mut call, result) = match name {
            _ if shared.options.select.relative => {
                ("link_stat", relative(shared, &mut root, &mut asked, (argument, told), note))
            }
            b"" if argument.is_empty() => ("link_stat", Err(Errno::NOENT.into())),
            b"" | b"." | b".." => ("change_dir", contents(shared, &mut root, (argument, told), note)),
            _ => ("link_stat", named(shared, &mut root, (prefix, told), name, note)),
        };
        let result = match result {
            Err(Failure::Filter(error)) => return Err(Error::Filter(error)),
            Err(Failure::Upwards) => {
                let path = split_at_dot(argument).map_or(argument, |(_, path)| path);
                let parts = path.split(|&b| b == b'/').enumerate();
                // The one before the slash that an absolute path begins with is empty, too.
                let parts = parts.filter(|&(at, part)| part != b"." && (at == 0 || !part.is_empty()));
                let path = parts.map(|(_, part)| part).collect::<Vec<_>>().join(&b'/');
                let text = format!("found \"..\" dir in relative path: {}", String::from_utf8_lossy(&path));
                return Err(Error::Usage(text));
            }
            Err(Failure::Errno(errno)) => Err(errno),
            Ok(()) => Ok(()),
        };
        if let Err(errno) = result {
            let mut argument = argument;
            // Where its name is, is looked for first.
            let above = match shared.options.select.relative {
                true => split_at_dot(argument).map_or(&b""[..], |(above, _)| above),
                false => prefix,
            };
            // The one source that all names of a list are beneath is not theirs.
            let is_one = shared.listed.is_some() && clean(&absolute(above)) == clean(&absolute(one));
            let above = if is_one { b"" } else { above };
            if call == "link_stat" && !above.is_empty() && !is_dir(above) {
                (call, argument) = ("change_dir", above);
            }
            if errno == Errno::NOENT && call == "link_stat" && shared.options.select.delete_missing {
                match missing(shared, &mut root, &mut asked, (argument, told), note) {
                    Err(Failure::Filter(error)) => return Err(Error::Filter(error)),
                    // It has no name that could be deleted.
                    Err(_) | Ok(()) => continue,
                }
            }
            if errno == Errno::NOENT && call == "link_stat" && shared.options.select.ignore_missing {
                continue;
            }
            // As with rsync, a source that is not there keeps nothing from being deleted, unless its directory is not either.
            if errno != Errno::NOENT || call == "change_dir" {
                shared.io_error.store(true, Ordering::Relaxed);
            }
            let mut shown = absolute(argument);
            if shared.options.select.relative || shared.listed.is_some() {
                shown = clean(&shown);
            }
            let end: &[u8] = if shown.ends_with(b"/.") { b"/." } else { b"/" };
            shared.fail(note, &format!("[sender] {call}"), shown.strip_suffix(end).unwrap_or(&shown), errno);
        }
    }
    let whole = root.sources.iter().filter(|source| !matches!(source.base, Base::Given(_))).count();
    let given = root.listing.len() + whole.max(usize::from(root.transferred)) + asked.len();
    asked.sort();
    let roots: Vec<u32> = (0u32..).zip(&root.sources).map(|(at, _)| at).collect();
    asked.list(asked.all(), 0, &roots, &mut root.listing);
    // Only what all is meant of may lose what is not there.
    root.complete &= root.sources.iter().any(|source| matches!(source.base, Base::Held(_)));
    let doubles = root.listing.sort(seen > 1);
    walk::count_doubles(&root, doubles, note);
    Ok(Top { dir: root, given, asked })
}

/// As [`sources`], in the order in which rsync brings them into its list on one machine: the slash that a path begins with
/// under `-R` counts.
pub(crate) fn here(shared: &Shared<'_>, arguments: &[impl AsRef<OsStr>], note: &mut Outcome) -> Result<Top, Error> {
    let mut top = sources(shared, arguments, note)?;
    let Dir { sources, listing, .. } = &mut top.dir;
    let absolute = |at: usize| sources.get(at).is_some_and(|source| !source.above.slash().is_empty());
    let all = (0..sources.len()).filter(|&at| absolute(at)).count();
    if all > 0 && all < sources.len() {
        listing.slash(absolute);
    }
    Ok(top)
}

/// The top of the walk.
#[derive(Debug)]
pub(crate) struct Top {
    pub(crate) dir: Dir,
    /// How many entries there were, the root's own among them, before names that were there twice went.
    pub(crate) given: usize,
    /// What was given with its path.
    pub(crate) asked: Asked,
}

/// What is before and behind the first `/./`, the slash before it included.
fn split_at_dot(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = path.windows(3).position(|three| three == b"/./")?;
    Some((&path[..=at], &path[at + 3..]))
}

fn is_dir(path: &[u8]) -> bool {
    rustix::fs::statat(CWD, path, AtFlags::empty()).is_ok_and(|stat| Stat::from(stat).kind == FileType::Directory)
}

/// An argument that keeps its path: what is above that, and the path.
fn kept(argument: &[u8]) -> Result<(&[u8], Vec<u8>), Failure> {
    let absolute_at = usize::from(argument.starts_with(b"/"));
    let (base, path) = split_at_dot(argument).unwrap_or(argument.split_at(absolute_at));
    Ok((base, components(path, false).ok_or(Failure::Upwards)?))
}

/// Where the last component of `path` begins, and that.
fn last(path: &[u8]) -> Result<(usize, CString), Errno> {
    let at = path.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
    Ok((at, CString::new(&path[at..]).map_err(|_| Errno::INVAL)?))
}

/// An argument that keeps its path.
fn relative(
    shared: &Shared<'_>,
    root: &mut Dir,
    asked: &mut Asked,
    (argument, above): (&[u8], &Arc<Above>),
    note: &mut Outcome,
) -> Result<(), Failure> {
    let (base, path) = kept(argument)?;
    let contents_too = argument.ends_with(b"/") || argument.ends_with(b"/.");
    if path.is_empty() {
        let shifts = !root.transferred && !root.sources.is_empty();
        let base = if base.is_empty() { b"." } else { base };
        contents(shared, root, (base, above), note)?;
        if shifts && root.transferred {
            asked.shift_sources();
        }
        return Ok(());
    }
    if split_at_dot(argument).map_or(argument, |(_, path)| path).starts_with(b"./") {
        on_the_way(shared, root, asked, (base, above), note)?;
    }
    leads_there(shared, asked, base, &path)?;
    let full = [base, &path[..]].concat();
    let kind_of = |path: &[u8], flags| rustix::fs::statat(CWD, path, flags).map(|stat| Stat::from(stat).kind);
    let own = kind_of(&full, AtFlags::SYMLINK_NOFOLLOW)?;
    // As with rsync, what is no directory, and leads to none, is itself with a slash behind it, too.
    let (kind, through) = match kind_of(&[&full[..], b"/"].concat(), AtFlags::empty()) {
        _ if !contents_too => (own, false),
        Err(Errno::NOTDIR | Errno::NOENT) => (own, false),
        kind => (kind?, own == FileType::Symlink),
    };
    let at = given(shared, root, base, above, note)?;
    let (dir_len, name) = last(&path)?;
    let source = root.source(at)?;
    let whole = CString::new(&path[..]).map_err(|_| Errno::INVAL)?;
    let (is_dir, follow, dangles) = meant(shared, source, (&whole, kind), &path[..dir_len], note)?;
    let shown = [&source.shown, &path[..dir_len]].concat();
    if !walk::takes_part(shared, &Local::default(), (&mut path.clone(), dir_len, &shown, above), &name, is_dir, note) {
        return Ok(());
    }
    if let Some(errno) = dangles {
        links::dangling(shared, source, &whole, errno, note);
        return Ok(());
    }
    if is_dir && !shared.options.recursive && !shared.options.select.dirs {
        shared.skip_dir(note, &path);
        return Ok(());
    }
    let at = u32::try_from(at).map_err(|_| Errno::TOOBIG)?;
    asked.push(&path, at, (is_dir, follow || through), contents_too && is_dir);
    asked.passages.pass(&path, at, shared.options.lists_at_once());
    Ok(())
}

/// Whether the links on the way from `base` to `path`, which is in a list, may be followed: not those that are somebody else's,
/// unless links are followed anyway.
fn leads_there(shared: &Shared<'_>, asked: &mut Asked, base: &[u8], path: &[u8]) -> Result<(), Errno> {
    let options = shared.options;
    let dir = &path[..path.iter().rposition(|&b| b == b'/').unwrap_or(0)];
    let careful = shared.listed.is_some() && !options.insecure_links && !options.follows_links();
    if !careful || asked.way == dir {
        return Ok(());
    }
    let at = given::dir(CWD, if base.is_empty() { b"." } else { base }, true)?;
    match given::stat(at.as_fd(), dir, false) {
        Err(given::REFUSED) => Err(given::REFUSED),
        // What else is wrong with it will be found out.
        _ => {
            dir.clone_into(&mut asked.way);
            Ok(())
        }
    }
}

/// As [`links::meant`] for what is given: a link to be followed that leads nowhere is left out with the error behind it.
fn meant(
    shared: &Shared<'_>,
    source: &SourceDir,
    (name, kind): (&CStr, FileType),
    rel: &[u8],
    note: &mut Outcome,
) -> Result<(bool, bool, Option<Errno>), Errno> {
    match links::meant(shared, source, name, kind, rel, note) {
        Ok((is_dir, follow)) => Ok((is_dir, follow, None)),
        // As with rsync, what is given and followed is looked for at once.
        Err(errno) if shared.options.copy_links => Err(errno),
        Err(errno) => Ok((false, false, Some(errno))),
    }
}

/// What is above a path that begins with `./`. As with rsync, that is a directory on the way as others are.
fn on_the_way(
    shared: &Shared<'_>,
    root: &mut Dir,
    asked: &mut Asked,
    (base, above): (&[u8], &Arc<Above>),
    note: &mut Outcome,
) -> Result<(), Failure> {
    let select = &shared.options.select;
    if root.transferred || select.no_implied_dirs || std::mem::replace(&mut asked.dotted, true) {
        return Ok(());
    }
    let at = given(shared, root, base, above, note)?;
    let shown = &root.source(at)?.shown;
    if !walk::takes_part(shared, &Local::default(), (&mut Vec::new(), 0, shown, above), c".", true, note) {
        return Ok(());
    }
    if !shared.options.recursive && !select.dirs {
        shared.skip_dir(note, b".");
        return Ok(());
    }
    root.transferred = true;
    // The root's attributes are those of its first source.
    if at > 0 {
        let first = place(shared, base, above, note)?;
        root.sources.insert(0, first);
        asked.shift_sources();
    }
    Ok(())
}

/// An argument that is not there: what it would become is to go. As with rsync, rules of the sending side have no say in that.
fn missing(
    shared: &Shared<'_>,
    root: &mut Dir,
    asked: &mut Asked,
    (argument, above): (&[u8], &Arc<Above>),
    note: &mut Outcome,
) -> Result<(), Failure> {
    let relative = shared.options.select.relative;
    let (base, path) = if relative {
        kept(argument)?
    } else {
        let split = argument.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
        (&argument[..split], argument[split..].to_vec())
    };
    let at = given(shared, root, base, above, note)?;
    let (_, name) = last(&path)?;
    if name.is_empty() {
        return Ok(());
    }
    let at = u32::try_from(at).map_err(|_| Errno::TOOBIG)?;
    match relative {
        true => {
            asked.push_missing(&path, at);
            asked.passages.pass(&path, at, shared.options.lists_at_once());
        }
        false => root.listing.push_missing(&name, at),
    }
    Ok(())
}

/// Which of the root's sources is what begins with `prefix`, of which lines tell what is `above` it.
fn given(
    shared: &Shared<'_>,
    root: &mut Dir,
    prefix: &[u8],
    above: &Arc<Above>,
    note: &mut Outcome,
) -> Result<usize, Failure> {
    let is_it =
        |source: &SourceDir| matches!(&source.base, Base::Given(given) if given == prefix) && source.above == *above;
    let known = root.sources.iter().rposition(is_it);
    if let Some(at) = known {
        return Ok(at);
    }
    root.sources.push(place(shared, prefix, above, note)?);
    Ok(root.sources.len() - 1)
}

/// Where names are that were given with `prefix` before them.
fn place(shared: &Shared<'_>, prefix: &[u8], above: &Arc<Above>, note: &mut Outcome) -> Result<SourceDir, FilterError> {
    let shown = absolute(prefix);
    let local = Local::above(&shared.options.filters, &clean(&shown), true, &mut note.errors)?;
    let (base, above) = (Base::Given(prefix.to_vec()), Arc::clone(above));
    Ok(SourceDir { base, shown, above, local, reads: Reads::of(shared.options) })
}

/// Why an argument cannot be taken.
enum Failure {
    Errno(Errno),
    Filter(FilterError),
    /// Its path leads upwards, where it is to be kept.
    Upwards,
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Failure::Errno(errno)
    }
}

impl From<FilterError> for Failure {
    fn from(error: FilterError) -> Self {
        Failure::Filter(error)
    }
}

/// An argument whose contents are meant.
fn contents(
    shared: &Shared<'_>,
    root: &mut Dir,
    (argument, above): (&[u8], &Arc<Above>),
    note: &mut Outcome,
) -> Result<(), Failure> {
    let stat = Stat::from(rustix::fs::statat(CWD, argument, AtFlags::empty())?);
    if stat.kind != FileType::Directory {
        return Err(Errno::NOTDIR.into());
    }
    // Who may not look for names in it cannot enter it.
    rustix::fs::statat(CWD, [argument, b"/."].concat(), AtFlags::empty())?;
    if !shared.options.recursive && !shared.options.select.dirs {
        shared.skip_dir(note, b".");
        return Ok(());
    }
    let mut shown = absolute(argument);
    if !shown.ends_with(b"/") {
        shown.push(b'/');
    }
    let itself = extended::Place::given(argument, shared.options.fake_source);
    if !extended::is_readable(shared, &Ok(itself), || [&shown[..], b"."].concat(), note) {
        return Ok(());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, argument, flags, Mode::empty());
    let readable = opened.is_ok();
    let base = match opened {
        Ok(fd) => Base::Held(Arc::new(fd)),
        // As with rsync, it is transferred itself.
        Err(errno) => {
            shared.io_error.store(true, Ordering::Relaxed);
            shared.fail(note, "[sender] opendir", &[&clean(&shown)[..], b"."].concat(), errno);
            let path = CString::new(argument).map_err(|_| Errno::INVAL)?;
            match fs::open_dir(CWD, &path, true) {
                Ok(fd) => Base::Held(Arc::new(fd)),
                Err(_) => Base::Given([argument, b"/"].concat()),
            }
        }
    };
    let filters = &shared.options.filters;
    let mut local = Local::above(filters, &clean(&shown), false, &mut note.errors)?;
    if let Base::Held(fd) = &base {
        let folder = Folder { fd: fd.as_fd(), rel: b"", shown: &shown };
        local = local.enter(filters, folder, &mut note.errors)?;
    }
    // The root's attributes are those of its first source.
    let at = if root.transferred { root.sources.len() } else { 0 };
    if at < root.sources.len() {
        root.listing.shift_sources();
    }
    if std::mem::replace(&mut root.transferred, true) {
        note.totals.count_listed(Kinds::Dir);
    }
    let (above, reads) = (Arc::clone(above), Reads::of(shared.options));
    root.sources.insert(at, SourceDir { base, shown, above, local, reads });
    if readable {
        walk::read_source(shared, root, at, note);
    }
    Ok(())
}

/// An argument that is meant itself.
fn named(
    shared: &Shared<'_>,
    root: &mut Dir,
    (prefix, above): (&[u8], &Arc<Above>),
    name: &[u8],
    note: &mut Outcome,
) -> Result<(), Failure> {
    let name = CString::new(name).map_err(|_| Errno::INVAL)?;
    let at = given(shared, root, prefix, above, note)?;
    let source = root.source(at)?;
    let kind = source.stat(&name, false)?.kind;
    let (is_dir, follow, dangles) = meant(shared, source, (&name, kind), b"", note)?;
    // As with rsync, per-directory files have nothing to say of what is given itself.
    if !walk::takes_part(shared, &Local::default(), (&mut Vec::new(), 0, &source.shown, above), &name, is_dir, note) {
        return Ok(());
    }
    if let Some(errno) = dangles {
        links::dangling(shared, source, &name, errno, note);
        return Ok(());
    }
    if is_dir && !shared.options.recursive && !shared.options.select.dirs {
        shared.skip_dir(note, name.as_bytes());
    } else {
        root.listing.push_given(&name, u32::try_from(at).map_err(|_| Errno::TOOBIG)?, is_dir, follow);
    }
    Ok(())
}

impl Top {
    /// Whether one of the sources may be inside another.
    pub(crate) fn overlaps(&self) -> bool {
        let mut all: Vec<Vec<u8>> = self.dir.sources.iter().map(|source| clean(&source.shown)).collect();
        all.sort();
        all.windows(2).any(|two| two[1].starts_with(&two[0]))
    }

    pub(crate) fn shape(&self, shared: &Shared<'_>) -> Shape {
        let (alone, dir) = (self.given == 1, &self.dir);
        let single_file = alone && !dir.transferred && !dir.listing.is_dir(0);
        let contents = || {
            let group = self.asked.group(self.asked.all(), 0, dir.listing.name(0).to_bytes());
            shared.options.recursive || group.sources.iter().any(|source| source.contents > 0)
        };
        let single = alone && (single_file || dir.transferred || !contents() || is_empty(shared, dir));
        Shape { single, single_file, contents: dir.transferred }
    }
}

/// Whether nothing in the one directory that `top` holds takes part.
fn is_empty(shared: &Shared<'_>, top: &Dir) -> bool {
    let name = top.listing.name(0);
    let Ok(source) = top.source(top.listing.source(0)) else {
        return true;
    };
    let Ok(fd) = source.open_dir(name, top.listing.follows(0)) else {
        return true;
    };
    let mut path = [name.to_bytes(), b"/"].concat();
    let shown = [&source.shown, &path[..]].concat();
    let folder = Folder { fd: fd.as_fd(), rel: &path, shown: &shown };
    // What is wrong with a file there is said when the walk comes to it.
    let Ok(local) = source.local.enter(&shared.options.filters, folder, &mut Vec::new()) else {
        return false;
    };
    let prefix = path.len();
    let mut empty = true;
    let listed = fs::list(fd.as_fd(), |name, kind| {
        let is_dir = kind == FileType::Directory;
        let place = (&mut path, prefix, &shown[..], &*source.above);
        empty &= !walk::takes_part(shared, &local, place, name, is_dir, &mut Outcome::default());
    });
    empty && listed.is_ok()
}

/// The working directory with a slash at its end.
pub(crate) fn working_directory() -> Vec<u8> {
    absolute(b"")
}

/// `path` as messages show it: behind the working directory, unless it is absolute.
fn absolute(path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"/") {
        return path.to_vec();
    }
    let mut full = std::env::current_dir().map(|dir| dir.as_os_str().as_bytes().to_vec()).unwrap_or_default();
    if !full.ends_with(b"/") {
        full.push(b'/');
    }
    full.extend_from_slice(path);
    full
}
