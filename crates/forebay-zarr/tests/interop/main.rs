//! Arrays that forebay wrote, as other programs see them: zarrs, zarr-python and TensorStore.
//!
//! The last two run in one Python process for many arrays. Its interpreter is the one that `FOREBAY_PYTHON` names,
//! else that of `target/python`; without one the tests fail. `FOREBAY_ROUNDS` says how many random arrays the tests
//! try, `FOREBAY_SEED` which is the first: a failure names the seed of its array.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests are tests")]

mod content;
mod crash;
mod objects;
mod random;
mod readers;
mod round_trip;
mod same_bytes;
mod trusted;
