//! `OverBudget`: a lease that was refused, and who holds the memory.

use std::fmt;

/// What one consumer holds, for error messages and reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The name under which the consumer registered.
    pub name: String,
    /// Bytes leased now.
    pub used: usize,
    /// Bytes that are reserved for it.
    pub minimum: usize,
}

/// A lease was refused. Says who holds the memory.
#[derive(Clone, Debug)]
pub struct OverBudget {
    /// Bytes asked for.
    pub requested: usize,
    /// Size of the pool, in bytes.
    pub limit: usize,
    /// Bytes leased when the request was refused.
    pub used: usize,
    /// The largest consumers, largest first, at most three.
    pub largest: Vec<Holding>,
}

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} bytes do not fit into the memory budget: {} of {} bytes are in use",
            self.requested, self.used, self.limit
        )?;
        for (n, holding) in self.largest.iter().enumerate() {
            let lead = if n == 0 { "; largest: " } else { ", " };
            write!(f, "{lead}{} {}", holding.name, holding.used)?;
        }
        Ok(())
    }
}

impl std::error::Error for OverBudget {}
