//! A mirror that is ended by its caller: nothing half written stays, and the error says what it was.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use forebay_sync::{Ahead, Error, Log, Options, Totals, mirror};
use tempfile::TempDir;

/// Takes so many reports, then refuses.
struct Takes(usize);

impl Log for Takes {
    fn text(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn errors(&mut self, _: &[u8]) {}

    fn progress(&mut self, _: &Totals, _: &Ahead) -> io::Result<()> {
        self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::Other)?;
        Ok(())
    }
}

fn tree() -> (TempDir, OsString, OsString) {
    let dir = tempfile::tempdir().unwrap();
    let [src, dst] = ["src/", "dst"].map(|name| dir.path().join(name).into_os_string());
    for sub in 0..20 {
        let sub = Path::new(&src).join(format!("sub{sub}"));
        fs::create_dir_all(&sub).unwrap();
        (0..50).for_each(|file| fs::write(sub.join(file.to_string()), vec![1; 1000]).unwrap());
    }
    (dir, src, dst)
}

fn options() -> Options {
    Options { recursive: true, times: true, ..Options::default() }
}

/// Every file at the destination is complete, and none has a temporary name.
fn check(dst: &Path) -> usize {
    let mut files = 0;
    for sub in fs::read_dir(dst).into_iter().flatten() {
        for file in fs::read_dir(sub.unwrap().path()).unwrap() {
            let file = file.unwrap();
            assert!(!file.file_name().as_encoded_bytes().starts_with(b"."), "{:?} stayed", file.file_name());
            assert_eq!(file.metadata().unwrap().len(), 1000);
            files += 1;
        }
    }
    files
}

#[test]
fn a_log_that_refuses_ends_the_run() {
    let (_dir, src, dst) = tree();
    let error = mirror(options(), &[src], &dst, &mut Takes(5)).unwrap_err();
    assert!(matches!(error, Error::Log(_)), "{error:?}");
    check(Path::new(&dst));
}

#[test]
fn a_cancelled_mirror_does_nothing_more() {
    let (_dir, src, dst) = tree();
    let options = options();
    options.cancel.cancel();
    let error = mirror(options, &[src], &dst, &mut Takes(usize::MAX)).unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error:?}");
    assert_eq!(error.exit_code(), 20);
    assert_eq!(check(Path::new(&dst)), 0);
}

#[test]
fn a_mirror_on_a_tiny_budget_comes_to_its_end() {
    let (_dir, src, dst) = tree();
    let options = Options { budget: forebay::Budget::new(100), itemize: true, ..options() };
    let report = mirror(options, &[src], &dst, &mut Takes(usize::MAX)).unwrap();
    assert_eq!((report.exit_code(), report.totals.transferred), (0, 1000));
    assert_eq!(check(Path::new(&dst)), 1000);
}
