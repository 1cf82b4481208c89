//! Hosts files, secret files, and options that contradict each other.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use forebay_exchange::cluster::ClusterError;
use forebay_exchange::{Cluster, ClusterOptions, ExchangeError};
use tempfile::TempDir;

fn file(dir: &TempDir, text: &[u8]) -> PathBuf {
    let path = dir.path().join("file");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn a_hosts_file_has_comments_and_blank_lines() {
    let dir = TempDir::new().unwrap();
    let path = file(&dir, b"# rack 1\r\nalpha:4000\n\n  beta.example:4001 # the big one\n[::1]:4002\n10.0.0.7:65535");
    let hosts = ClusterOptions::hosts_file(path).unwrap();
    assert_eq!(hosts, ["alpha:4000", "beta.example:4001", "[::1]:4002", "10.0.0.7:65535"]);
}

#[test]
fn a_line_that_is_no_address_is_named() {
    let dir = TempDir::new().unwrap();
    let bad =
        ["beta", "beta:", ":4000", "beta:port", "beta:0", "beta:65536", "a b:1", "::1:4000", "beta:-1", "beta:4 000"];
    for bad in bad {
        let path = file(&dir, format!("alpha:4000\n# more\n{bad}\n").as_bytes());
        let error = ClusterOptions::hosts_file(&path).unwrap_err();
        assert!(matches!(error, ClusterError::Hosts { line: Some(3), .. }), "{bad:?}: {error}");
        let text = error.to_string();
        assert!(text.starts_with(&format!("{}, line 3: {bad:?}: ", path.display())), "{text}");
    }
}

#[test]
fn an_address_that_stands_there_twice_is_named_with_both_lines() {
    let dir = TempDir::new().unwrap();
    let error = ClusterOptions::hosts_file(file(&dir, b"alpha:1\nbeta:1\nalpha:1\n")).unwrap_err();
    assert!(error.to_string().ends_with("line 3: \"alpha:1\" stands in line 1 already"), "{error}");
}

#[test]
fn a_hosts_file_without_hosts_is_refused() {
    let dir = TempDir::new().unwrap();
    for text in [&b""[..], b"# nobody\n\n", b"\xff\xfe"] {
        let error = ClusterOptions::hosts_file(file(&dir, text)).unwrap_err();
        assert!(matches!(error, ClusterError::Hosts { line: None, .. }), "{error}");
    }
    let error = ClusterOptions::hosts_file(dir.path().join("none")).unwrap_err();
    assert!(matches!(error, ClusterError::Read { .. }) && error.to_string().contains("none"), "{error}");
    let error = ClusterOptions::hosts_file("/dev/zero").unwrap_err();
    assert!(error.to_string().contains("larger than 1 MiB"), "{error}");
}

#[test]
fn a_secret_has_no_line_end() {
    let dir = TempDir::new().unwrap();
    assert_eq!(ClusterOptions::secret_file(file(&dir, b"a b\n")).unwrap(), b"a b");
    assert_eq!(ClusterOptions::secret_file(file(&dir, b"a b\r\n")).unwrap(), b"a b");
}

#[test]
fn an_empty_secret_is_refused() {
    let dir = TempDir::new().unwrap();
    for text in [&b""[..], b"\n", b" \r\n"] {
        let error = ClusterOptions::secret_file(file(&dir, text)).unwrap_err();
        assert!(error.to_string().contains("it is empty"), "{error}");
    }
}

#[test]
fn a_secret_that_others_may_read_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = file(&dir, b"secret");
    for mode in [0o640, 0o604, 0o620, 0o666] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = ClusterOptions::secret_file(&path).unwrap_err();
        assert!(error.to_string().contains(&format!("(mode {mode:o}); chmod 600 it")), "{error}");
    }
}

#[test]
fn options_that_cannot_be_meant_are_refused() {
    let hosts = || vec!["127.0.0.1:1".to_owned(), "127.0.0.1:2".to_owned()];
    let refused = |options: ClusterOptions, part: &str| {
        let error = Cluster::connect(options).unwrap_err();
        assert!(matches!(error, ExchangeError::Cluster(ClusterError::Options { .. })), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    };
    refused(ClusterOptions::new(hosts(), 2), "there is no process 2: 2 hosts");
    refused(ClusterOptions::new(Vec::new(), 0), "0 hosts");
    refused(ClusterOptions { deadline: Duration::from_millis(99), ..ClusterOptions::new(hosts(), 0) }, "too short");
    refused(ClusterOptions::new(vec!["alpha".to_owned()], 0), "not host:port");
}

#[test]
fn an_address_of_another_machine_cannot_be_listened_on() {
    // 192.0.2.0/24 is set aside for documentation: no machine has it.
    let error = Cluster::connect(ClusterOptions::new(vec!["192.0.2.1:4000".to_owned()], 0)).unwrap_err();
    assert!(matches!(error, ExchangeError::Cluster(ClusterError::Listen { .. })), "{error}");
    assert!(error.to_string().contains("192.0.2.1:4000"), "{error}");
}

#[test]
fn a_secret_is_in_no_log() {
    let options = ClusterOptions { secret: Some(b"hush".to_vec()), ..ClusterOptions::new(vec!["a:1".to_owned()], 0) };
    assert!(!format!("{options:?}").contains(&format!("{:?}", b"hush")) && !format!("{options:?}").contains("hush"));
}
