//! What all threads of a mirror share: the options, who we are, where the destination is, and how things are said.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use forebay_delta::{Settings, Spares};
use rustix::fs::Mode;
use rustix::io::Errno;

use crate::content::Turns;
use crate::content::copy::Methods;
use crate::content::rate::Rate;
use crate::deep;
use crate::delayed::Delayed;
use crate::dir::Dir;
use crate::doomed::Dooms;
use crate::error::Error;
use crate::extended::Place as Attributes;
use crate::fake;
use crate::filter::{Rule, clean};
use crate::format::Format;
use crate::fs::{self, Stat};
use crate::given;
use crate::hardlinks::Groups;
use crate::in_order::InOrder;
use crate::itemize::Change;
use crate::json;
use crate::live::Live;
use crate::modes::Modes;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::places::Places;
use crate::removal::Removals;
use crate::select::Pass;
use crate::totals::Kinds;
use crate::wire::{Checksum, FileSum, Remote};

/// State of one mirror.
#[derive(Debug)]
pub(crate) struct Shared<'a> {
    pub(crate) options: &'a Options,
    pub(crate) me: Identity,
    pub(crate) root: Root,
    pub(crate) places: Places,
    /// How far down directories are held open.
    pub(crate) most_held: usize,
    pub(crate) delayed: Delayed,
    /// What waits for what is told before it.
    pub(crate) in_order: InOrder,
    /// What modes directories get in the end.
    pub(crate) modes: Modes,
    /// What is said in the end of files that were done twice, by their paths.
    pub(crate) again: Mutex<Vec<(Vec<u8>, Outcome)>>,
    /// What goes from the source in the end.
    pub(crate) removals: Removals,
    /// What is being done.
    pub(crate) pass: Pass,
    /// How many entries have been deleted, where that is limited, and how many have not for that.
    pub(crate) deleted: AtomicU64,
    pub(crate) undeleted: AtomicU64,
    /// What goes from the destination in the end.
    pub(crate) dooms: Dooms,
    /// With `-m`: directories that hold nothing but directories, relative to the root and without a slash at their end.
    pub(crate) barren: HashSet<Vec<u8>>,
    /// With `--files-from`: the names, each with a NUL behind it.
    pub(crate) listed: Option<Vec<u8>>,
    /// The source could not be listed completely: nothing more is deleted.
    pub(crate) io_error: AtomicBool,
    /// That deletions are skipped has been said.
    said_skipping: AtomicBool,
    pub(crate) methods: Methods,
    /// The sums that lines tell: of what is transferred, and with `-c`.
    pub(crate) sums: (Checksum, Checksum),
    /// Buffers in which files are read that are signed or searched.
    spares: Spares,
    /// With `--bwlimit`: what is left of this second.
    pub(crate) rate: Option<Rate>,
    /// Random, so that nobody can make blocks that are taken for others.
    pub(crate) seed: u64,
    /// Who writes which of several names in place.
    pub(crate) turns: Turns,
    /// What has several names in the source, with `-H`.
    pub(crate) groups: Groups,
    /// Where progress is asked for: what is being copied.
    pub(crate) live: Option<Live>,
    /// A client has started this side, which prints what there is to say.
    pub(crate) serves: bool,
    /// Entries that the walk has found.
    pub(crate) found: AtomicU64,
    /// The walk is over.
    pub(crate) found_all: AtomicBool,
    /// The sender, where the source is on another machine.
    pub(crate) remote: Option<Remote>,
    /// Why nothing more can be done, where whoever found out could not end the run.
    broken: Mutex<Option<Error>>,
}

/// The destination.
#[derive(Debug)]
pub(crate) struct Root {
    /// The directory, or `None` where a dry run did not make it, or `--existing` forbids that.
    pub(crate) fd: Option<OwnedFd>,
    /// It did not exist before.
    pub(crate) created: bool,
    /// The one source entry gets this name.
    pub(crate) rename: Option<CString>,
    /// The absolute path, with a slash at its end, for messages.
    pub(crate) shown: Vec<u8>,
}

/// Who the process is to the file system.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    groups: Vec<u32>,
    pub(crate) umask: u32,
}

