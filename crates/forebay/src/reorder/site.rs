//! `Site`: the run that a buffer belongs to.

use crate::budget::Consumer;
use crate::line::Line;
use crate::metrics::Metrics;
use crate::sync::Arc;

/// The run that a buffer belongs to.
#[derive(Debug)]
pub struct Site {
    pub(crate) line: Arc<Line>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) in_order: bool,
}

impl Site {
    /// Of a buffer without a pipeline.
    pub(super) fn alone(consumer: &Consumer, metrics: Arc<Metrics>, in_order: bool) -> Self {
        Site { line: Arc::new(Line::new(consumer)), metrics, in_order }
    }
}
