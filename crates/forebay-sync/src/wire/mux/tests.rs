use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::outgoing::FRAME;
use super::tag::BASE;
use super::*;
use crate::wire::error::WireError;

fn collect(seen: &mut Vec<(Tag, Vec<u8>)>) -> impl FnMut(Tag, &[u8]) -> Result<(), WireError> {
    |tag, payload| {
        seen.push((tag, payload.to_vec()));
        Ok(())
    }
}

#[test]
fn data_and_messages_come_apart() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (outgoing, writing) = Outgoing::start(ours.into(), None, None).unwrap();
    outgoing.send(b"raw").unwrap();
    // What is said before that is not counted.
    outgoing.multiplex();
    let data: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
    outgoing.send(&data[..7]).unwrap();
    outgoing.message(Tag::Info, b"hello\n");
    outgoing.send(&data[7..]).unwrap();
    writing.finish().unwrap();
    // Of what is much, the last frame takes what would be too little for one.
    assert_eq!(outgoing.written(), 100_000 + 6 + 4 * (2 + 3));
    drop(outgoing);
    let mut from = Incoming::new(theirs.into(), None);
    let mut raw = [0; 3];
    from.read_exact(&mut raw).unwrap();
    let (mut seen, mut read) = (Vec::new(), Vec::new());
    MuxReader::new(&mut from, collect(&mut seen)).read_to_end(&mut read).unwrap();
    assert!(raw == *b"raw" && read == data);
    assert_eq!(seen, [(Tag::Info, b"hello\n".to_vec())]);
}

#[test]
fn whoever_sends_waits_for_the_reader_and_whoever_says_something_does_not() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    // As the standard output of a remote shell may be.
    ours.set_nonblocking(true).unwrap();
    let (outgoing, writing) = Outgoing::start(ours.into(), None, None).unwrap();
    outgoing.multiplex();
    let sender = std::thread::spawn({
        let outgoing = outgoing.clone();
        move || outgoing.send(&vec![1; 8 << 20])
    });
    while !outgoing.is_crowded() {
        std::thread::yield_now();
    }
    (0..1000).for_each(|_| outgoing.message(Tag::Noop, b""));
    assert!(!sender.is_finished());
    let (mut seen, mut read) = (Vec::new(), Vec::new());
    let reader = std::thread::spawn(move || {
        MuxReader::new(Incoming::new(theirs.into(), None), collect(&mut seen)).read_to_end(&mut read).unwrap();
        (seen.len(), read)
    });
    sender.join().unwrap().unwrap();
    writing.finish().unwrap();
    drop(outgoing);
    assert_eq!(reader.join().unwrap(), (1000, vec![1; 8 << 20]));
}

/// Frames of 32 KiB each that nobody reads yet, until that is waited for.
fn much(outgoing: &Outgoing) -> std::thread::JoinHandle<Result<(), WireError>> {
    let sender = std::thread::spawn({
        let outgoing = outgoing.clone();
        move || outgoing.send(&vec![1; 8 << 20])
    });
    let (mut before, deadline) = (None, Instant::now() + Duration::from_secs(60));
    while before != Some(outgoing.written()) || !outgoing.is_crowded() {
        assert!(Instant::now() < deadline, "the connection never fills");
        before = Some(outgoing.written());
        std::thread::sleep(Duration::from_millis(10));
    }
    sender
}

#[test]
fn whoever_writes_much_does_not_wait_for_the_reader_when_the_session_has_ended() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (outgoing, _writing) = Outgoing::start(ours.into(), None, None).unwrap();
    outgoing.multiplex();
    let sender = much(&outgoing);
    outgoing.abort();
    assert!(sender.join().unwrap().is_err());
    drop(theirs);
}

#[test]
fn a_frame_that_is_broken_off_is_written_to_its_end() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (outgoing, writing) = Outgoing::start(ours.into(), None, None).unwrap();
    outgoing.multiplex();
    let sender = much(&outgoing);
    outgoing.message(Tag::Info, b"said before\n");
    outgoing.hang_up();
    assert!(sender.join().unwrap().is_err());
    outgoing.message(Tag::ErrorXfer, b"last words\n");
    let (mut seen, mut read) = (Vec::new(), Vec::new());
    let reader = std::thread::spawn(move || {
        MuxReader::new(Incoming::new(theirs.into(), None), collect(&mut seen)).read_to_end(&mut read).unwrap();
        (seen, read)
    });
    assert!(writing.finish().is_err());
    let written = outgoing.written();
    drop(outgoing);
    let (seen, read) = reader.join().unwrap();
    assert_eq!(seen, [(Tag::Info, b"said before\n".to_vec()), (Tag::ErrorXfer, b"last words\n".to_vec())]);
    assert!(!read.is_empty() && read.len().is_multiple_of(FRAME) && read.len() < 8 << 20, "{}", read.len());
    assert_eq!(written, (read.len() + 4 * (read.len() / FRAME) + 2 * 4 + 12 + 11) as u64);
}

