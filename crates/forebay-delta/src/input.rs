//! What is read: a file at any offset, by the workers, or a stream, in order, by the source.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use forebay::Weigh;

use crate::error::{Error, Role};

/// Something that can be read at any offset, from several threads at once.
pub trait ReadAt: Sync {
    /// Reads up to `buf.len()` bytes at `offset`; 0 at the end.
    ///
    /// # Errors
    /// As [`Read::read`].
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buf, offset)
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or(&[]);
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.as_slice().read_at(buf, offset)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_at(buf, offset)
    }
}

/// Fills `buf` from `offset` on.
///
/// # Errors
/// [`Error::Read`]; [`Error::Short`] if there are not that many bytes.
pub(crate) fn read_exact_at(file: &dyn ReadAt, role: Role, buf: &mut [u8], offset: u64) -> Result<(), Error> {
    let mut done = 0;
    while done < buf.len() {
        let at = offset + done as u64;
        match file.read_at(&mut buf[done..], at) {
            Ok(0) => return Err(Error::Short { file: role, offset: at }),
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::Read { file: role, offset: at, source }),
        }
    }
    Ok(())
}

/// A file to be signed or searched.
pub enum Input<'a> {
    /// A file of so many bytes. What is added to it meanwhile is not looked at; if it gets shorter, the operation fails.
    File(&'a dyn ReadAt, u64),
    /// A stream to its end.
    Stream(&'a mut (dyn Read + Send)),
}

impl std::fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Input::File(_, len) => f.debug_tuple("File").field(len).finish(),
            Input::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl<'a> Input<'a> {
    /// Bytes that are all there.
    #[allow(clippy::ptr_arg, reason = "a slice cannot be behind `dyn`")]
    pub fn bytes(bytes: &'a Vec<u8>) -> Self {
        Input::File(bytes, bytes.len() as u64)
    }

    /// Cuts it into segments of `len` bytes, each read `reach` bytes over its end.
    pub(crate) fn segments(self, role: Role, len: usize, reach: usize, spares: &Spares) -> Segments<'a> {
        Segments { input: self, role, len, reach, at: 0, carried: Vec::new(), done: false, spares: spares.clone() }
    }
}

/// Part of a file: the bytes that belong to it, and some that follow.
pub(crate) struct Segment<'a> {
    /// Where it begins in the file.
    pub(crate) at: u64,
    /// Bytes that belong to it. The last segment of a file may be empty.
    pub(crate) own: usize,
    /// Bytes in all.
    pub(crate) filled: usize,
    /// Whether the file ends where it does.
    pub(crate) last: bool,
    buf: Vec<u8>,
    /// Where to read it from, if that was not done.
    from: Option<(&'a dyn ReadAt, Role)>,
}

impl Segment<'_> {
    /// Reads it, if that was not done, into a buffer from `spares`. A `roomy` one, for which nobody pays, serves for somewhat
    /// longer files, too.
    pub(crate) fn load(&mut self, spares: &Spares, roomy: bool) -> Result<(), Error> {
        if let Some((file, role)) = self.from.take() {
            self.buf = spares.take(self.filled, roomy);
            read_exact_at(file, role, &mut self.buf[..self.filled], self.at)?;
        }
        Ok(())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.buf.get(..self.filled).unwrap_or(&[])
    }

    pub(crate) fn into_buf(self) -> Vec<u8> {
        self.buf
    }
}

impl Weigh for Segment<'_> {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.filled
    }
}

/// The segments of a file, in order.
pub(crate) struct Segments<'a> {
    input: Input<'a>,
    role: Role,
    len: usize,
    reach: usize,
    at: u64,
    /// What a stream has given beyond the last segment's own bytes.
    carried: Vec<u8>,
    done: bool,
    spares: Spares,
}

impl<'a> Segments<'a> {
    fn file_segment(&mut self, file: &'a dyn ReadAt, len: u64) -> Segment<'a> {
        let left = len - self.at;
        let upto = |most: usize| usize::try_from(left).map_or(most, |left| left.min(most));
        let (own, filled) = (upto(self.len), upto(self.len + self.reach));
        let last = own as u64 == left;
        Segment { at: self.at, own, filled, last, buf: Vec::new(), from: Some((file, self.role)) }
    }

    fn stream_segment(&mut self) -> Result<Segment<'a>, Error> {
        let Input::Stream(stream) = &mut self.input else { unreachable!("only streams are read here") };
        let want = self.len + self.reach;
        let mut buf = self.spares.take(want, false);
        let mut filled = self.carried.len();
        buf[..filled].copy_from_slice(&self.carried);
        while filled < want {
            match stream.read(&mut buf[filled..want]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(Error::Read { file: self.role, offset: self.at + filled as u64, source });
                }
            }
        }
        let own = filled.min(self.len);
        self.carried.clear();
        self.carried.extend_from_slice(&buf[own..filled]);
        // Short of what was asked for, the stream is at its end; what was carried may still make a segment.
        let last = filled < want && self.carried.is_empty();
        Ok(Segment { at: self.at, own, filled, last, buf, from: None })
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Result<Segment<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let segment = match self.input {
            Input::File(file, len) => self.file_segment(file, len),
            Input::Stream(_) => match self.stream_segment() {
                Ok(segment) => segment,
                Err(error) => {
                    self.done = true;
                    return Some(Err(error));
                }
            },
        };
        self.at += segment.own as u64;
        self.done = segment.last;
        Some(Ok(segment))
    }
}

/// Buffers that were used and may be used again: filling fresh memory costs more than reading does. Clones share them.
#[derive(Clone, Default)]
pub struct Spares(Arc<Mutex<Vec<Vec<u8>>>>);

impl std::fmt::Debug for Spares {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spares").finish_non_exhaustive()
    }
}

/// Bytes of buffers that wait to be used again, at most.
const KEPT: usize = 16 << 20;

impl Spares {
    /// A buffer of at least `len` bytes, with whatever in it. A `roomy` one may have twice as many.
    pub(crate) fn take(&self, len: usize, roomy: bool) -> Vec<u8> {
        let mut spares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = spares.iter().enumerate().filter(|(_, buf)| buf.len() >= len);
        let least = fitting.min_by_key(|(_, buf)| buf.len()).map(|(at, _)| at);
        if let Some(at) = least {
            return spares.swap_remove(at);
        }
        // One that is too short makes room for one that is not.
        let short = spares.pop();
        drop(spares);
        drop(short);
        vec![0; if roomy { len.next_power_of_two() } else { len }]
    }

    /// Takes back a buffer, if there is room for it.
    pub(crate) fn keep(&self, buf: Vec<u8>) {
        let mut spares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !buf.is_empty() && spares.iter().map(Vec::capacity).sum::<usize>() + buf.capacity() <= KEPT {
            spares.push(buf);
        }
    }
}
