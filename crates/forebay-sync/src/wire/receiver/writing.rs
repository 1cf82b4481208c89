//! A file that is being written from what comes for it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use forebay_delta::{Target as Grows, Token};
use rustix::io::Errno;

use super::ledger::{Again, Expected};
use super::request;
use crate::content::building::Building;
use crate::content::copy::Failure;
use crate::content::{Parked, Turn, Way};
use crate::error::Error;
use crate::fs::{self, Stat};
use crate::hardlinks::Link;
use crate::outcome::Outcome;
use crate::passes;
use crate::regular::update_is;
use crate::shared::Shared;
use crate::target::{Ready, Target};
use crate::wire::sums::FileSum;
use crate::wire::terms::Checksum;
use crate::worker::{Entry, Worker};

/// Workers for whichever threads put files together.
#[derive(Debug)]
pub(crate) struct Writers<'a> {
    pub(crate) shared: &'a Shared<'a>,
    workers: usize,
    spare: Mutex<Vec<Worker<'a>>>,
}

impl<'a> Writers<'a> {
    pub(crate) fn new(shared: &'a Shared<'a>, workers: usize) -> Self {
        Writers { shared, workers, spare: Mutex::default() }
    }

    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Worker<'a>) -> T) -> T {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut worker = spare.unwrap_or_else(|| passes::worker(self.shared, self.workers));
        let result = work(&mut worker);
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
        result
    }
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    /// It is to be asked for once more.
    Again,
    Failed,
}

/// The file. Dropped before it is finished, it leaves nothing half written.
#[derive(Debug)]
pub(crate) struct Writing<'w> {
    writers: &'w Writers<'w>,
    expected: Box<Expected>,
    state: State,
    basis: Option<OwnedFd>,
    /// It is written in place and has other names, which must wait. Everything of a file has come before anything of the next, so
    /// whoever has the turn needs nobody who waits for it.
    turn: Option<Turn<'w>>,
    sum: FileSum,
    /// Bytes that are in place.
    at: u64,
    /// What there is to say of it.
    out: Outcome,
}

#[derive(Debug)]
enum State {
    /// Nothing has come.
    New,
    Open(Parked),
    /// It could not be opened, which has been reported: the rest is passed over.
    Closed,
    /// It could not be read or written any further.
    Broken(Parked, Failure),
}

impl<'w> Writing<'w> {
    pub(crate) fn new(writers: &'w Writers<'w>, expected: Box<Expected>) -> Self {
        let (sum, at) = (FileSum::new(Checksum::None), expected.from);
        Writing { writers, expected, state: State::New, basis: None, turn: None, sum, at, out: Outcome::default() }
    }

