//! Tells the receiving side what there is: one list of everything or, in incremental recursion, one for each directory.

use std::collections::VecDeque;
use std::ffi::CString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::FileType;

use super::entries::{Listed, Lister, Listing, Mark, folder, topmost};
use super::lists::{Lists, Summary};
use super::live::{Folder, Live};
use super::role::{Link, Say, ended};
use super::steps::Steps;
use super::stream::Stream;
use crate::dir::Dir;
use crate::error::Error;
use crate::extended;
use crate::filter::Local;
use crate::fs::Stat;
use crate::outcome::Outcome;
use crate::passes;
use crate::roots::Top;
use crate::shared::Shared;
use crate::walk::Walk;
use crate::wire::limits;
use crate::wire::list::{Encoder, Shape};
use crate::wire::number::special;
use crate::wire::receiver::{Message, Stop, Way};

/// Bytes of the first list that go on their way together.
const PIECE: usize = 32 << 10;

/// Steps that are listed before they are sent, in incremental recursion: what is ahead of the receiving side is to be bounded.
const OUTSTANDING: u64 = 128;

/// What could not be listed or read.
#[derive(Debug)]
pub(crate) struct Faults<'f> {
    shared: &'f Shared<'f>,
    vanished: AtomicBool,
    /// What was asked for could not be read.
    unsent: AtomicBool,
    /// The bits that ends of lists have told.
    told: AtomicI32,
}

impl<'f> Faults<'f> {
    pub(crate) fn new(shared: &'f Shared<'f>) -> Self {
        Faults { shared, vanished: AtomicBool::new(false), unsent: AtomicBool::new(false), told: AtomicI32::new(0) }
    }

    /// Takes note of what `outcome` says.
    pub(crate) fn note(&self, outcome: &Outcome) {
        if outcome.totals.vanished > 0 {
            self.vanished.store(true, Ordering::Relaxed);
        }
    }

    /// Takes note of a file that was asked for and could not be sent: what follows is deleted all the same, as with rsync.
    pub(crate) fn unsent(&self, outcome: &Outcome) {
        if outcome.totals.failed > 0 {
            self.unsent.store(true, Ordering::Relaxed);
        }
    }

    fn bits(&self) -> i32 {
        let (general, vanished) = (self.shared.io_error.load(Ordering::Relaxed), self.vanished.load(Ordering::Relaxed));
        (if general { limits::GENERAL } else { 0 }) | if vanished { limits::VANISHED } else { 0 }
    }

    /// What the end of a list is to tell.
    fn tell(&self) -> i32 {
        let bits = self.bits();
        self.told.store(bits, Ordering::Relaxed);
        if self.shared.options.deletion.ignore_errors { 0 } else { bits }
    }

    /// What no end of a list has told.
    pub(crate) fn untold(&self) -> i32 {
        let unsent = if self.unsent.load(Ordering::Relaxed) { limits::GENERAL } else { 0 };
        (self.bits() | unsent) & !self.told.load(Ordering::Relaxed)
    }
}

/// Makes the lists and sends them.
pub(crate) fn tell<W: Way + ?Sized>(
    shared: &Shared<'_>,
    link: &Link<'_, W>,
    (top, note): (Top, Outcome),
    (lists, stream): (&Lists, &Stream<'_, W>),
    faults: &Faults<'_>,
    say: &Say<'_, W>,
) -> Result<(), Stop> {
    let begun = Instant::now();
    let (options, terms) = (shared.options, link.terms);
    let incremental = terms.incremental();
    let mut pipeline = passes::pipeline(options, "list", passes::workers(options)).batch(1);
    if incremental {
        pipeline = pipeline.outstanding(OUTSTANDING);
    }
    let steps = Steps::new(Walk::new(shared, top, Some(note)), incremental);
    let mut telling = Telling {
        link,
        lists,
        stream,
        faults,
        encoder: Encoder::new(Shape::new(options, terms)).telling_acls(extended::tells_acls_twice(options)),
        safe: Shape::new(options, terms).tells_errors(),
        open: None,
        next: i32::from(incremental),
        dirs: 0,
        path: Vec::new(),
        skipped: 0,
        summary: Summary::default(),
        waited: Duration::ZERO,
    };
    if !incremental {
        telling.begin(None, None, nowhere())?;
    }
    pipeline
        .worker_init(|| Lister::new(shared, terms))
        .run(
            steps.map(|step| step.map_err(Stop::from)),
            |lister, step| Ok(lister.list(step)),
            |listed| {
                let outcome = telling.take(listed)?;
                faults.note(&outcome);
                say.say(outcome)
            },
        )
        .map_err(ended)?;
    telling.complete(begun)?;
    // Whoever tells how far the list is finds that this is all.
    say.say(Outcome::default())
}

/// The state of whoever sends lists.
struct Telling<'t, W: ?Sized> {
    link: &'t Link<'t, W>,
    lists: &'t Lists,
    stream: &'t Stream<'t, W>,
    faults: &'t Faults<'t>,
    encoder: Encoder,
    /// Ends of lists tell of errors.
    safe: bool,
    open: Option<Open>,
    /// The number of the next list's first entry.
    next: i32,
    /// Directories in the lists so far.
    dirs: i32,
    /// The directories on the way.
    path: Vec<OnTheWay>,
    /// How many directories on the way are in no list.
    skipped: usize,
    summary: Summary,
    /// How long the receiving side was waited for.
    waited: Duration,
}

