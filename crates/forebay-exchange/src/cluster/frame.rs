//! `Frame`: what processes say to each other on a control connection. 512 bytes each, whatever it says.
//!
//! | bytes | |
//! |---|---|
//! | 0, 1 | kind; for a loss, its cause |
//! | 2..4 | length of the text |
//! | 4..8 | the process that is meant |
//! | 8..16 | a number: workers, barrier, milliseconds, a hash, a mark, a question |
//! | 16.. | text in UTF-8, cut where it is too long; the rest 0 |

use std::time::Duration;

use super::error::Cause;

/// The bytes of a frame.
pub(crate) const FRAME: usize = 512;
/// The most bytes of a text.
pub(crate) const TEXT: usize = FRAME - 16;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// I live.
    Beat,
    /// I am about to run so many workers.
    Start {
        /// The number of workers.
        workers: u64,
    },
    /// What has to be the same everywhere is this here.
    Agree {
        /// The hash of all of it.
        hash: u64,
        /// It, or how it begins.
        text: String,
    },
    /// I have entered this barrier.
    Enter {
        /// The number of the barrier.
        number: u64,
    },
    /// All that is slow or may fail is done; what is to be published has this mark.
    Ready {
        /// A number by which others may know it.
        mark: u64,
    },
    /// I have published.
    Published,
    /// Are you still there?
    Ask {
        /// The number of the question.
        round: u64,
    },
    /// I am, and have not given you up.
    Answer {
        /// The number of the question.
        round: u64,
    },
    /// All have published, and it stays so, whatever happens now.
    Stands,
    /// My part of the run has ended well.
    End,
    /// I shall close this connection, and nothing is amiss.
    Goodbye,
    /// The run fails, because this process failed for this reason.
    Failed {
        /// The process.
        process: u32,
        /// What its error says.
        reason: String,
    },
    /// The run fails, because this process is lost.
    Lost {
        /// The process.
        process: u32,
        /// Why it is taken for lost.
        cause: Cause,
    },
}

impl Frame {
    /// The bytes of the frame. Texts of more than 496 bytes are cut.
    pub fn encode(&self) -> [u8; FRAME] {
        let (kind, code, process, number, text) = match self {
            Frame::Beat => (1, 0, 0, 0, ""),
            Frame::Start { workers } => (2, 0, 0, *workers, ""),
            Frame::Enter { number } => (3, 0, 0, *number, ""),
            Frame::Agree { hash, text } => (8, 0, 0, *hash, text.as_str()),
            Frame::Ready { mark } => (9, 0, 0, *mark, ""),
            Frame::Published => (10, 0, 0, 0, ""),
            Frame::Ask { round } => (11, 0, 0, *round, ""),
            Frame::Answer { round } => (12, 0, 0, *round, ""),
            Frame::Stands => (13, 0, 0, 0, ""),
            Frame::End => (4, 0, 0, 0, ""),
            Frame::Goodbye => (5, 0, 0, 0, ""),
            Frame::Failed { process, reason } => (6, 0, *process, 0, reason.as_str()),
            Frame::Lost { process, cause } => {
                let (code, number, text) = match cause {
                    Cause::Closed => (1, 0, ""),
                    Cause::Broken(text) => (2, 0, text.as_str()),
                    Cause::Silent(time) => (3, u64::try_from(time.as_millis()).unwrap_or(u64::MAX), ""),
                    Cause::Replaced => (4, 0, ""),
                    Cause::Garbled(text) => (5, 0, text.as_str()),
                    Cause::Left => (6, 0, ""),
                    Cause::Accuses(text) => (7, 0, text.as_str()),
                };
                (7, code, *process, number, text)
            }
        };
        let text = &text[..text.floor_char_boundary(TEXT)];
        let mut bytes = [0; FRAME];
        bytes[0] = kind;
        bytes[1] = code;
        bytes[2..4].copy_from_slice(&(text.len() as u16).to_be_bytes());
        bytes[4..8].copy_from_slice(&process.to_be_bytes());
        bytes[8..16].copy_from_slice(&number.to_be_bytes());
        bytes[16..16 + text.len()].copy_from_slice(text.as_bytes());
        bytes
    }

    /// What `bytes` say; none if no process of this version says that. Control characters in a text, which may end up
    /// on a terminal, become spaces.
    pub fn decode(bytes: &[u8; FRAME]) -> Option<Frame> {
        let [kind, code, high, low, p0, p1, p2, p3, n0, n1, n2, n3, n4, n5, n6, n7, text @ ..] = bytes;
        let process = u32::from_be_bytes([*p0, *p1, *p2, *p3]);
        let number = u64::from_be_bytes([*n0, *n1, *n2, *n3, *n4, *n5, *n6, *n7]);
        let text = std::str::from_utf8(text.get(..usize::from(u16::from_be_bytes([*high, *low])))?).ok()?;
        let text = || text.replace(char::is_control, " ");
        Some(match (kind, code) {
            (1, 0) => Frame::Beat,
            (2, 0) => Frame::Start { workers: number },
            (3, 0) => Frame::Enter { number },
            (4, 0) => Frame::End,
            (5, 0) => Frame::Goodbye,
            (6, 0) => Frame::Failed { process, reason: text() },
            (7, code) => {
                let cause = match code {
                    1 => Cause::Closed,
                    2 => Cause::Broken(text()),
                    3 => Cause::Silent(Duration::from_millis(number)),
                    4 => Cause::Replaced,
                    5 => Cause::Garbled(text()),
                    6 => Cause::Left,
                    7 => Cause::Accuses(text()),
                    _ => return None,
                };
                Frame::Lost { process, cause }
            }
            (8, 0) => Frame::Agree { hash: number, text: text() },
            (9, 0) => Frame::Ready { mark: number },
            (10, 0) => Frame::Published,
            (11, 0) => Frame::Ask { round: number },
            (12, 0) => Frame::Answer { round: number },
            (13, 0) => Frame::Stands,
            _ => return None,
        })
    }
}
