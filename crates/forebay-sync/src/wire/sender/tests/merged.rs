//! Several sources as one.

use std::fs;

use super::Push;

#[test]
fn a_directory_that_only_one_source_still_has_comes_from_there() {
    for letters in ["-logDtpre.iLsfxCIvu", "-logDtpre.LsfxCIvu"] {
        let dir = tempfile::tempdir().unwrap();
        let [a, b, destination] = ["a", "b", "destination"].map(|name| dir.path().join(name));
        for (source, file) in [(&a, "of-a"), (&b, "of-b")] {
            fs::create_dir_all(source.join("d")).unwrap();
            fs::write(source.join("d").join(file), file).unwrap();
        }
        let swap = || {
            fs::rename(a.join("d"), dir.path().join("aside")).unwrap();
            std::os::unix::fs::symlink("/", a.join("d")).unwrap();
        };
        let (_, said, heard, code) = Push::new(letters).run_of(&[&a, &b], swap, &destination);
        let errors = String::from_utf8(said.errors).unwrap();
        assert_eq!(code, Some(23), "{errors} {heard}");
        assert!(errors.contains("a/d"), "{errors}");
        assert_eq!(fs::read(destination.join("d/of-b")).unwrap(), b"of-b", "{letters}: {errors} {heard}");
        assert_eq!(fs::read_dir(destination.join("d")).unwrap().count(), 1, "{letters}");
    }
}
