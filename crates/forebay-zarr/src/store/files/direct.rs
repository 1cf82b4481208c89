//! Writing past the page cache: whole pages from aligned memory.
//!
//! The system takes only whole pages at page boundaries, from memory that is aligned too. Chunks that are stored as they
//! are often are just that, and are written from where they lie. Compressed chunks are neither, so their bytes are copied
//! once, into an aligned buffer, which is written but for what does not fill a page. That *tail* the shard keeps, and its
//! next write begins with it. Only the last page of a shard is padded, and the padding is cut off again.
//!
//! The buffers, of 1 MiB, belong to the store and are lent for one write; a shard keeps a tail of less than a page.

use std::io::{self, IoSlice};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::fs::WriteFile;
use super::{PARTS, retry};

/// Bytes of a buffer.
const BUFFER: usize = 1 << 20;

/// Buffers that are not in use.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<Vec<Aligned>>);

impl Buffers {
    /// A buffer aligned to `page`.
    fn take(&self, page: usize) -> Aligned {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.filter(|buffer| buffer.page == page).unwrap_or_else(|| Aligned::new(page))
    }

    fn give_back(&self, buffer: Aligned) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

/// Memory that begins at a multiple of `page`.
#[derive(Debug)]
struct Aligned {
    bytes: Vec<u8>,
    page: usize,
    start: usize,
}

impl Aligned {
    fn new(page: usize) -> Self {
        let bytes = vec![0; BUFFER.next_multiple_of(page) + page];
        let start = bytes.as_ptr().align_offset(page);
        Aligned { bytes, page, start }
    }

    /// A whole number of pages.
    fn pages(&mut self) -> &mut [u8] {
        let len = self.bytes.len() - self.page;
        &mut self.bytes[self.start..][..len]
    }
}

/// What a shard keeps that is written past the page cache.
#[derive(Debug)]
pub(super) struct Direct {
    /// What everything has to be aligned to.
    page: usize,
    /// Bytes of whole pages that are in the file.
    written: u64,
    /// What comes behind them; less than a page.
    tail: Vec<u8>,
}

/// How a write past the page cache went.
pub(super) enum Outcome {
    /// Well.
    Written,
    /// The file system refused, for the reason given. Everything is in the file nevertheless, written through the page
    /// cache, and so should be what comes.
    Refused(String),
}

impl Direct {
    pub(super) fn new(page: usize) -> Self {
        Direct { page, written: 0, tail: Vec::new() }
    }

    /// Bytes of whole pages that are in the file.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Adds `parts` to `file`.
    pub(super) fn write(&mut self, file: &dyn WriteFile, buffers: &Buffers, parts: &[Bytes]) -> io::Result<Outcome> {
        let mut buffer = buffers.take(self.page);
        let outcome = self.write_from(file, buffer.pages(), parts);
        buffers.give_back(buffer);
        outcome
    }

    fn write_from(&mut self, file: &dyn WriteFile, buffer: &mut [u8], parts: &[Bytes]) -> io::Result<Outcome> {
        let mut outcome = Outcome::Written;
        let mut filled = self.tail.len();
        buffer[..filled].copy_from_slice(&self.tail);
        // Whole pages, to be written from where they lie; none while something is in the buffer.
        let mut aligned: Vec<IoSlice<'_>> = Vec::new();
        for part in parts {
            let mut part = &part[..];
            if filled.is_multiple_of(self.page) && begins_at_page(part, self.page) {
                self.write_pages(file, &mut [IoSlice::new(&buffer[..filled])], &mut outcome)?;
                filled = 0;
                let (pages, rest) = part.split_at(part.len() - part.len() % self.page);
                aligned.push(IoSlice::new(pages));
                part = rest;
            }
            if !part.is_empty() {
                self.write_pages(file, &mut aligned, &mut outcome)?;
                aligned.clear();
            }
            while !part.is_empty() {
                let (now, later) = part.split_at(part.len().min(buffer.len() - filled));
                buffer[filled..][..now.len()].copy_from_slice(now);
                filled += now.len();
                part = later;
                if filled == buffer.len() {
                    self.write_pages(file, &mut [IoSlice::new(buffer)], &mut outcome)?;
                    filled = 0;
                }
            }
        }
        self.write_pages(file, &mut aligned, &mut outcome)?;
        let whole = match outcome {
            Outcome::Written => filled - filled % self.page,
            // Nobody will ask for a tail any more.
            Outcome::Refused(_) => filled,
        };
        self.write_pages(file, &mut [IoSlice::new(&buffer[..whole])], &mut outcome)?;
        if let Outcome::Refused(_) = outcome {
            // It may have been refused only now.
            self.write_pages(file, &mut [IoSlice::new(&buffer[whole..filled])], &mut outcome)?;
            self.tail.clear();
        } else {
            self.tail.clear();
            self.tail.extend_from_slice(&buffer[whole..filled]);
        }
        Ok(outcome)
    }

    /// The shard is complete: writes the tail and leaves the file with its length.
    pub(super) fn finish(&mut self, file: &dyn WriteFile, buffers: &Buffers) -> io::Result<Outcome> {
        let mut outcome = Outcome::Written;
        let len = self.written + self.tail.len() as u64;
        if !self.tail.is_empty() {
            let mut buffer = buffers.take(self.page);
            let last = &mut buffer.pages()[..self.page];
            let (bytes, padding) = last.split_at_mut(self.tail.len());
            bytes.copy_from_slice(&self.tail);
            padding.fill(0);
            let written = self.write_pages(file, &mut [IoSlice::new(last)], &mut outcome);
            buffers.give_back(buffer);
            written?;
        }
        retry(|| file.set_len(len))?;
        Ok(outcome)
    }

    /// Writes `pages` behind what is written, through the page cache if that is how it has to be.
    fn write_pages(
        &mut self,
        file: &dyn WriteFile,
        mut pages: &mut [IoSlice<'_>],
        outcome: &mut Outcome,
    ) -> io::Result<()> {
        loop {
            // Those that are empty go.
            IoSlice::advance_slices(&mut pages, 0);
            if pages.is_empty() {
                return Ok(());
            }
            let now = &pages[..pages.len().min(PARTS)];
            let refusal = match retry(|| file.write_at(now, self.written)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    // What is beyond the last whole page is written once more.
                    let whole = match outcome {
                        Outcome::Written => count - count % self.page,
                        Outcome::Refused(_) => count,
                    };
                    self.written += whole as u64;
                    IoSlice::advance_slices(&mut pages, whole);
                    if whole > 0 {
                        continue;
                    }
                    format!("of a page, {count} bytes were written")
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => error.to_string(),
                Err(error) => return Err(error),
            };
            if let Outcome::Refused(_) = outcome {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, refusal));
            }
            retry(|| file.use_cache())?;
            *outcome = Outcome::Refused(refusal);
        }
    }
}

/// Whether `bytes` begin where a page of memory does, and fill it.
fn begins_at_page(bytes: &[u8], page: usize) -> bool {
    bytes.len() >= page && bytes.as_ptr().addr().is_multiple_of(page)
}
