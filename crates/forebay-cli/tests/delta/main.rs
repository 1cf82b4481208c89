//! `forebay signature`, `delta` and `patch` beside rdiff.

mod harness;
mod malformed;
mod outputs;
mod peers;
