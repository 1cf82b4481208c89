//! What holds for the frames of the handshake and of a control connection, whatever the bytes.

use forebay_exchange::cluster::{Frame, Hello};

/// Takes the start of `data` for a hello, and for a control frame.
pub(crate) fn check(data: &[u8]) {
    if let Some(bytes) = data.first_chunk()
        && let Ok(hello) = Hello::decode(bytes)
    {
        assert_eq!(&hello.encode(), bytes, "a hello has one form");
    }
    if let Some(bytes) = data.first_chunk()
        && let Some(frame) = Frame::decode(bytes)
    {
        assert_eq!(Frame::decode(&frame.encode()).as_ref(), Some(&frame), "what is understood can be passed on");
        assert!(!format!("{frame:?}").contains('\u{1b}'), "and shown on a terminal");
    }
}
