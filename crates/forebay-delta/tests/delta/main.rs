//! Signing, searching and patching, end to end.

mod assembly;
mod failures;
mod limits;
mod model;
mod support;
