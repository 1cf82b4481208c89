//! Signing, searching and patching, end to end.

mod failures;
mod limits;
mod model;
mod support;
