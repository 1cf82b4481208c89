//! Trees that come whole, with everything that a script can check without a peer of its own.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::sender::{answer_all, list, receive, terms};
use crate::options::Options;
use crate::wire::terms::{Compress, Compressor};

fn options() -> Options {
    Options {
        recursive: true,
        links: true,
        perms: true,
        times: true,
        itemize: true,
        whole_file: false,
        ..Options::default()
    }
}

fn write(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

#[test]
fn a_tree_comes_with_what_is_there_reused() {
    for compress in [None, Some(Compressor::Zstd), Some(Compressor::Zlib), Some(Compressor::Lz4)] {
        let temp = tempfile::tempdir().unwrap();
        let (src, dst) = (temp.path().join("src"), temp.path().join("dst"));
        write(&src, "small", b"text");
        write(&src, "empty", b"");
        let large = bytes(1, 300_000);
        write(&src, "dir/large", &large);
        write(&src, "dir/deep/file", &bytes(2, 100));
        std::os::unix::fs::symlink("small", src.join("link")).unwrap();
        write(&dst, "dir/large", &[&large[..150_000], b"other", &large[150_000..]].concat());
        write(&dst, "dir/stays", b"");
        let terms = terms(compress.map(|kind| Compress { kind, level: 3 }));
        let arrivals = list(&src);
        let paths: Vec<_> = arrivals.iter().map(|arrival| arrival.path.clone()).collect();
        let (end, lines, sent) = receive(&options(), &terms, arrivals, &dst, |stream| {
            answer_all(stream, &src, &paths, &terms, false, |_| true)
        });
        let end = end.unwrap_or_else(|error| panic!("{error:?} {}", String::from_utf8_lossy(&lines.errors)));
        sent.unwrap();
        assert_eq!(std::fs::read(dst.join("dir/large")).unwrap(), large);
        assert_eq!(std::fs::read(dst.join("dir/deep/file")).unwrap(), bytes(2, 100));
        assert_eq!(std::fs::read_link(dst.join("link")).unwrap(), Path::new("small"));
        assert!(dst.join("dir/stays").exists());
        let same = |name: &str| {
            let [a, b] = [&src, &dst].map(|root| std::fs::metadata(root.join(name)).unwrap());
            (a.mtime(), a.mtime_nsec(), a.mode()) == (b.mtime(), b.mtime_nsec(), b.mode())
        };
        assert!(same("small") && same("dir/large") && same("dir") && same("dir/deep"));
        assert!(end.totals.matched_bytes > 290_000, "{compress:?}: {:?}", end.totals.matched_bytes);
        assert_eq!(end.totals.transferred, 4);
        // Whether what is here and there is of one second is chance.
        let text = String::from_utf8(lines.text)
            .unwrap()
            .replace(".d..t...... dir/\n", "")
            .replace(">f.st......", ">f.s.......");
        assert!(
            text.ends_with(
                ">f+++++++++ empty\ncL+++++++++ link -> small\n>f+++++++++ small\n\
             >f.s....... dir/large\ncd+++++++++ dir/deep/\n>f+++++++++ dir/deep/file\n"
            ),
            "{text}"
        );
    }
}

#[test]
fn what_comes_damaged_is_asked_for_again_and_then_given_up() {
    for times in [1, 2] {
        let temp = tempfile::tempdir().unwrap();
        let (src, dst) = (temp.path().join("src"), temp.path().join("dst"));
        write(&src, "a", b"aaaa");
        write(&src, "b", b"bbbb");
        write(&dst, "a", b"old");
        let terms = terms(None);
        let arrivals = list(&src);
        let paths: Vec<_> = arrivals.iter().map(|arrival| arrival.path.clone()).collect();
        let mut left = times;
        let (end, lines, sent) = receive(&options(), &terms, arrivals, &dst, |stream| {
            answer_all(stream, &src, &paths, &terms, false, |answer| {
                if let (1, Some((_, _, sum))) = (answer.index, &mut answer.content)
                    && left > 0
                {
                    left -= 1;
                    sum[0] ^= 1;
                }
                true
            })
        });
        sent.unwrap();
        let errors = String::from_utf8(lines.errors).unwrap();
        assert!(errors.contains("WARNING: a failed verification -- update discarded (will try again)."), "{errors}");
        let there = std::fs::read(dst.join("a")).unwrap();
        assert_eq!(std::fs::read(dst.join("b")).unwrap(), b"bbbb");
        if times == 1 {
            assert_eq!((&there[..], end.unwrap().totals.failed), (&b"aaaa"[..], 0));
        } else {
            assert_eq!((&there[..], end.unwrap().totals.failed), (&b"old"[..], 1));
            assert!(errors.contains("ERROR: a failed verification -- update discarded."), "{errors}");
        }
        assert_eq!(std::fs::read_dir(&dst).unwrap().count(), 2, "nothing half written stays");
    }
}

#[test]
fn names_of_one_file_come_once() {
    let temp = tempfile::tempdir().unwrap();
    let (src, dst) = (temp.path().join("src"), temp.path().join("dst"));
    write(&src, "a", b"content");
    for name in ["b", "d/c"] {
        std::fs::create_dir_all(src.join("d")).unwrap();
        std::fs::hard_link(src.join("a"), src.join(name)).unwrap();
    }
    let terms = terms(None);
    let arrivals = list(&src);
    let paths: Vec<_> = arrivals.iter().map(|arrival| arrival.path.clone()).collect();
    let options = Options { hard_links: true, ..options() };
    let (end, lines, sent) =
        receive(&options, &terms, arrivals, &dst, |stream| answer_all(stream, &src, &paths, &terms, false, |_| true));
    sent.unwrap();
    assert_eq!(end.unwrap().totals.transferred, 1);
    let inode = |name: &str| std::fs::metadata(dst.join(name)).unwrap().ino();
    assert!(inode("a") == inode("b") && inode("b") == inode("d/c"));
    let text = String::from_utf8(lines.text).unwrap();
    assert!(text.ends_with(">f+++++++++ d/c\nhf+++++++++ b => d/c\nhf+++++++++ a => d/c\n"), "{text}");
}

#[test]
fn a_dry_run_only_says() {
    let temp = tempfile::tempdir().unwrap();
    let (src, dst) = (temp.path().join("src"), temp.path().join("dst"));
    write(&src, "d/a", b"content");
    std::fs::create_dir(&dst).unwrap();
    let terms = terms(None);
    let arrivals = list(&src);
    let paths: Vec<_> = arrivals.iter().map(|arrival| arrival.path.clone()).collect();
    let options = Options { dry_run: true, ..options() };
    let (end, lines, sent) =
        receive(&options, &terms, arrivals, &dst, |stream| answer_all(stream, &src, &paths, &terms, true, |_| true));
    sent.unwrap();
    assert_eq!(end.unwrap().totals.transferred, 1);
    assert_eq!(std::fs::read_dir(&dst).unwrap().count(), 0);
    let text = String::from_utf8(lines.text).unwrap();
    assert!(text.ends_with("cd+++++++++ d/\n>f+++++++++ d/a\n"), "{text}");
}
