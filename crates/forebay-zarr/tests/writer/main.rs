//! The writer, end to end, on stores of this crate: a module per subject, a test per scenario. Nothing here sleeps to
//! provoke a race; a store that is to be slow is stalled and let go again. What other readers make of the arrays is
//! asked in `tests/interop`.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod reading;

mod failures;
mod publishing;
mod round_trip;
mod stalls;
