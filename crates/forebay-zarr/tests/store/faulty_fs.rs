//! A file system whose calls fail when told to.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use forebay_zarr::store::files::fs::{FileSystem, RealFs, WriteFile};

/// What happens at the call that is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// It fails with this error of the system.
    Error(i32),
    /// If it is a write, it writes so many bytes only. Else nothing happens.
    Short(usize),
}

/// The system's files, but call number `at` goes wrong.
#[derive(Clone, Debug)]
pub(crate) struct FaultyFs {
    calls: Arc<AtomicUsize>,
    happened: Arc<AtomicUsize>,
    at: usize,
    fault: Fault,
    /// Only calls of this name count, if there is one.
    only: Option<&'static str>,
}

impl FaultyFs {
    pub(crate) fn new(at: usize, fault: Fault) -> Self {
        FaultyFs { calls: Arc::default(), happened: Arc::default(), at, fault, only: None }
    }

    /// Counts only calls of this name.
    pub(crate) fn only(self, call: &'static str) -> Self {
        FaultyFs { only: Some(call), ..self }
    }

    pub(crate) fn happened(&self) -> bool {
        self.happened.load(SeqCst) > 0
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }

    fn due(&self, call: &str) -> bool {
        self.only.is_none_or(|only| only == call) && self.calls.fetch_add(1, SeqCst) == self.at
    }

    fn call(&self, call: &str) -> io::Result<()> {
        match self.fault {
            Fault::Error(errno) if self.due(call) => {
                self.happened.fetch_add(1, SeqCst);
                Err(io::Error::from_raw_os_error(errno))
            }
            _ => Ok(()),
        }
    }

    fn file(&self, file: Box<dyn WriteFile>) -> Box<dyn WriteFile> {
        Box::new(FaultyFile { fs: self.clone(), file, direct: AtomicBool::new(false) })
    }
}

impl FileSystem for FaultyFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.call("create")?;
        RealFs.create(path).map(|file| self.file(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.call("open")?;
        RealFs.open(path).map(|file| self.file(file))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.call("create_dir")?;
        RealFs.create_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.call("sync_dir")?;
        // The machine will not crash; that saves most of the time.
        assert!(path.is_dir(), "{}", path.display());
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call("rename")?;
        RealFs.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call("remove")?;
        RealFs.remove(path)
    }
}

#[derive(Debug)]
struct FaultyFile {
    fs: FaultyFs,
    file: Box<dyn WriteFile>,
    /// Past the page cache.
    direct: AtomicBool,
}

impl WriteFile for FaultyFile {
    fn write_at(&self, parts: &[IoSlice<'_>], at: u64) -> io::Result<usize> {
        if let Fault::Short(most) = self.fs.fault
            && self.fs.due("write")
        {
            self.fs.happened.fetch_add(1, SeqCst);
            let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).take(most).collect();
            // Such a file may not take less than pages.
            let direct = self.direct.load(SeqCst);
            self.file.use_cache()?;
            let count = self.file.write_at(&[IoSlice::new(&bytes)], at)?;
            if direct {
                self.file.bypass_cache()?;
            }
            return Ok(count);
        }
        self.fs.call("write")?;
        self.file.write_at(parts, at)
    }

    fn start_write_back(&self, at: u64, len: u64) {
        self.file.start_write_back(at, len);
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.fs.call("set_len")?;
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.fs.call("sync")
    }

    fn bypass_cache(&self) -> io::Result<usize> {
        self.fs.call("bypass_cache")?;
        let page = self.file.bypass_cache()?;
        self.direct.store(true, SeqCst);
        Ok(page)
    }

    fn use_cache(&self) -> io::Result<()> {
        self.fs.call("use_cache")?;
        self.direct.store(false, SeqCst);
        self.file.use_cache()
    }
}
