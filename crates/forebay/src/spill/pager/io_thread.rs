//! The thread of a pager: reads ahead, writes blocks, and calls those who have something to write.

use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Weak;
use std::time::Instant;

use super::page::Place;
use super::{BLOCK, Page, Shared, Tenant};
use crate::spill::SpillError;
use crate::spill::record::{self, Compressor};
use crate::sync::{Arc, lock};

pub(super) struct IoThread {
    shared: Arc<Shared>,
    compressor: Compressor,
    /// Whom to call when: one time a tenant.
    timers: Vec<(Instant, Weak<dyn Tenant>)>,
}

impl IoThread {
    pub(super) fn new(shared: Arc<Shared>, compressor: Compressor) -> Self {
        IoThread { shared, compressor, timers: Vec::new() }
    }

    pub(super) fn run(mut self) {
        loop {
            let shared = Arc::clone(&self.shared);
            let listener = shared.work.listen();
            let mut queue = lock(&shared.queue);
            if queue.ended {
                return;
            }
            // A reader waits for what is read ahead; nobody waits for a write.
            let ahead = queue.ahead.pop_front();
            drop(queue);
            if let Some((page, overdraw)) = ahead {
                if let Some(page) = page.upgrade() {
                    page.read_ahead(overdraw);
                }
                continue;
            }
            let pages = self.queued();
            if !pages.is_empty() {
                // Counted and logged; whoever put a page in looks at its state.
                let _ = self.write(&pages);
                continue;
            }
            let call = self.due().or_else(|| lock(&shared.queue).calls.pop_front());
            match (call, self.timers.iter().map(|(at, _)| *at).min()) {
                (Some(tenant), _) => self.serve(tenant),
                (None, Some(next)) => listener.wait_until(next),
                (None, None) => listener.wait(),
            }
        }
    }

    /// A tenant whose time has come.
    fn due(&mut self) -> Option<Weak<dyn Tenant>> {
        if self.timers.is_empty() {
            return None;
        }
        let now = Instant::now();
        let due = self.timers.iter().position(|(at, _)| *at <= now)?;
        Some(self.timers.swap_remove(due).1)
    }

    /// Up to a block of the pages that wait, all of one consumer.
    fn queued(&self) -> Vec<Page> {
        let mut queue = lock(&self.shared.queue);
        let mut pages: Vec<Page> = Vec::new();
        let mut bytes = 0;
        while let Some(next) = queue.pages.front() {
            if let Some(page) = next.upgrade() {
                let fits =
                    bytes + page.len() <= BLOCK && pages.first().is_none_or(|first| first.owner() == page.owner());
                if !fits && !pages.is_empty() {
                    break;
                }
                bytes += page.len();
                pages.push(page);
            }
            queue.pages.pop_front();
        }
        pages
    }

    fn serve(&mut self, tenant: Weak<dyn Tenant>) {
        let Some(buffer) = tenant.upgrade() else {
            return;
        };
        let plan = buffer.plan();
        if let Some(again) = plan.again {
            self.timers.retain(|(_, other)| !Weak::ptr_eq(other, &tenant));
            self.timers.push((again, Weak::clone(&tenant)));
        }
        if !plan.write.is_empty()
            && let Err(error) = self.write(&plan.write)
        {
            buffer.refused(&error);
        }
        plan.prefetch.iter().filter(|page| page.ask()).for_each(|page| page.read_ahead(false));
        if plan.more {
            // To the end of the line: other tenants of this thread have their turn.
            lock(&self.shared.queue).calls.push_back(tenant);
        }
    }

    /// Writes `pages`, which belong to one consumer, as one block.
    fn write(&mut self, pages: &[Page]) -> Result<(), SpillError> {
        let mut records = Vec::with_capacity(pages.len());
        let mut result = Ok(());
        for page in pages {
            let Some(parts) = page.begin() else { continue };
            match record::seal(parts, &mut self.compressor) {
                Ok(sealed) => records.push((page, sealed)),
                Err(error) => {
                    self.failed(&error);
                    page.end(Err(error.clone()));
                    result = Err(error);
                }
            }
        }
        let Some(owner) = records.first().map(|(page, _)| page.owner()) else {
            return result;
        };
        let slices: Vec<IoSlice<'_>> = records.iter().flat_map(|(_, sealed)| sealed.slices()).collect();
        // A store is foreign code: if it panics, its block stays in memory like after any other failure.
        let appended =
            catch_unwind(AssertUnwindSafe(|| self.shared.store.append(owner, &slices))).unwrap_or_else(|_| {
                Err(SpillError::io("append", "spill store", std::io::Error::other("the store panicked")))
            });
        match appended {
            Ok(extent) => {
                let metrics = &self.shared.metrics;
                metrics.spilled_blocks.add(1);
                metrics.spilled_bytes.add(extent.len());
                metrics.spilled_items.add(records.iter().map(|(page, _)| page.items()).sum());
                let extent = Arc::new(extent);
                let mut offset = 0;
                for (page, sealed) in &records {
                    let len = sealed.stored_len();
                    page.end(Ok(Place { extent: Arc::clone(&extent), offset, len }));
                    offset += len as u64;
                }
                result
            }
            Err(error) => {
                self.failed(&error);
                records.iter().for_each(|(page, _)| page.end(Err(error.clone())));
                Err(error)
            }
        }
    }

    /// Counts a failure, before anybody can see it in the state of a page.
    fn failed(&self, error: &SpillError) {
        self.shared.metrics.spill_failures.add(1);
        tracing::warn!(%error, "a block was not spilled and stays in memory");
    }
}
