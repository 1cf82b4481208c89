//! Who may write where.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use bytes::Bytes;
use forebay_zarr::metadata::encode;
use forebay_zarr::store::{Activity, Files};
use forebay_zarr::{ArraySpec, DataType, Store, StoreError};
use tempfile::TempDir;

/// An array with one shard.
fn array(path: &Path) {
    let store = Files::create(path, false).unwrap();
    let mut shard = store.begin("c/0/0").unwrap();
    shard.write(&[Bytes::from_static(b"shard")]).unwrap();
    shard.land().unwrap();
    store.put("zarr.json", &encode(&ArraySpec::new(DataType::UInt8, &[4], &[1, 4], &[1, 4]), 1)).unwrap();
    store.put("frames/0.ndjson", b"{}").unwrap();
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_store_that_is_done_leaves_only_the_array() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("above/it/array.zarr");
    array(&path);
    assert_eq!(names(&path), ["c", "frames", "zarr.json"]);
}

#[test]
fn an_array_is_replaced_only_when_told_to() {
    let dir = TempDir::new().unwrap();
    array(dir.path());
    assert!(matches!(Files::create(dir.path(), false), Err(StoreError::Exists { .. })));
    assert_eq!(names(dir.path()), ["c", "frames", "zarr.json"]);
    let store = Files::create(dir.path(), true).unwrap();
    assert_eq!(names(dir.path()), [".forebay"]);
    drop(store);
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn what_is_no_array_is_not_replaced() {
    type Make = fn(&Path);
    let cases: [(&str, Make); 5] = [
        ("directory", |path| fs::write(path, "a file").unwrap()),
        ("'notes.txt'", |path| {
            fs::create_dir(path).unwrap();
            fs::write(path.join("notes.txt"), "").unwrap();
        }),
        ("'notes.txt'", |path| {
            array(path);
            fs::write(path.join("notes.txt"), "").unwrap();
        }),
        ("zarr.json", |path| {
            fs::create_dir_all(path.join("c")).unwrap();
            fs::write(path.join("zarr.json"), r#"{"zarr_format": 3, "node_type": "group"}"#).unwrap();
        }),
        ("'c'", |path| fs::create_dir_all(path.join("c/0")).unwrap()),
    ];
    for (number, (why, make)) in cases.into_iter().enumerate() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("it");
        make(&path);
        let before = path.is_dir().then(|| names(&path));
        let error = Files::create(&path, true).unwrap_err();
        assert!(
            matches!(&error, StoreError::NotAnArray { .. }) && error.to_string().contains(why),
            "{number}: {error}"
        );
        assert_eq!(path.is_dir().then(|| names(&path)), before, "{number}");
    }
}

#[test]
fn a_removal_that_was_cut_short_is_completed_but_does_not_look_like_an_array() {
    let dir = TempDir::new().unwrap();
    array(dir.path());
    // As a kill leaves it, just after the first step.
    fs::rename(dir.path().join("zarr.json"), dir.path().join(".forebay-removed.json")).unwrap();
    assert!(matches!(Files::open(dir.path()), Err(StoreError::NotAnArray { .. })));
    assert!(matches!(Files::create(dir.path(), false), Err(StoreError::Exists { .. })));
    drop(Files::create(dir.path(), true).unwrap());
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn only_an_array_is_continued() {
    let dir = TempDir::new().unwrap();
    for path in [dir.path().to_owned(), dir.path().join("nothing")] {
        assert!(matches!(Files::open(&path), Err(StoreError::NotAnArray { .. })));
    }
    assert_eq!(names(dir.path()), [""; 0], "and nothing else is touched");
}

#[test]
fn the_path_may_be_a_link() {
    let dir = TempDir::new().unwrap();
    let (link, target) = (dir.path().join("link"), dir.path().join("target"));
    fs::create_dir(&target).unwrap();
    symlink("target", &link).unwrap();
    array(&link);
    assert_eq!(names(&target), ["c", "frames", "zarr.json"]);
    drop(Files::create(&link, true).unwrap());
    assert_eq!(names(&target), [""; 0]);
    assert!(link.is_symlink());
}

#[test]
fn what_a_link_within_an_array_points_to_is_not_removed_with_it() {
    let dir = TempDir::new().unwrap();
    let (path, elsewhere) = (dir.path().join("array"), dir.path().join("elsewhere"));
    array(&path);
    fs::rename(path.join("c"), &elsewhere).unwrap();
    symlink(&elsewhere, path.join("c")).unwrap();
    drop(Files::create(&path, true).unwrap());
    assert_eq!(names(&path), [""; 0]);
    assert_eq!(fs::read(elsewhere.join("0/0")).unwrap(), b"shard");
}

#[test]
fn the_second_writer_is_refused_until_the_first_is_done() {
    let dir = TempDir::new().unwrap();
    array(dir.path());
    let first = Files::open(dir.path()).unwrap();
    let shard = first.begin("c/1/0").unwrap();
    for _ in 0..2 {
        assert!(matches!(Files::open(dir.path()), Err(StoreError::Locked { .. })));
        assert!(matches!(Files::create(dir.path(), true), Err(StoreError::Locked { .. })));
        assert_eq!(first.size("zarr.json").unwrap().is_some(), dir.path().join("zarr.json").exists());
    }
    drop(first);
    assert!(matches!(Files::open(dir.path()), Err(StoreError::Locked { .. })), "a shard is still open");
    drop(shard);
    Files::open(dir.path()).unwrap();
}

#[test]
fn of_many_who_want_to_write_at_once_there_is_one_at_a_time() {
    let dir = TempDir::new().unwrap();
    array(dir.path());
    let writing = std::sync::atomic::AtomicUsize::new(0);
    let got = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    match Files::open(dir.path()) {
                        Ok(store) => {
                            use std::sync::atomic::Ordering::SeqCst;
                            assert_eq!(writing.fetch_add(1, SeqCst), 0, "two writers");
                            drop(store.begin("c/1/0").unwrap());
                            got.fetch_add(1, SeqCst);
                            writing.fetch_sub(1, SeqCst);
                        }
                        Err(StoreError::Locked { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    assert!(got.into_inner() >= 50, "it went on all the time");
    assert_eq!(names(dir.path()), ["c", "frames", "zarr.json"]);
}

#[test]
fn it_shows_whether_somebody_writes() {
    let dir = TempDir::new().unwrap();
    array(dir.path());
    let reader = Files::read_only(dir.path());
    assert_eq!(reader.activity().unwrap(), Activity::Idle);
    let writer = Files::open(dir.path()).unwrap();
    assert_eq!(writer.activity().unwrap(), Activity::Active);
    assert_eq!(reader.activity().unwrap(), Activity::Active);
    drop(writer);
    assert_eq!(reader.activity().unwrap(), Activity::Idle);
}

#[test]
fn what_a_killed_writer_leaves_is_seen_and_removed() {
    let dir = TempDir::new().unwrap();
    array(dir.path());
    let left = dir.path().join(".forebay");
    fs::create_dir(&left).unwrap();
    for name in ["lock", "0", "17"] {
        fs::write(left.join(name), "half of it").unwrap();
    }
    assert_eq!(Files::read_only(dir.path()).activity().unwrap(), Activity::Died { unfinished: 2 });
    let store = Files::open(dir.path()).unwrap();
    assert_eq!(names(&left), ["lock"]);
    // Under a name that the other had used.
    drop(store.begin("c/1/0").unwrap());
    drop(store);
    assert_eq!(names(dir.path()), ["c", "frames", "zarr.json"]);
}

#[test]
fn who_only_reads_cannot_write() {
    let dir = TempDir::new().unwrap();
    array(dir.path());
    let store = Files::read_only(dir.path());
    store.begin("c/1/0").unwrap_err();
    store.put("zarr.json", b"{}").unwrap_err();
    store.remove("c").unwrap_err();
    assert_eq!(store.size("c/0/0").unwrap(), Some(5));
    assert_eq!(names(dir.path()), ["c", "frames", "zarr.json"]);
}