/// The list at hand.
struct Open {
    /// The directory that it is of, but for the first.
    number: Option<i32>,
    live: Live,
    /// Where its entries are.
    inside: Folder,
    entries: usize,
    /// Where the directories in it are, in its order. The root is not among them.
    dirs: VecDeque<Vec<u8>>,
    out: Vec<u8>,
}

/// A directory whose list has been sent.
struct OnTheWay {
    /// Where what is in it is.
    inside: Folder,
    /// The names of its directories whose lists have not been sent, in their order.
    dirs: VecDeque<Vec<u8>>,
    /// The number of the first of them.
    next: i32,
}

impl<W: Way + ?Sized> Telling<'_, W> {
    /// Takes what was listed, and gives what is to be said of it.
    fn take(&mut self, listed: Listed) -> Result<Outcome, Stop> {
        let Listed { outcome, entries, mark } = listed;
        self.summary.size_bytes += outcome.totals.size_bytes;
        if let Some(live) = &self.faults.shared.live {
            live.listed(outcome.totals.size_bytes);
        }
        match mark {
            None => {}
            Some(Mark::Enter(dir)) => self.enter(&dir)?,
            Some(Mark::Leave) => self.leave()?,
        }
        entries.into_iter().try_for_each(|listing| self.push(&listing))?;
        Ok(outcome)
    }

    fn push(&mut self, listing: &Listing) -> Result<(), Stop> {
        // What is in a directory that is in no list is in none either.
        let Some(open) = self.open.as_mut().filter(|_| self.skipped == 0) else { return Ok(()) };
        let Listing { entry, folder, name, follow } = listing;
        if open.entries >= limits::ENTRIES || !open.live.push(folder, name, &entry.facts.stat, *follow) {
            return Err(Error::Usage("too many entries for one list".into()).into());
        }
        self.encoder.push(entry, &mut open.out);
        open.entries += 1;
        if self.link.terms.incremental() && entry.is_dir() && entry.path != b"." {
            open.dirs.push_back(name.to_bytes().to_vec());
        }
        // Nothing else is on its way as long as the first list is.
        if open.number.is_none() && open.out.len() >= PIECE {
            self.stream.turn().send_timed(&open.out, &mut self.summary.sent)?;
            open.out.clear();
        }
        Ok(())
    }

    /// The list of `dir` begins.
    fn enter(&mut self, dir: &Arc<Dir>) -> Result<(), Stop> {
        self.end()?;
        let own = || {
            // It may not be there any more.
            let stat = dir.stat().unwrap_or_else(|_| Stat::of_kind(FileType::Directory));
            match &dir.parent {
                None => (topmost(dir), c".".to_owned(), stat),
                Some(parent) => (folder(parent, dir.in_parent), dir.name.clone(), stat),
            }
        };
        if dir.parent.is_none() {
            return self.begin(None, dir.transferred.then(own), folder(dir, 0));
        }
        let name = dir.name.to_bytes();
        let at = self.path.last().and_then(|above| above.dirs.iter().position(|own| own == name));
        let Some(at) = at.filter(|_| self.skipped == 0) else {
            self.skipped += 1;
            return Ok(());
        };
        self.pass_over(at)?;
        let number = self.next_dir().map(|(number, _)| number);
        self.begin(number, Some(own()), folder(dir, 0))
    }

    /// Everything beneath the directory that is last on the way has been listed.
    fn leave(&mut self) -> Result<(), Stop> {
        self.end()?;
        if self.skipped > 0 {
            self.skipped -= 1;
            return Ok(());
        }
        let left = self.path.last().map_or(0, |above| above.dirs.len());
        self.pass_over(left)?;
        self.path.pop();
        Ok(())
    }

    /// Takes the next directory of the last one on the way, and gives its number and name.
    fn next_dir(&mut self) -> Option<(i32, Vec<u8>)> {
        let above = self.path.last_mut()?;
        let name = above.dirs.pop_front()?;
        above.next += 1;
        Some((above.next - 1, name))
    }

    /// Sends lists of nothing for the next `count` directories, which are not there any more: each must have one.
    fn pass_over(&mut self, count: usize) -> Result<(), Stop> {
        for _ in 0..count {
            let inside = self.path.last().map_or_else(nowhere, |above| above.inside.clone());
            let Some((number, name)) = self.next_dir() else { return Ok(()) };
            // The other side may have something to tell of the directory itself.
            let gone = Stat::of_kind(FileType::Directory);
            let own = (inside, CString::new(name).unwrap_or_default(), gone);
            self.begin(Some(number), Some(own), nowhere())?;
            self.end()?;
            self.path.pop();
        }
        Ok(())
    }

    /// Begins a list of what is `inside`. `own` is the directory that it is of, whose number is the one before its first.
    fn begin(&mut self, number: Option<i32>, own: Option<(Folder, CString, Stat)>, inside: Folder) -> Result<(), Stop> {
        let mut live = Live::new(if own.is_some() { self.next - 1 } else { self.next });
        if let Some((folder, name, stat)) = own {
            live.push(&folder, &name, &stat, true);
        }
        self.encoder.begin(self.next);
        self.open = Some(Open { number, live, inside, entries: 0, dirs: VecDeque::new(), out: Vec::new() });
        Ok(())
    }

    /// Ends the list at hand, if there is one, and sends it.
    fn end(&mut self) -> Result<(), Stop> {
        let Some(Open { number, mut live, inside, entries, dirs, mut out }) = self.open.take() else { return Ok(()) };
        let io_error = self.faults.tell();
        self.encoder.end(io_error, &mut out);
        live.shrink();
        if number.is_some() {
            let begun = Instant::now();
            if !self.lists.wait_for_room() {
                return Err(Error::Cancelled.into());
            }
            self.waited += begun.elapsed();
        }
        // The root has a number among the directories, and no list of its own.
        let root = i32::from(self.link.terms.incremental() && self.dirs == 0 && self.has_root(&live));
        let first = self.dirs + root;
        let beyond = || Error::Usage("too many entries for the lists of one session".into());
        let count = i32::try_from(dirs.len()).ok();
        self.dirs = count.and_then(|count| first.checked_add(count)).ok_or_else(beyond)?;
        let len = i32::try_from(entries).ok().and_then(|len| self.next.checked_add(len)?.checked_add(1));
        self.next = len.ok_or_else(beyond)?;
        self.path.push(OnTheWay { inside, dirs, next: first });
        self.link.arrivals.listed(entries);
        self.lists.add(live, entries);
        let mut turn = self.stream.turn();
        if let Some(number) = number {
            let mut head = Vec::with_capacity(out.len() + 8);
            turn.number(special::FLIST_OFFSET - number, &mut head);
            head.append(&mut out);
            out = head;
        }
        turn.send_timed(&out, &mut self.summary.sent)?;
        drop(turn);
        if io_error != 0 && !self.safe {
            self.link.way.message(Message::IoError(io_error));
        }
        Ok(())
    }

    /// Whether the first list, which `live` is, has the root in it: it then begins with the number of that.
    fn has_root(&self, live: &Live) -> bool {
        live.begins_before(self.next - 1)
    }

    /// No list follows.
    fn complete(mut self, begun: Instant) -> Result<(), Stop> {
        self.end()?;
        let mut summary = self.summary;
        let made = begun.elapsed().saturating_sub(summary.sent + self.waited);
        // Nothing at all stands for what is not known.
        summary.made = made.max(Duration::from_millis(1));
        // Known before the receiving side can act on it.
        self.lists.complete(summary);
        if self.link.terms.incremental() {
            let mut turn = self.stream.turn();
            let mut out = Vec::new();
            turn.number(special::FLIST_EOF, &mut out);
            turn.send(&out)?;
        }
        Ok(())
    }
}

/// Where nothing is.
fn nowhere() -> Folder {
    Folder { rel: Vec::new(), shown: Vec::new(), above: Arc::default(), local: Local::default() }
}
