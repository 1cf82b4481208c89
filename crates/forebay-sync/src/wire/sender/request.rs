//! Requests of the receiving side: section 9 of the protocol.

use std::collections::HashSet;
use std::io::Read;

use forebay::Weigh;
use forebay_delta::{Settings, Signature};
use rustix::fs::FileType;

use super::arrivals::Arrivals;
use super::lists::{Ended, Lists};
use super::live::Found;
use super::pace::Pace;
use crate::error::Error;
use crate::options::Options;
use crate::wire::error::WireError;
use crate::wire::limits;
use crate::wire::number::{Get, Indexes, special};
use crate::wire::receiver::Stop;
use crate::wire::receiver::item::{Item, flag};
use crate::wire::sums::SumHead;
use crate::wire::terms::Terms;

/// What the receiving side wants of one entry.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) index: i32,
    /// The entry. Its list may be done with before the answer is made, where nothing but a report was to be answered.
    pub(crate) found: Found,
    pub(crate) flags: u16,
    /// Where it has blocks of the file.
    pub(crate) basis: Option<u8>,
    /// The name of that, or what the entry has become another name of.
    pub(crate) name: Option<Vec<u8>>,
    /// Which attributes' values are wanted, as their numbers.
    pub(crate) values: Option<Vec<u32>>,
    /// The content is wanted.
    pub(crate) content: Option<Wanted>,
}

/// What of a file's content is there already.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) head: SumHead,
    pub(crate) sums: Option<Signature>,
    /// What is there is the beginning of the file and stays.
    pub(crate) append: bool,
}

/// What is to be done next.
#[derive(Debug)]
pub(crate) enum Job {
    /// An answer is wanted.
    Answer(Box<Request>),
    /// The entry has arrived over there.
    Arrived(Box<Found>),
    /// A list or a phase has ended.
    Done,
}

impl Weigh for Job {
    fn weight(&self) -> usize {
        // Sums are paid for where they are read.
        let request = match self {
            Job::Answer(request) => request,
            Job::Arrived(_) => return size_of::<Self>() + size_of::<Found>(),
            Job::Done => return size_of::<Self>(),
        };
        let values = request.values.as_ref().map_or(0, |values| values.capacity() * size_of::<u32>());
        size_of::<Self>() + size_of::<Request>() + request.name.as_ref().map_or(0, Vec::capacity) + values
    }
}

/// Reads requests until the last phase has ended.
#[derive(Debug)]
pub(crate) struct Requests<'r, R> {
    pub(crate) from: &'r mut R,
    pub(crate) indexes: Indexes,
    pub(crate) options: &'r Options,
    pub(crate) terms: &'r Terms,
    pub(crate) lists: &'r Lists,
    pub(crate) settings: Settings,
    pub(crate) arrivals: &'r Arrivals,
    pub(crate) pace: &'r Pace,
    /// With `--append`: whose content has been asked for.
    pub(crate) asked: HashSet<i32>,
    /// Links that have arrived.
    pub(crate) links: Vec<Found>,
    /// An end that has been read, before which there are arrivals to be worked on.
    pub(crate) done: bool,
    /// Phases that have ended.
    pub(crate) phases: u8,
    /// How many entries of each kind the other side has deleted, once it has told.
    pub(crate) deleted: Option<[u32; 5]>,
}

