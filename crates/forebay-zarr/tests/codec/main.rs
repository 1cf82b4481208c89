//! Codecs: what is encoded is decoded, the bytes depend on nothing but the chunk, and nothing stored is trusted.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod chunks;
mod damage;
mod format;
mod names;
mod round_trip;
