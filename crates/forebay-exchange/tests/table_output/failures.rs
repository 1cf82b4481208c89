//! Whole or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use forebay_exchange::table::{OutputError, OutputFormat, OutputOptions};
use tempfile::tempdir;

use crate::harness::{MIB, create, names, publish, rows, to, write};

fn kind(error: &OutputError) -> (PathBuf, &'static str, io::ErrorKind) {
    match error {
        OutputError::Io { path, operation, error } => (path.clone(), operation, error.kind()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_existing_file_stays_until_there_is_a_whole_new_one() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("out.csv");
    fs::write(&path, "old").unwrap();
    let (output, mut parts) = create(&to(&path), 1, 64 * MIB).unwrap();
    let mut part = parts.remove(0);
    part.write(&rows(0, 100_000)).unwrap();
    part.finish().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(names(dir.path()).len(), 2);
    publish(output).unwrap();
    assert!(fs::read_to_string(&path).unwrap().starts_with("city,"));
    assert_eq!(names(dir.path()), [Path::new("out.csv")]);
}

#[test]
fn what_is_dropped_leaves_nothing() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("out.parquet");
    let (output, mut parts) = create(&to(&path), 2, 64 * MIB).unwrap();
    parts[0].write(&rows(0, 100)).unwrap();
    drop(output);
    assert!(names(dir.path()).is_empty());
    // Who is still there is told.
    let part = parts.remove(0);
    assert!(matches!(part.finish(), Err(OutputError::Cancelled)));
}

#[test]
fn a_part_that_goes_away_unfinished_ends_the_others_and_nothing_is_published() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("out.parquet");
    let (output, mut parts) = create(&to(&path), 2, 64 * MIB).unwrap();
    let (second, first) = (parts.remove(1), parts.remove(0));
    std::thread::scope(|scope| {
        // It waits for the turn of the first, which never comes.
        let waits = scope.spawn(move || second.finish());
        drop(first);
        assert!(matches!(waits.join().unwrap(), Err(OutputError::Unfinished)));
    });
    assert!(matches!(publish(output), Err(OutputError::Unfinished)));
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_directory_in_the_files_place_is_said_at_once_and_at_the_end() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("out.csv");
    fs::create_dir(&path).unwrap();
    assert!(matches!(create(&to(&path), 1, 64 * MIB), Err(OutputError::IsDirectory(named)) if named == path));
    fs::remove_dir(&path).unwrap();
    let (output, mut parts) = create(&to(&path), 1, 64 * MIB).unwrap();
    parts.remove(0).finish().unwrap();
    // It comes meanwhile.
    fs::create_dir(&path).unwrap();
    let (named, operation, _) = kind(&publish(output).unwrap_err());
    assert_eq!((named, operation), (path, "replace"));
    assert_eq!(names(dir.path()), [Path::new("out.csv")]);
}

#[test]
fn a_place_that_does_not_exist_is_said_before_anything_is_done() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("none/out.csv");
    let error = create(&to(&path), 1, 64 * MIB).unwrap_err();
    assert_eq!(kind(&error), (path, "create", io::ErrorKind::NotFound));
    // /proc takes no files, whoever asks.
    let error = create(&to(Path::new("/proc/out.csv")), 1, 64 * MIB).unwrap_err();
    assert_eq!(kind(&error).1, "create");
}

#[test]
fn a_full_disk_is_an_error_and_nothing_is_left() {
    struct Mounted(tempfile::TempDir);
    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg(self.0.path()).status();
        }
    }
    let dir = tempdir().unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(dir.path()).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        eprintln!("not run: no right to mount");
        return;
    }
    let disk = Mounted(dir);
    for name in ["out.parquet", "out.csv", "out.ndjson"] {
        let path = disk.0.path().join(name);
        fs::write(&path, "old").unwrap();
        let error = write(&to(&path), 2, 64 * MIB, |part| {
            let from = part as i64 * 400_000;
            (0..40).map(|n| rows(from + n * 10_000, from + (n + 1) * 10_000)).collect()
        });
        assert_eq!(kind(&error.unwrap_err()), (path.clone(), "write", io::ErrorKind::StorageFull), "{name}");
        assert_eq!(names(disk.0.path()), [Path::new(name)]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn parts_go_to_a_directory_that_is_made_for_them() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("out");
    let part = |process| OutputOptions { part: Some(process), format: Some(OutputFormat::Csv), ..to(&path) };
    // Two processes begin before either has finished.
    let (first, mut of_first) = create(&part(0), 1, 64 * MIB).unwrap();
    let (second, mut of_second) = create(&part(1), 1, 64 * MIB).unwrap();
    of_first.remove(0).finish().unwrap();
    of_second.remove(0).finish().unwrap();
    publish(first).unwrap();
    publish(second).unwrap();
    assert_eq!(names(&path), [Path::new("part-0.csv"), Path::new("part-1.csv")]);
    // It is full now.
    assert!(matches!(create(&part(0), 1, 64 * MIB), Err(OutputError::NotEmpty(named)) if named == path));
    // One that was made for nothing goes again.
    let path = dir.path().join("other");
    let options = OutputOptions { target: Some(path.clone()), ..part(0) };
    drop(create(&options, 1, 64 * MIB).unwrap());
    assert!(!path.exists());
}

#[test]
fn a_device_is_written_to_and_not_replaced() {
    let options = OutputOptions { format: Some(OutputFormat::Csv), ..to(Path::new("/dev/null")) };
    write(&options, 1, 64 * MIB, |_| vec![rows(0, 10)]).unwrap();
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn the_file_that_a_link_names_is_replaced_not_the_link() {
    let dir = tempdir().unwrap();
    let (file, link) = (dir.path().join("there.csv"), dir.path().join("link.csv"));
    fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    write(&to(&link), 1, 64 * MIB, |_| vec![rows(0, 10)]).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read_to_string(&file).unwrap().starts_with("city,"));
}
