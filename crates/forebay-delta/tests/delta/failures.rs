//! Files that end or fail while they are read, sinks that refuse, runs that are cancelled.

use std::io;

use forebay_delta::{
    Error, Format, Input, Options, Patch, ReadAt, Role, Settings, Signature, Strong, Token, Weak, search, sign,
};

use crate::support::noise;

/// Readable up to an offset.
struct Broken(u64);

impl ReadAt for Broken {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset >= self.0 {
            return Err(io::Error::other("a bad sector"));
        }
        let len = buf.len().min((self.0 - offset) as usize);
        buf[..len].fill(offset as u8);
        Ok(len)
    }
}

const LEN: u64 = 30 << 20;

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_place() {
    let (settings, format) = (Settings::default(), Format::local(LEN));
    let error = Signature::of(Input::File(&Broken(20 << 20), LEN), &format, &settings).unwrap_err();
    assert_eq!(error.to_string(), "read the basis at 20971520: a bad sector");
    let signature = Signature::of(Input::bytes(&noise(10_000, 1)), &format, &settings).unwrap();
    let mut told = 0;
    let error = search(&signature, Input::File(&Broken(20 << 20), LEN), Options::default(), &settings, |token| {
        told += token.len();
        Ok::<_, Error>(())
    })
    .unwrap_err();
    assert_eq!(error.to_string(), "read the new file at 20971520: a bad sector");
    assert!(told <= 20 << 20);
}

#[test]
fn a_file_that_gets_shorter_is_an_error() {
    let (settings, basis) = (Settings::default(), noise(1000, 1));
    let error = Signature::of(Input::File(&basis, 1001), &Format::local(1001), &settings).unwrap_err();
    assert!(matches!(error, Error::Short { file: Role::Basis, offset: 1000 }), "{error}");
}

#[test]
fn a_sink_that_refuses_ends_the_run_with_its_error() {
    let settings = Settings { workers: 2, ..Settings::default() };
    let (basis, format) = (noise(20 << 20, 1), Format::local(20 << 20));
    let full = || Error::Write(io::ErrorKind::StorageFull.into());
    let error = sign(Input::bytes(&basis), &format, &settings, |_| Err(full())).unwrap_err();
    assert!(matches!(&error, Error::Write(e) if e.kind() == io::ErrorKind::StorageFull), "{error}");
    let signature = Signature::of(Input::bytes(&basis), &format, &settings).unwrap();
    let new = noise(20 << 20, 2);
    let error = search(&signature, Input::bytes(&new), Options::default(), &settings, |_| Err(full())).unwrap_err();
    assert!(matches!(&error, Error::Write(e) if e.kind() == io::ErrorKind::StorageFull), "{error}");
}

#[test]
fn a_cancelled_run_says_so() {
    let settings = Settings { workers: 2, ..Settings::default() };
    let new = noise(40 << 20, 2);
    let signature = Signature::of(Input::bytes(&new), &Format::local(40 << 20), &settings).unwrap();
    let cancel = settings.cancel.clone();
    let mut first = true;
    let other = noise(40 << 20, 3);
    let error = search(&signature, Input::bytes(&other), Options::default(), &settings, |_| {
        cancel.cancel();
        assert!(std::mem::take(&mut first), "nothing is told after that");
        Ok::<_, Error>(())
    })
    .unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
}

#[test]
fn tokens_beyond_the_basis_are_refused() {
    let basis = vec![1, 2, 3];
    let mut patch = Patch::new(&basis, Vec::new());
    let error = patch.apply(Token::Copy { offset: 2, len: 2 }).unwrap_err();
    assert!(matches!(error, Error::Short { file: Role::Basis, offset: 3 }), "{error}");
    // Lengths that would wrap, and lengths that nobody has memory for.
    for (offset, len) in [(u64::MAX, 2), (0, u64::MAX)] {
        assert!(matches!(patch.apply(Token::Copy { offset, len }), Err(Error::Short { .. })));
    }
}

#[test]
fn sums_from_elsewhere_must_fit_the_format() {
    let format = Format::new(Weak::Rsync, Strong::Xxh3(0), 700, 4).unwrap();
    let mut signature = Signature::empty(&format, &Settings::default()).unwrap();
    signature.push(1, &[1, 2, 3, 4]).unwrap();
    assert!(matches!(signature.push(1, &[1, 2, 3]), Err(Error::StrongLen { len: 3, digest_len: 4 })));
    assert!(matches!(signature.set_basis_len(701), Err(Error::Blocks { len: 701, block_len: 700 })));
    assert!(matches!(signature.set_basis_len(0), Err(Error::Blocks { .. })));
    signature.set_basis_len(1).unwrap();
    assert_eq!(signature.basis_len(), Some(1));
}