#[test]
fn a_reader_that_is_gone_fails_the_sender() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (outgoing, writing) = Outgoing::start(ours.into(), None, None).unwrap();
    drop(theirs);
    let result = (0..100).try_for_each(|_| outgoing.send(&[0; FRAME]));
    assert!(matches!(result, Err(WireError::Write(Errno::PIPE))), "{result:?}");
    assert!(writing.finish().is_err());
}

#[test]
fn whoever_waits_for_an_answer_is_told_that_nothing_can_be_asked() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (_quiet, silent) = UnixStream::pair().unwrap();
    let (outgoing, _writing) = Outgoing::start(ours.into(), None, None).unwrap();
    let mut from = Incoming::new(silent.into(), None);
    from.watch(&outgoing).unwrap();
    let reader = std::thread::spawn(move || WireError::from(from.read(&mut [0]).unwrap_err()));
    drop(theirs);
    outgoing.send(b"is anybody there?").unwrap();
    assert!(matches!(reader.join().unwrap(), WireError::Ended));
    assert!(matches!(outgoing.check(), Err(WireError::Write(Errno::PIPE))));
}

#[test]
fn silence_ends_by_the_time_out_and_is_prevented_by_keeping_alive() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut from = Incoming::new(theirs.try_clone().unwrap().into(), Some(Duration::from_millis(20)));
    let error = WireError::from(from.read(&mut [0]).unwrap_err());
    assert!(matches!(error, WireError::Timeout(_)), "{error:?}");
    let (outgoing, _writing) = Outgoing::start(ours.into(), Some(Duration::from_millis(2)), None).unwrap();
    outgoing.multiplex();
    outgoing.message(Tag::Noop, b"");
    let mut frames = [1; 12];
    Incoming::new(theirs.into(), None).read_exact(&mut frames).unwrap();
    assert_eq!(frames[4..], [0, 0, 0, BASE, 0, 0, 0, BASE]);
}

#[test]
fn frames_of_no_known_kind_and_endless_messages_are_refused() {
    for frame in [[0, 0, 0, 6], [0, 0, 0, 7 + 99], [0xff, 0xff, 0xff, 7 + 2]] {
        let result = MuxReader::new(&frame[..], |_: Tag, _: &[u8]| Ok(())).read(&mut [0]);
        let error = WireError::from(result.unwrap_err());
        assert!(matches!(error, WireError::Protocol { .. }), "{error:?}");
    }
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.write_all(&[5, 0, 0, 7, 1]).unwrap();
    drop(ours);
    let mut read = Vec::new();
    let end = MuxReader::new(Incoming::new(theirs.into(), None), |_: Tag, _: &[u8]| Ok(())).read_to_end(&mut read);
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

/// Beside what comes, what keeps alive counts, too, once it is said so. Where nothing goes either way, nobody waits for room.
#[test]
fn a_connection_is_given_up_when_nothing_goes_either_way() {
    const TIMEOUT: Duration = Duration::from_millis(200);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (outgoing, _writing) = Outgoing::start(ours.try_clone().unwrap().into(), Some(TIMEOUT), None).unwrap();
    let mut from = Incoming::new(ours.into(), Some(TIMEOUT));
    from.watch(&outgoing).unwrap();
    outgoing.multiplex();
    let timed_out = |error: WireError| assert!(matches!(error, WireError::Timeout(_)), "{error:?}");
    timed_out(from.read(&mut [0]).unwrap_err().into());
    outgoing.both_ways();
    let late = std::thread::spawn({
        let mut theirs = theirs.try_clone().unwrap();
        move || {
            // Each frame that keeps alive is half a time-out.
            theirs.read_exact(&mut [0; 6 * 4]).unwrap();
            theirs.write_all(&[7]).unwrap();
        }
    });
    from.read_exact(&mut [0]).unwrap();
    late.join().unwrap();
    // Nobody takes it.
    timed_out(outgoing.send(&[7; 8 << 20]).unwrap_err());
    timed_out(outgoing.check().unwrap_err());
}
