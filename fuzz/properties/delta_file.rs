//! What holds for a file that claims to be a delta of librsync's, whatever is in it.

use std::io::{self, ErrorKind};

use forebay::Budget;
use forebay_delta::librsync::{Command, DeltaReader, Next, patch};
use forebay_delta::{Error, Settings};

/// The most that is rebuilt: a delta of a few bytes may copy the basis any number of times.
const MOST: usize = 1 << 20;

/// Applies `data` as a delta: it is refused, or rebuilds what its commands say, read one by one.
pub(crate) fn check(data: &[u8]) {
    let basis: Vec<u8> = (0..=255).collect();
    let settings = Settings { workers: 1, budget: Budget::new(64 << 10), ..Settings::default() };
    // From nothing, and onto a copy of the basis.
    for kept in [0, basis.len()] {
        let (mut rebuilt, mut at) = (basis[..kept].to_vec(), 0);
        let done = patch(&basis, data, kept as u64, &settings, |next| {
            at += match next {
                Next::Bytes(bytes) => {
                    rebuilt.resize(rebuilt.len().max(at + bytes.len()), 0);
                    rebuilt[at..at + bytes.len()].copy_from_slice(bytes);
                    bytes.len()
                }
                Next::Kept(len) => len as usize,
            };
            if at > MOST { Err(Error::Write(io::Error::from(ErrorKind::StorageFull))) } else { Ok(()) }
        });
        if let Ok(done) = done {
            assert_eq!(done.counts.literal_bytes + done.counts.copied_bytes, at as u64);
            let Ok(expected) = one_by_one(data, &basis) else { panic!("what was applied cannot be read") };
            assert!(rebuilt[..at] == expected);
        }
    }
}

fn one_by_one(data: &[u8], basis: &[u8]) -> Result<Vec<u8>, Error> {
    let mut delta = DeltaReader::new(data)?;
    let mut new = Vec::new();
    loop {
        match delta.command()? {
            Command::Literal { len } => {
                let mut bytes = vec![0; len as usize];
                assert_eq!(delta.literal(&mut bytes)?, bytes.len());
                new.extend(bytes);
            }
            Command::Copy { offset, len } => new.extend(&basis[offset as usize..][..len as usize]),
            Command::End => return Ok(new),
        }
    }
}
