//! Senders that lie.
