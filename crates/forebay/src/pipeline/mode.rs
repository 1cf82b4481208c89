//! `Mode`: where results wait, in memory or also in a spill store.

use std::fmt;
use std::io;

use crate::item::Spill;
use crate::reorder::{OnSpillError, Outlet, ReorderBuffer, Site};
use crate::spill::SpillStore;
use crate::spill::pager::Pager;
use crate::spill::policy::{Prefetch, SpillPolicy, Threshold};
use crate::sync::Arc;

/// Results wait in memory.
#[derive(Clone, Copy, Debug)]
pub struct InMemory;

/// Results that the budget has no room for wait in a spill store.
pub struct Spilling {
    store: Box<dyn SpillStore>,
    pub(super) policy: Box<dyn SpillPolicy>,
    pub(super) on_error: OnSpillError,
    pub(super) compress: bool,
}

impl Spilling {
    pub(super) fn new(store: impl SpillStore + 'static) -> Self {
        Spilling {
            store: Box::new(store),
            policy: Box::new(Prefetch::<Threshold>::default()),
            on_error: OnSpillError::default(),
            compress: false,
        }
    }
}

impl fmt::Debug for Spilling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spilling").field("store", &self.store).field("on_error", &self.on_error).finish_non_exhaustive()
    }
}

/// Where results of type `R` wait: implemented by [`InMemory`] for all, by [`Spilling`] for those that implement
/// [`Spill`].
#[diagnostic::on_unimplemented(
    message = "results of type `{R}` cannot be spilled",
    note = "a pipeline with `.spill(..)` needs results that implement `forebay::Spill` and are `Send + 'static`"
)]
pub trait Mode<R>: sealed::Buffer<R> {}
impl<R, M: sealed::Buffer<R>> Mode<R> for M {}

pub(super) mod sealed {
    use super::*;

    pub trait Buffer<R> {
        #[doc(hidden)]
        fn buffer(self, site: Site) -> io::Result<(Arc<ReorderBuffer<R>>, Outlet<R>)>;
    }

    impl<R> Buffer<R> for InMemory {
        fn buffer(self, site: Site) -> io::Result<(Arc<ReorderBuffer<R>>, Outlet<R>)> {
            Ok(ReorderBuffer::plain(site))
        }
    }

    impl<R: Spill + Send + 'static> Buffer<R> for Spilling {
        fn buffer(self, site: Site) -> io::Result<(Arc<ReorderBuffer<R>>, Outlet<R>)> {
            let pager = Pager::start(self.store, self.compress, Arc::clone(&site.metrics))?;
            Ok(ReorderBuffer::with_pager(site, &pager, self.policy, self.on_error))
        }
    }
}