    /// Opens the draft and the basis.
    fn open(&mut self, worker: &mut Worker<'_>) {
        let (shared, expected) = (self.writers.shared, &self.expected);
        self.state = State::Closed;
        // By whoever lets go of it, too.
        self.sum = FileSum::new(shared.remote.as_ref().map_or(Checksum::None, |remote| remote.terms.transfer));
        let entry = Entry::expected(shared, &expected.dir, expected.at, expected.old);
        let (Some(entry), Some(Target::Ready(ready))) = (entry, expected.dir.target.get()) else { return };
        let way = Way::new(shared.options.writes_in_place(), expected.again);
        let old = expected.old.filter(|old| way != Way::Aside && old.nlink > 1);
        self.turn = old.map(|old| shared.turns.take(old.inode()));
        self.basis = request::open(shared, worker, &entry, ready.fd.as_fd(), &expected.basis);
        let like = expected.like.as_ref();
        let Some(open) = worker.open_draft(&entry, ready, like, way, &mut self.out) else { return };
        let parked = open.park();
        self.state = State::Open(parked);
        if expected.from > 0
            && expected.verify
            && let Err(failure) = add_old(ready, &entry, expected.from, &mut self.sum)
        {
            self.fail(failure);
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.state = match std::mem::replace(&mut self.state, State::Closed) {
            State::Open(parked) => State::Broken(parked, failure),
            state => state,
        };
    }

    fn grow(&mut self, worker: &mut Worker<'_>, token: Token<'_>) -> Result<(), Failure> {
        let State::Open(parked) = &self.state else {
            // What is passed over has come all the same.
            match token {
                Token::Literal { bytes, .. } => self.out.totals.literal_bytes += bytes.len() as u64,
                Token::Copy { len, .. } => self.out.totals.matched_bytes += len,
            }
            return Ok(());
        };
        let basis = self.basis.as_ref().map(AsFd::as_fd);
        let mut buffer = std::mem::take(&mut worker.copier.buffer);
        let mut building = Building::new(&worker.copier, parked.file.as_fd(), parked.existed, basis, self.at);
        let sum = &mut self.sum;
        let result = match token {
            Token::Literal { bytes, .. } => {
                sum.update(bytes);
                self.out.totals.literal_bytes += bytes.len() as u64;
                building.write(bytes)
            }
            Token::Copy { offset, len } => {
                self.out.totals.matched_bytes += len;
                self.out.totals.matches += len.div_ceil(u64::from(self.expected.head.block_len.max(1)));
                building.copy(offset, len, &mut buffer, |bytes| sum.update(bytes))
            }
        };
        self.at = building.len();
        worker.copier.buffer = buffer;
        result
    }

    /// Ends the file `index`: all of it came, if it is `whole`. Says and tells what there is to.
    pub(crate) fn finish(
        mut self,
        index: i32,
        whole: bool,
        theirs: &[u8],
        deliver: &(dyn Fn(Outcome) -> Result<(), Error> + Sync),
        again: &(dyn Fn(i32, Again) + Sync),
    ) {
        let (writers, shared) = (self.writers, self.writers.shared);
        let mut wrong = None;
        let ended = writers.with(|worker| -> Result<Outcome, Error> {
            let verdict = self.close(worker, whole, theirs)?;
            let (dir, at, old) = (Arc::clone(&self.expected.dir), self.expected.at, self.expected.old);
            let mut out = std::mem::take(&mut self.out);
            drop(self);
            let entry = Entry::expected(shared, &dir, at, old).filter(|_| verdict == Verdict::Good);
            if let Some(entry) = &entry {
                let failed = out.totals.failed;
                worker.remove_source(entry, failed, &mut out);
            }
            if verdict != Verdict::Again && shared.options.hard_links {
                worker.settle(&dir, at, entry.and_then(|entry| made(&entry)), &mut out)?;
            }
            if verdict == Verdict::Again {
                wrong = Some(Again { dir: Arc::clone(&dir), at });
            }
            worker.let_go(dir, &mut out);
            Ok(out)
        });
        if let Err(error) = ended.and_then(deliver) {
            shared.break_off(error);
            shared.options.cancel.cancel();
        }
        match (wrong, &shared.remote) {
            (Some(wrong), _) => again(index, wrong),
            (None, Some(remote)) => remote.ledger.close(index),
            (None, None) => {}
        }
    }

    /// Checks the whole, and gives it its attributes and its name.
    fn close(&mut self, worker: &mut Worker<'_>, whole: bool, theirs: &[u8]) -> Result<Verdict, Error> {
        if matches!(self.state, State::New) {
            self.open(worker);
        }
        let shared = self.writers.shared;
        let (parked, failure) = match std::mem::replace(&mut self.state, State::Closed) {
            State::Open(parked) => (parked, None),
            State::Broken(parked, failure) => (parked, Some(failure)),
            State::New | State::Closed => return Ok(Verdict::Failed),
        };
        let expected = &self.expected;
        let entry = Entry::expected(shared, &expected.dir, expected.at, expected.old);
        let (Some(entry), Some(Target::Ready(ready))) = (entry, expected.dir.target.get()) else {
            return Ok(Verdict::Failed);
        };
        let building = Building::new(&worker.copier, parked.file.as_fd(), parked.existed, None, self.at);
        let failure = failure.or_else(|| building.end().err());
        let open = parked.unpark(shared, ready);
        let path = || shared.target_path(&entry.dir.rel, entry.target.to_bytes());
        match failure {
            Some(Failure::Write(errno)) => {
                worker.keep_partial(&entry, ready, open.draft, self.at, &mut self.out);
                return Err(Error::Io(write_failed(shared, &path(), errno)));
            }
            Some(Failure::Cancelled) => return Err(Error::Cancelled),
            _ => {}
        }
        let sum = std::mem::replace(&mut self.sum, FileSum::new(Checksum::None));
        if !whole || failure.is_some() || sum.finish() != theirs {
            if open.is_seen() {
                // As with rsync, what stays in place is the source's but for its time.
                worker.dress(&entry, &open, expected.like.as_ref(), false, &mut self.out);
            }
            // What takes the name now would have the place of the backup the second time.
            if expected.again || !shared.options.backup {
                worker.keep_partial(&entry, ready, open.draft, self.at, &mut self.out);
            }
            return Ok(wrong(shared, &entry, expected, &mut self.out));
        }
        if let Err(Failure::Write(errno)) = worker.settle_draft(&open) {
            shared.fail(&mut self.out, "[receiver] fsync", &path(), errno);
            return Ok(Verdict::Failed);
        }
        let failed = self.out.totals.failed;
        worker.arrived = false;
        worker.close_draft(&entry, ready, open, expected.like.as_ref(), &mut self.out);
        Ok(if self.out.totals.failed == failed { Verdict::Good } else { Verdict::Failed })
    }
}

impl Grows for Writing<'_> {
    type Error = forebay_delta::Error;