impl Identity {
    pub(crate) fn now() -> Self {
        // The mask can only be read by setting it.
        let umask = rustix::process::umask(Mode::from_raw_mode(0o077));
        rustix::process::umask(umask);
        Identity {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            groups: rustix::process::getgroups().unwrap_or_default().iter().map(|gid| gid.as_raw()).collect(),
            #[allow(clippy::unnecessary_cast, reason = "the type differs between systems")]
            umask: umask.as_raw_mode() as u32,
        }
    }

    pub(crate) fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// Whether we may give our files to this group without any privilege.
    pub(crate) fn has_group(&self, gid: u32) -> bool {
        gid == self.gid || self.groups.contains(&gid)
    }
}

/// Escapes the character 127 in `text` from `from` on.
fn escape_delete(text: &mut Vec<u8>, from: usize) {
    while let Some(at) = text[from..].iter().position(|&b| b == 0x7f) {
        text.splice(from + at..=from + at, *b"\\#177");
    }
}

/// Whether a line that begins with `start` is one of the side that sends.
fn is_senders(start: &[u8]) -> bool {
    const SENDERS: [&[u8]; 8] = [
        b"rsync: [sender]",
        b"[sender]",
        b"sender ",
        b"file has vanished",
        b"directory has vanished",
        b"symlink has no referent",
        b"skipping directory ",
        b"copying unsafe symlink ",
    ];
    SENDERS.iter().any(|senders| start.starts_with(senders))
}

impl<'a> Shared<'a> {
    /// What the search for blocks, or the sums of them, may use, with so many threads for a long file.
    pub(crate) fn settings(&self, workers: usize) -> Settings {
        let Options { budget, cancel, .. } = self.options;
        Settings { workers, budget: budget.clone(), cancel: cancel.clone(), spares: self.spares.clone() }
    }

    pub(crate) fn new(options: &'a Options, root: Root) -> Self {
        Shared::of(options, root, Identity::now())
    }

    /// The same, for a process of which that is known: to ask changes its mask for a moment, which other threads would feel.
    pub(crate) fn of(options: &'a Options, root: Root, me: Identity) -> Self {
        Shared {
            options,
            me,
            root,
            places: Places::default(),
            most_held: deep::most_held(),
            delayed: Delayed::default(),
            in_order: InOrder::default(),
            modes: Modes::default(),
            again: Mutex::default(),
            removals: Removals::default(),
            pass: Pass::Both,
            barren: HashSet::new(),
            listed: None,
            deleted: AtomicU64::new(0),
            undeleted: AtomicU64::new(0),
            dooms: Dooms::default(),
            io_error: AtomicBool::new(false),
            said_skipping: AtomicBool::new(false),
            methods: Methods::default(),
            sums: options.sums,
            spares: Spares::default(),
            rate: options.bwlimit.map(Rate::new),
            seed: RandomState::new().build_hasher().finish(),
            turns: Turns::default(),
            groups: Groups::default(),
            live: None,
            serves: false,
            found: AtomicU64::new(0),
            found_all: AtomicBool::new(false),
            remote: None,
            broken: Mutex::new(None),
        }
    }

    /// Whether both were modified at the same time, as far as that is compared.
    pub(crate) fn same_time(&self, a: &Stat, b: &Stat) -> bool {
        self.options.select.same_time(a.mtime, b.mtime)
    }

    /// Says, with `-vv`, why an entry is passed over.
    pub(crate) fn pass_over(&self, out: &mut Outcome, before: &str, path: &[u8], after: &str) {
        if self.options.levels.skip > 0 {
            self.say(out, &[before.as_bytes()], path, after.as_bytes());
        }
    }

    /// Whether one more entry may be deleted. If not, that is counted.
    pub(crate) fn may_delete(&self) -> bool {
        let Some(max) = self.options.deletion.max else {
            return true;
        };
        let may = self.deleted.load(Ordering::Relaxed) < max;
        if !may {
            self.undeleted.fetch_add(1, Ordering::Relaxed);
        }
        may
    }

    /// The sum that lines tell.
    pub(crate) fn told_sum(&self) -> Checksum {
        let (transfer, files) = match &self.remote {
            Some(remote) => (remote.terms.transfer, remote.terms.files),
            None => self.sums,
        };
        if self.options.checksum { files } else { transfer }
    }

