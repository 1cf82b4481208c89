//! `Walk`: follows the messages that a data connection brings, without looking into them.
//!
//! Timely takes what a connection brings as it is: a length decides how much is allocated, a target is an index, and
//! an end of file in the wrong place is a panic. So the boundaries are followed here first. What no process sends ends the run
//! as a loss, and timely never sees it. It costs one look at 48 bytes a message.

use std::ops::Range;

/// The bytes of a message's header: `timely::communication::networking::MessageHeader`, six big-endian numbers.
const HEADER: usize = 48;
/// The largest message that is let through: 1 GiB. Containers of this crate have 64 KiB.
const LARGEST: usize = 1 << 30;

pub(crate) struct Walk {
    /// The workers that send on this connection.
    sources: Range<usize>,
    /// The workers that receive on it.
    targets: Range<usize>,
    header: [u8; HEADER],
    /// How many bytes of the header are there.
    filled: usize,
    /// Bytes of the current message that are still to come.
    rest: usize,
    over: bool,
}

impl Walk {
    pub(crate) fn new(sources: Range<usize>, targets: Range<usize>) -> Walk {
        Walk { sources, targets, header: [0; HEADER], filled: 0, rest: 0, over: false }
    }

    /// A walk along another connection between the same workers.
    pub(crate) fn again(&self) -> Walk {
        Walk::new(self.sources.clone(), self.targets.clone())
    }

    /// Whether the message that ends the stream has come.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// Goes on over `bytes`.
    pub(crate) fn pass(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            if self.over {
                return Err("data after the end".to_owned());
            }
            let skip = self.rest.min(bytes.len());
            self.rest -= skip;
            bytes = &bytes[skip..];
            let take = (HEADER - self.filled).min(bytes.len());
            self.header[self.filled..][..take].copy_from_slice(&bytes[..take]);
            self.filled += take;
            bytes = &bytes[take..];
            if self.filled == HEADER {
                self.filled = 0;
                self.message()?;
            }
        }
        Ok(())
    }

    /// The header of a message is there.
    fn message(&mut self) -> Result<(), String> {
        let [_, source, lower, upper, length, _] =
            std::array::from_fn(|field| u64::from_be_bytes(std::array::from_fn(|byte| self.header[8 * field + byte])));
        if length == 0 {
            self.over = true;
            return Ok(());
        }
        let index = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        if index(length) > LARGEST {
            return Err(format!("a message of {length} bytes"));
        }
        if !self.sources.contains(&index(source)) {
            return Err(format!("a message from worker {source}"));
        }
        if index(lower) < self.targets.start || index(upper) > self.targets.end || lower >= upper {
            return Err(format!("a message to the workers from {lower} to below {upper}"));
        }
        self.rest = index(length);
        Ok(())
    }
}