    /// Whoever makes a file locks the directory that it is in.
    fn group(&self) -> Option<usize> {
        Some(Arc::as_ptr(&self.expected.dir).addr())
    }

    fn apply(&mut self, token: Token<'_>) -> Result<(), forebay_delta::Error> {
        let writers = self.writers;
        writers.with(|worker| {
            if matches!(self.state, State::New) {
                self.open(worker);
            }
            if let Err(failure) = self.grow(worker, token) {
                self.fail(failure);
            }
        });
        Ok(())
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if let State::Open(parked) | State::Broken(parked, _) = std::mem::replace(&mut self.state, State::Closed)
            && let Some(Target::Ready(ready)) = self.expected.dir.target.get()
        {
            let open = parked.unpark(self.writers.shared, ready);
            if let Some(entry) =
                Entry::expected(self.writers.shared, &self.expected.dir, self.expected.at, self.expected.old)
            {
                // Whoever ends the session early may still want what came.
                self.writers.with(|worker| {
                    worker.keep_partial(&entry, ready, open.draft, self.at, &mut Outcome::default());
                });
            }
        }
    }
}

fn write_failed(shared: &Shared<'_>, path: &[u8], errno: Errno) -> String {
    let mut line = b"rsync: [receiver] write failed on \"".to_vec();
    shared.options.escape.push(&mut line, path);
    line.extend_from_slice(format!("\": {}", fs::describe(errno)).as_bytes());
    String::from_utf8_lossy(&line).into_owned()
}

/// What came was not what the other side has.
fn wrong(shared: &Shared<'_>, entry: &Entry<'_>, expected: &Expected, out: &mut Outcome) -> Verdict {
    if shared.remote.is_none() {
        return Verdict::Failed;
    }
    let update_is = update_is(shared.options, expected.again);
    if expected.again {
        out.totals.failed += 1;
        shared.complain(out, "ERROR: ", &entry.rel(), &format!(" failed verification -- update {update_is}."));
        return Verdict::Failed;
    }
    if shared.options.says_more() {
        let after = format!(" failed verification -- update {update_is} (will try again).");
        shared.complain(out, "WARNING: ", &entry.rel(), &after);
    }
    Verdict::Again
}

/// Where the file is now, for other names of it.
fn made(entry: &Entry<'_>) -> Option<Link> {
    let now = entry.ready.and_then(|ready| Stat::at(ready.fd.as_fd(), entry.target).ok())?;
    (now.kind == entry.src.kind).then(|| Link { path: entry.target_rel(), inode: now.inode() })
}

/// Adds the first `len` bytes of what is there to `sum`.
fn add_old(ready: &Ready, entry: &Entry<'_>, len: u64, sum: &mut FileSum) -> Result<(), Failure> {
    let mut file = File::from(fs::open_file(ready.fd.as_fd(), entry.target).map_err(Failure::Read)?).take(len);
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => sum.update(buffer.get(..n).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::Read(Errno::from_io_error(&error).unwrap_or(Errno::IO))),
        }
    }
}