    /// Whether a line for `change` tells a sum: with `-c` of any file, else of what is transferred.
    pub(crate) fn tells_sum(&self, change: &Change) -> bool {
        let options = self.options;
        change.kind == Kinds::File
            && (options.checksum || (change.transfers() && !change.hard))
            && [&options.format, &options.log_format].into_iter().flatten().any(Format::has_sums)
            && self.told_sum() != Checksum::None
    }

    /// The sum of `file` from the byte `from` on. Zeros stand for that of what is not transferred in a dry run, or
    /// cannot be read.
    pub(crate) fn sum_of(&self, file: Result<&File, Errno>, from: u64) -> Box<[u8]> {
        let checksum = self.told_sum();
        let sum = match file {
            Ok(file) if self.options.checksum || !self.options.dry_run => {
                FileSum::of(checksum, file, from, &self.options.cancel).ok()
            }
            _ => None,
        };
        sum.unwrap_or_else(|| vec![0; checksum.len()]).into()
    }

    /// Whether this pass removes what the source does not have.
    pub(crate) fn deletes(&self) -> bool {
        self.options.delete && self.pass != Pass::Copy
    }

    /// Ends the run at the next item that is done.
    pub(crate) fn break_off(&self, error: Error) {
        if let Ok(mut broken) = self.broken.lock() {
            broken.get_or_insert(error);
        }
    }

    /// Why the run is to end, if it is.
    pub(crate) fn broken(&self) -> Option<Error> {
        self.broken.lock().ok().and_then(|mut broken| broken.take())
    }

    /// A source entry with the mode that it is to have at the destination.
    pub(crate) fn changed(&self, stat: Stat) -> Stat {
        let mode = match stat.kind {
            rustix::fs::FileType::Symlink => stat.mode,
            kind => self.options.chmod.apply(stat.mode, kind == rustix::fs::FileType::Directory, self.me.umask),
        };
        Stat { mode, ..stat }
    }

    /// The user that the user `id` of the source becomes. Those of another machine have been mapped by the names that they
    /// have there.
    pub(crate) fn user(&self, id: u32) -> u32 {
        if self.remote.is_some() { id } else { self.options.user_map.map(id) }
    }

    /// As [`user`](Self::user), of groups.
    pub(crate) fn group(&self, id: u32) -> u32 {
        if self.remote.is_some() { id } else { self.options.group_map.map(id) }
    }

    /// Whether source entries of this kind are transferred.
    pub(crate) fn takes(&self, stat: &Stat) -> bool {
        match stat.kinds() {
            Kinds::File => true,
            Kinds::Link => self.options.links,
            Kinds::Special => self.options.specials,
            Kinds::Device => self.options.devices && self.privileged(),
            Kinds::Dir => false,
        }
    }

    /// Whether what only the super-user may is tried, or kept in attributes.
    pub(crate) fn privileged(&self) -> bool {
        self.options.fake_destination || self.options.super_user.unwrap_or_else(|| self.me.is_root())
    }

    /// Whether a file that stays gets its exact time with `-c`, even where the second is right.
    pub(crate) fn corrects_fraction(&self, src: &Stat, old: &Stat) -> bool {
        self.options.checksum && self.options.times && src.kinds() == Kinds::File && src.mtime != old.mtime
    }

    /// Stats what the destination has under `name` beneath `at`: what it stands for.
    pub(crate) fn stat_there(&self, at: BorrowedFd<'_>, name: &CStr) -> Result<Stat, Errno> {
        self.seen_there(Stat::at(at, name)?, || self.attributes_at(at, name))
    }

    /// Stats what is open at the destination: what it stands for.
    pub(crate) fn stat_open(&self, fd: BorrowedFd<'_>) -> Result<Stat, Errno> {
        self.seen_there(rustix::fs::fstat(fd)?.into(), || self.attributes_of(fd))
    }

    fn seen_there(&self, real: Stat, place: impl FnOnce() -> Attributes) -> Result<Stat, Errno> {
        if self.options.fake_destination { fake::seen(real, &place()) } else { Ok(real) }
    }

