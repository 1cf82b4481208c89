//! `RunWriter`: makes a run of blocks that come in order.

use forebay::PageState;

use crate::error::ExchangeError;
use crate::memory::Memory;
use crate::rows::Rows;
use crate::runs::run::Run;

/// Blocks on their way to disk at a time. The writer waits for the store when there are more.
pub(crate) const ON_THEIR_WAY: usize = 4;

/// Collects blocks in order, in memory as long as they fit, else on disk. For merger threads: it waits for the disk.
#[derive(Debug)]
pub struct RunWriter<R: Rows> {
    run: Run<R>,
    memory: Memory,
    /// Bytes of the budget that blocks in memory leave to others; none stays in memory without.
    headroom: Option<usize>,
}

impl<R: Rows> RunWriter<R> {
    /// A run that stays in memory as far as that leaves half of the budget to others, who come and go while the
    /// run stays.
    pub fn new(memory: &Memory) -> Self {
        let headroom = if memory.can_spill() { memory.consumer().budget().limit() / 2 } else { 0 };
        RunWriter { run: Run::empty(memory), memory: memory.clone(), headroom: Some(headroom) }
    }

    /// A run that goes to disk.
    pub(crate) fn to_disk(memory: &Memory) -> Self {
        let headroom = if memory.can_spill() { None } else { Some(0) };
        RunWriter { run: Run::empty(memory), memory: memory.clone(), headroom }
    }

    /// Adds a block whose rows come after all others, and pays for it.
    ///
    /// # Errors
    /// [`ExchangeError::Memory`] if it does not fit and there is no spill store; [`ExchangeError::Spill`] if the store
    /// takes no more and the budget is overdrawn already.
    pub fn push(&mut self, rows: R) -> Result<(), ExchangeError> {
        let bytes = rows.bytes();
        if self.headroom.is_some_and(|headroom| self.run.try_pay(bytes, headroom)) {
            self.run.append(rows);
            return Ok(());
        }
        if !self.memory.can_spill() {
            // It says why not, unless somebody gave memory back meanwhile.
            drop(self.memory.consumer().try_lease(bytes)?);
            self.run.pay_head(bytes);
            self.run.append(rows);
            return Ok(());
        }
        self.run.pay_head(bytes);
        self.run.append(rows);
        self.run.spill_last(&self.memory);
        self.keep_pace()
    }

    /// The run.
    pub fn finish(self) -> Run<R> {
        self.run
    }

    /// Waits for all but the newest pages. What could not be written stays in memory while that is within the budget.
    fn keep_pace(&self) -> Result<(), ExchangeError> {
        let Some(page) = self.run.pages_from_back().nth(ON_THEIR_WAY) else { return Ok(()) };
        self.memory.settle(page);
        let budget = self.memory.consumer().budget();
        match page.state() {
            PageState::Failed(error) if budget.used() > budget.limit() => Err(error.into()),
            _ => Ok(()),
        }
    }
}
