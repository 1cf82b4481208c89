//! `Tag`: what a frame is, section 13 of the protocol.

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    Data,
    /// Text for standard error; something was not transferred.
    ErrorXfer,
    /// Text for standard output.
    Info,
    /// Text for standard error.
    Error,
    Warning,
    IoError,
    IoTimeout,
    Noop,
    ErrorExit,
    Success,
    Deleted,
    NoSend,
}

const TAGS: [(Tag, u8); 12] = [
    (Tag::Data, 0),
    (Tag::ErrorXfer, 1),
    (Tag::Info, 2),
    (Tag::Error, 3),
    (Tag::Warning, 4),
    (Tag::IoError, 22),
    (Tag::IoTimeout, 33),
    (Tag::Noop, 42),
    (Tag::ErrorExit, 86),
    (Tag::Success, 100),
    (Tag::Deleted, 101),
    (Tag::NoSend, 102),
];

impl Tag {
    pub(super) fn code(self) -> u8 {
        TAGS.iter().find(|(tag, _)| *tag == self).map_or(0, |(_, code)| *code)
    }

    pub(super) fn of(code: u8) -> Option<Self> {
        TAGS.iter().find(|(_, known)| *known == code).map(|(tag, _)| *tag)
    }
}

/// What is added to the code of a tag in a frame's header.
pub(super) const BASE: u8 = 7;
