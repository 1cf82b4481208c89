//! What has the name already, and where it leads.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use forebay_exchange::table::{OutputFormat, OutputOptions};
use tempfile::tempdir;

use crate::harness::{MIB, create, names, rows, to, write};

#[test]
fn a_file_that_is_replaced_hands_on_its_mode() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("out.csv");
    for mode in [0o640, 0o600, 0o666] {
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        write(&to(&path), 1, 64 * MIB, |_| vec![rows(0, 10)]).unwrap();
        assert!(fs::read_to_string(&path).unwrap().starts_with("city,"));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, mode);
    }
}

#[test]
fn it_is_what_a_link_names_that_is_replaced_or_made() {
    let dir = tempdir().unwrap();
    fs::create_dir(dir.path().join("data")).unwrap();
    let (link, second, target) =
        (dir.path().join("link.csv"), dir.path().join("data/second"), dir.path().join("data/there.csv"));
    symlink("data/second", &link).unwrap();
    symlink("there.csv", &second).unwrap();
    for round in ["made", "replaced"] {
        write(&to(&link), 1, 64 * MIB, |_| vec![rows(0, 10)]).unwrap();
        assert!(fs::read_to_string(&target).unwrap().starts_with("city,"), "{round}");
        assert!(link.is_symlink() && second.is_symlink() && !target.is_symlink(), "{round}");
        fs::write(&target, "old").unwrap();
    }
    assert_eq!(names(&dir.path().join("data")), [Path::new("second"), Path::new("there.csv")]);
    let round = dir.path().join("round.csv");
    symlink("round.csv", &round).unwrap();
    assert!(create(&to(&round), 1, 64 * MIB).unwrap_err().to_string().contains("cannot find "));
}

#[test]
fn what_cannot_be_made_is_called_what_it_was_called() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("none/out.csv");
    let said = create(&to(&path), 1, 64 * MIB).unwrap_err().to_string();
    assert_eq!(said, format!("cannot create {}: No such file or directory (os error 2)", path.display()));
}

#[test]
fn names_stand_for_the_formats_as_which_they_are_read() {
    for (name, format) in [("a.pq", OutputFormat::Parquet), ("a.json", OutputFormat::Ndjson)] {
        let options = OutputOptions { target: Some(name.into()), ..OutputOptions::default() };
        assert_eq!(options.format().unwrap(), format);
    }
}
