//! Reads numbers and bytes of a file that may end anywhere, and knows where it is.

use std::io::{self, BufReader, Read};

use crate::error::{Error, Malformed, Role};

#[derive(Debug)]
pub(crate) struct Reader<R> {
    file: BufReader<R>,
    role: Role,
    pub(crate) offset: u64,
}

impl<R: Read> Reader<R> {
    pub(crate) fn new(file: R, role: Role) -> Self {
        Reader { file: BufReader::with_capacity(256 << 10, file), role, offset: 0 }
    }

    pub(crate) fn malformed(&self, offset: u64, problem: Malformed) -> Error {
        Error::Malformed { file: self.role, offset, problem }
    }

    /// Fills `buf`, or returns how much of it there was before the end.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        let mut done = 0;
        while done < buf.len() {
            match self.file.read(&mut buf[done..]) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(Error::Read { file: self.role, offset: self.offset + done as u64, source });
                }
            }
        }
        self.offset += done as u64;
        Ok(done)
    }

    pub(crate) fn read_exact(&mut self, buf: &mut [u8]) -> Result<(), Error> {
        if self.read(buf)? < buf.len() {
            return Err(self.malformed(self.offset, Malformed::Truncated));
        }
        Ok(())
    }

    /// A number of `width` bytes, at most eight.
    pub(crate) fn number(&mut self, width: usize) -> Result<u64, Error> {
        let mut bytes = [0; 8];
        self.read_exact(&mut bytes[8 - width..])?;
        Ok(u64::from_be_bytes(bytes))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        // Four bytes are no more.
        self.number(4).map(|number| number as u32)
    }
}