    /// What the link of the destination leads to that is `name` beneath `at`.
    pub(crate) fn link_there(&self, at: BorrowedFd<'_>, name: &CStr) -> Result<CString, Errno> {
        match self.options.fake_destination {
            // As with rsync, one that is a link itself is no good there.
            true => fake::link(at, name),
            false => rustix::fs::readlinkat(at, name, Vec::new()),
        }
    }

    /// The extended attributes of what the destination has under `name` beneath `at`.
    pub(crate) fn attributes_at(&self, at: BorrowedFd<'_>, name: &CStr) -> Attributes {
        Attributes::at(at, name, self.options.fake_destination)
    }

    /// The extended attributes of what is open at the destination.
    pub(crate) fn attributes_of(&self, fd: BorrowedFd<'_>) -> Attributes {
        Attributes::open(fd, self.options.fake_destination)
    }

    /// What an entry of the destination, which is as `now` says, is to stand for with the source's attributes and `mode`.
    pub(crate) fn wanted_there(&self, src: &Stat, mode: u32, now: &Stat) -> Stat {
        let uid = if self.options.owner { self.user(src.uid) } else { now.uid };
        let gid = if self.options.group { self.group(src.gid) } else { now.gid };
        Stat { mode, uid, gid, ..*src }
    }

    /// The absolute path of the destination entry at `rel` and `name`, for messages.
    pub(crate) fn target_path(&self, rel: &[u8], name: &[u8]) -> Vec<u8> {
        [&self.root.shown, rel, name].concat()
    }

    /// The absolute path of the destination directory at `rel`, without a slash at its end, for messages.
    pub(crate) fn target_dir(&self, rel: &[u8]) -> Vec<u8> {
        let mut path = self.target_path(rel, b"");
        if path.len() > 1 && path.ends_with(b"/") {
            path.pop();
        }
        path
    }

    /// The name that `name` of the directory `dir` gets at the destination.
    pub(crate) fn target_name<'n>(&'n self, dir: &Dir, name: &'n CStr) -> &'n CStr {
        self.renamed(&dir.rel).unwrap_or(name)
    }

    /// What the one entry in the directory `rel` is called at the destination, if that is another name.
    pub(crate) fn renamed(&self, rel: &[u8]) -> Option<&CStr> {
        self.root.rename.as_deref().filter(|_| rel.is_empty())
    }

    /// Adds a line of text, unless `-q`.
    pub(crate) fn say(&self, out: &mut Outcome, parts: &[&[u8]], name: &[u8], rest: &[u8]) {
        // As with rsync, the log file of the side that receives is not for who wants to hear nothing.
        if self.options.quiet && self.remote.is_none() && !self.options.log_receives {
            return;
        }
        let mut line = parts.concat();
        self.options.escape.push(&mut line, name);
        line.extend_from_slice(rest);
        if self.is_logged(parts.first().copied().unwrap_or_default()) {
            out.log.extend_from_slice(&line);
        }
        if self.options.quiet {
            return;
        }
        if self.options.json {
            json::message(&mut out.text, &line);
        } else {
            out.text_first |= out.errors.is_empty();
            out.text.append(&mut line);
        }
    }

    /// Says of the entry at `path` that it stays as it is. As with rsync, that is in the log of one machine alone.
    pub(crate) fn say_same(&self, out: &mut Outcome, path: &[u8], end: &[u8]) {
        let logged = out.log.len();
        self.say(out, &[], path, end);
        if self.remote.is_some() || self.options.log_receives {
            out.log.truncate(logged);
        }
    }

    /// Says what becomes of a symbolic link that is not safe.
    pub(crate) fn say_unsafe(&self, out: &mut Outcome, what: &str, path: &[u8], to: &[u8]) {
        let mut line = [what.as_bytes(), b" unsafe symlink \""].concat();
        self.options.escape.push(&mut line, path);
        line.extend_from_slice(b"\" -> \"");
        self.say(out, &[&line], to, b"\"\n");
    }

    /// Whether a line that begins with `start` goes to the log file: into that of the side that receives, only what it says.
    fn is_logged(&self, start: &[u8]) -> bool {
        self.options.log_format.is_some() && !(self.options.log_receives && is_senders(start))
    }

