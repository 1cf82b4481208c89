//! `ClusterSnapshot`: what the connections to the peers have done so far.

use std::time::Duration;

/// What a cluster has done so far. Plain data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterSnapshot {
    /// One entry for each peer that has connected, by its number.
    pub peers: Vec<PeerSnapshot>,
    /// Connections that were refused: strangers, and processes that do not belong.
    pub refused: u64,
}

/// What there was between this process and one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerSnapshot {
    /// The number of the peer.
    pub process: usize,
    /// Its address, as in the hosts.
    pub address: String,
    /// Heartbeats sent.
    pub beats_sent: u64,
    /// Heartbeats received.
    pub beats_received: u64,
    /// The longest time between two messages of the peer.
    pub longest_silence: Duration,
}
