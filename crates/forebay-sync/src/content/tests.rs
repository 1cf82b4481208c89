use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;

use forebay::{Budget, CancelToken};

use super::copy::{Copier, Failure, Job, Method, Methods};
use super::parts::LARGE;
use crate::options::Reflink;

/// A copier for one file.
fn copier<'a>(methods: &'a Methods, budget: &'a Budget, cancel: &'a CancelToken, workers: usize) -> Copier<'a> {
    let (reflink, buffer) = (Reflink::Auto, Vec::new());
    Copier { methods, budget, cancel, workers, rate: None, sparse: false, reflink, buffer, done: 0, watched: None }
}

/// Copies a file of `len` bytes of which `expected` were announced, and compares.
fn check(len: usize, expected: u64, workers: usize, method: Option<Method>, sparse: bool) {
    let dir = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..len).map(|i| if i / 5000 % 3 == 0 { 0 } else { (i % 251) as u8 }).collect();
    File::create(dir.path().join("src")).unwrap().write_all(&content).unwrap();
    let src = File::open(dir.path().join("src")).unwrap();
    let dst = File::create(dir.path().join("dst")).unwrap();
    let (methods, budget, cancel) = (Methods::default(), Budget::new(1 << 20), CancelToken::new());
    if let Some(method) = method {
        methods.at_best((1, 1), method);
    }
    let mut copier = copier(&methods, &budget, &cancel, workers);
    copier.sparse = sparse;
    let job = Job { src: src.as_fd(), dst: dst.as_fd(), range: 0..expected, devices: (1, 1), fresh: true, seen: false };
    let used = copier.copy(&job).unwrap();
    let whole = &content[..len.min(expected as usize)];
    if used != Method::Reflink {
        assert_eq!(copier.done, whole.len() as u64);
        assert!(std::fs::read(dir.path().join("dst")).unwrap() == whole, "{len} of {expected}");
    }
    assert!(method.is_none_or(|method| used >= method));
}

#[test]
fn every_method_copies_what_was_announced_or_what_there_is() {
    for (method, sparse) in
        [(None, false), (Some(Method::Range), false), (Some(Method::Stream), false), (Some(Method::Stream), true)]
    {
        for (len, expected) in [(0, 0), (1, 1), (70_000, 70_000), (300_000, 300_000), (9, 5), (5, 9)] {
            check(len, expected, 2, method, sparse);
        }
        // Grown, and cut off, meanwhile.
        check(400_000, 300_000, 2, method, sparse);
        check(300_000, 400_000, 2, method, sparse);
        let large = LARGE as usize;
        check(large + 5, LARGE + 5, 2, method, sparse);
        check(large + 99, LARGE + 5, 3, method, sparse);
    }
}

#[test]
fn a_cancelled_copy_stops() {
    let dir = tempfile::tempdir().unwrap();
    let src = File::create_new(dir.path().join("src")).unwrap();
    src.set_len(LARGE).unwrap();
    let src = File::open(dir.path().join("src")).unwrap();
    let dst = File::create(dir.path().join("dst")).unwrap();
    let (methods, budget, cancel) = (Methods::default(), Budget::new(1 << 20), CancelToken::new());
    cancel.cancel();
    methods.at_best((1, 1), Method::Range);
    for workers in [1, 2] {
        let mut copier = copier(&methods, &budget, &cancel, workers);
        let job =
            Job { src: src.as_fd(), dst: dst.as_fd(), range: 0..LARGE, devices: (1, 1), fresh: true, seen: false };
        assert!(matches!(copier.copy(&job), Err(Failure::Cancelled)));
    }
}