    /// Adds a line for standard error, without counting a failure. As with rsync, paths of the source are without empty, `.` and
    /// `..` components, however it was given.
    pub(crate) fn complain(&self, out: &mut Outcome, before: &str, path: &[u8], after: &str) {
        let detours = [&b"//"[..], b"/./", b"/../"];
        let detours = || detours.iter().any(|detour| path.windows(detour.len()).any(|part| part == *detour));
        if path.starts_with(b"/") && is_senders(before.as_bytes()) && detours() {
            let cleaned = clean(path);
            return self.complain_of(out, before, cleaned.strip_suffix(b"/").unwrap_or(&cleaned), after);
        }
        self.complain_of(out, before, path, after);
    }

    /// As [`complain`](Self::complain), of `path` as it is.
    pub(crate) fn complain_of(&self, out: &mut Outcome, before: &str, path: &[u8], after: &str) {
        let start = out.errors.len();
        out.errors.extend_from_slice(before.as_bytes());
        self.options.escape.push(&mut out.errors, path);
        // As with rsync, whose receiving side escapes it where its sending side does not.
        if self.remote.is_none() && !is_senders(before.as_bytes()) {
            escape_delete(&mut out.errors, start + before.len());
        }
        out.errors.extend_from_slice(after.as_bytes());
        out.errors.push(b'\n');
        if self.is_logged(before.as_bytes()) {
            out.log.extend_from_slice(&out.errors[start..]);
        }
    }

    /// Reports and counts that `what` (with the role in brackets) failed on `path`.
    pub(crate) fn fail(&self, out: &mut Outcome, what: &str, path: &[u8], errno: Errno) {
        out.totals.failed += 1;
        out.errors.extend_from_slice(given::warning(errno).as_bytes());
        let verb = if what.contains("failed") { "" } else { " failed" };
        self.complain(out, &format!("rsync: {what} \""), path, &format!("\"{verb}: {}", fs::describe(errno)));
    }

    /// Reports and counts that a source entry has disappeared.
    pub(crate) fn vanished(&self, out: &mut Outcome, kind: &str, path: &[u8]) {
        out.totals.vanished += 1;
        self.complain(out, &format!("{kind} has vanished: \""), path, "\"");
    }

    /// Reports that a source entry could not be stat'ed: it is gone, or it counts as a failure and stops deletions.
    pub(crate) fn unreadable(&self, out: &mut Outcome, what: &str, path: &[u8], errno: Errno) {
        if errno == Errno::NOENT {
            self.vanished(out, "file", path);
        } else {
            self.io_error.store(true, Ordering::Relaxed);
            self.fail(out, what, path, errno);
        }
    }

    /// Says that `role` leaves out the directory `path`, which is on another file system.
    pub(crate) fn skip_mount(&self, out: &mut Outcome, role: &str, path: &[u8]) {
        if self.options.levels.mount > 0 {
            self.say(out, &[role.as_bytes(), b" skipping mount-point dir "], path, b"\n");
        }
    }

    /// Says that a directory is left out for lack of `-r`.
    pub(crate) fn skip_dir(&self, out: &mut Outcome, name: &[u8]) {
        self.say(out, &[b"skipping directory "], name, b"\n");
    }

    /// Says, with `-vv`, what `rule` does to `path`, with the slash that is shown before it.
    pub(crate) fn say_rule(
        &self,
        out: &mut Outcome,
        what: &str,
        is_dir: bool,
        (slash, path): (&[u8], &[u8]),
        rule: &Rule,
    ) {
        if self.options.levels.debug_filter > 0 {
            let kind = if is_dir { " directory " } else { " file " };
            let mut reason = b" because of pattern ".to_vec();
            self.options.escape.push(&mut reason, &rule.text());
            reason.push(b'\n');
            self.say(out, &[what.as_bytes(), kind.as_bytes(), slash], path, &reason);
        }
    }

    /// Whether deletions are off because the source could not be listed. Says so once.
    pub(crate) fn deletions_off(&self, out: &mut Outcome) -> bool {
        let off = self.io_error.load(Ordering::Relaxed) && !self.options.deletion.ignore_errors;
        if off && !self.said_skipping.swap(true, Ordering::Relaxed) {
            self.say(out, &[b"IO error encountered -- skipping file deletion\n"], b"", b"");
        }
        off
    }
}