impl<R: Read> Requests<'_, R> {
    fn next_job(&mut self) -> Result<Option<Job>, Stop> {
        if let Some(found) = self.arrived()? {
            return Ok(Some(Job::Arrived(found.into())));
        }
        let mut next = match std::mem::take(&mut self.done) {
            true => special::DONE,
            false => self.indexes.read(self.from)?,
        };
        // With `--delay-updates`, stock rsync tells them before the end.
        while next == special::DEL_STATS {
            self.deleted = Some(deletions(self.from)?);
            next = self.indexes.read(self.from)?;
        }
        // Whatever has arrived of a list was told before the list is done with.
        if next == special::DONE
            && let Some(found) = self.last_arrived()?
        {
            self.done = true;
            return Ok(Some(Job::Arrived(found.into())));
        }
        match next {
            special::DONE => {
                self.phases += u8::from(self.lists.done().ok_or(Error::Cancelled)? == Ended::Phase);
                Ok((self.phases < 3).then_some(Job::Done))
            }
            index if index >= 0 => self.request(index).map(|request| Some(Job::Answer(request.into()))),
            other => Err(WireError::protocol("a request for what is no file", other).into()),
        }
    }

    /// The next that has arrived. A link waits until its list is done with: that it has arrived may be told before what there
    /// is to be said of it, and where it leads is read for that.
    fn arrived(&mut self) -> Result<Option<Found>, WireError> {
        while let Some(index) = self.arrivals.next() {
            let unknown = || WireError::protocol("an arrival of what is not in the list", index);
            let found = self.lists.get(index).ok_or_else(unknown)?;
            if found.stat.kind != FileType::Symlink {
                return Ok(Some(found));
            }
            self.links.push(found);
        }
        Ok(None)
    }

    /// The next that has arrived, when nothing more is to be said of any.
    pub(crate) fn last_arrived(&mut self) -> Result<Option<Found>, WireError> {
        Ok(self.arrived()?.or_else(|| self.links.pop()))
    }

    fn request(&mut self, index: i32) -> Result<Request, Stop> {
        let unknown = WireError::protocol("a request for what is not in the list", index);
        let found = self.lists.get(index).ok_or(unknown)?;
        let kind = found.stat.kind;
        let from = &mut *self.from;
        let flags = from.short()?;
        let basis = if flags & flag::BASIS_FOLLOWS != 0 { Some(from.byte()?) } else { None };
        let name = match flags & flag::NAME_FOLLOWS {
            0 => None,
            _ => Some(from.vstring(limits::PATH, "the length of a name")?),
        };
        let mut values = None;
        if (Item { flags, basis, name: name.as_deref() }).asks_values(self.options, self.terms) {
            values = Some(self.values()?);
        }
        let mut content = None;
        if flags & flag::TRANSFER != 0 {
            if kind != FileType::RegularFile {
                return Err(WireError::protocol("a request for the content of what is no file", index).into());
            }
            if self.phases >= 2 {
                return Err(WireError::protocol("a request behind the last phase", index).into());
            }
            if !self.options.dry_run {
                content = Some(self.wanted(index)?);
            }
        }
        Ok(Request { index, found, flags, basis, name, values, content })
    }

    fn values(&mut self) -> Result<Vec<u32>, WireError> {
        let (mut numbers, mut number) = (Vec::new(), 0_u32);
        loop {
            match self.from.varuint()? {
                0 => return Ok(numbers),
                more => number = number.saturating_add(more),
            }
            if number > limits::XATTRS {
                return Err(WireError::protocol("the number of an attribute", number));
            }
            numbers.push(number);
        }
    }

    fn wanted(&mut self, index: i32) -> Result<Wanted, WireError> {
        let head = SumHead::read(self.from, self.terms.transfer.len())?;
        // In incremental recursion a file that did not come whole is asked for again in the first phase.
        let append = self.options.append.is_some() && self.phases == 0 && self.asked.insert(index);
        let mut sums = None;
        if !append && head.count > 0 {
            let strong = self.terms.of_block().ok_or(WireError::protocol("block sums where there are none", 0))?;
            sums = head.read_sums(self.from, strong, &self.settings)?;
        }
        Ok(Wanted { head, sums, append })
    }
}

impl<R: Read> Iterator for Requests<'_, R> {
    type Item = Result<Job, Stop>;

    fn next(&mut self) -> Option<Self::Item> {
        let job = self.next_job().transpose();
        if matches!(job, Some(Ok(_))) {
            self.pace.ask();
        }
        job
    }
}

/// How many entries of each kind were deleted.
pub(super) fn deletions<R: Read>(from: &mut R) -> Result<[u32; 5], WireError> {
    let mut counts = [0; 5];
    for count in &mut counts {
        *count = from.varuint()?;
        if i64::from(*count) > limits::DELETIONS {
            return Err(WireError::protocol("a count of deletions", *count));
        }
    }
    Ok(counts)
}
