//! What a client counts, logs and tells as JSON does not depend on which program is at the other end.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use crate::harness::{Bench, End, PAIRS, WAYS, Way, agreed, finish, noise};
use crate::tree::touch;

/// Something of each kind that is not content alone.
fn bench() -> Bench {
    let bench = Bench::new();
    fs::create_dir(bench.src().join("sub")).unwrap();
    fs::write(bench.src().join("a"), "a").unwrap();
    fs::write(bench.src().join("same"), "same").unwrap();
    fs::write(bench.old().join("same"), "same").unwrap();
    fs::create_dir(bench.old().join("gone")).unwrap();
    fs::write(bench.old().join("gone/file"), "").unwrap();
    symlink("a", bench.src().join("l")).unwrap();
    for path in [bench.src().join("sub"), bench.src(), bench.src().join("same"), bench.old().join("same")] {
        touch(&path, "@1000000000");
    }
    bench
}

#[test]
fn what_is_made_is_counted() {
    let bench = bench();
    for way in WAYS {
        for args in [
            &["-a", "--stats"][..],
            &["-a", "--stats", "--delete"],
            &["-an", "--stats"],
            &["-a", "--stats", "--delete", "--protocol=30"],
        ] {
            let counts = |pair| {
                bench.prepare("ours");
                let text = String::from_utf8(finish(bench.client(pair, way, args, "ours")).stdout).unwrap();
                let counts = text.lines().filter(|line| line.starts_with("Number of ")).map(str::to_owned);
                counts.collect::<Vec<_>>()
            };
            let expected = agreed(counts, &(way, args));
            assert!(expected.iter().any(|line| line == "Number of created files: 3 (reg: 1, dir: 1, link: 1)"));
        }
    }
}

#[test]
fn what_is_left_out_for_being_empty_is_counted() {
    let bench = bench();
    fs::create_dir_all(bench.src().join("none/at/all")).unwrap();
    for way in WAYS {
        for args in [&["-am", "--stats"][..], &["-am", "--stats", "--delete", "--exclude=l"], &["-amH", "--stats"]] {
            let counts = |pair| {
                bench.prepare("ours");
                let text = String::from_utf8(finish(bench.client(pair, way, args, "ours")).stdout).unwrap();
                let counts = text.lines().filter(|line| line.starts_with("Number of ")).map(str::to_owned);
                counts.collect::<Vec<_>>()
            };
            let expected = agreed(counts, &(way, args));
            assert!(expected.iter().any(|line| line.contains(" (reg: 2, dir: 5")), "{expected:?}");
        }
    }
}

/// What a server has in its log file, without the date, the time, the process, and what depends on either program.
fn logged(bench: &Bench, pair: (End, End), way: Way, args: &[&str]) -> Vec<String> {
    let log = bench.path("log");
    let option = format!("-M--log-file={}", log.display());
    bench.prepare("ours");
    let _ = fs::remove_file(&log);
    finish(bench.client(pair, way, &[args, &[&option]].concat(), "ours"));
    let text = fs::read_to_string(&log).unwrap_or_default();
    let texts = text.lines().filter_map(|line| line.splitn(4, ' ').nth(3));
    let texts = texts.filter(|text| !text.starts_with("sent "));
    let mut lines: Vec<_> = texts.map(|text| text.split(" at ").next().unwrap_or(text).to_owned()).collect();
    lines.sort();
    lines
}

#[test]
fn what_a_server_says_of_its_work_is_in_its_log() {
    let bench = bench();
    fs::write(bench.src().join("x\ny"), "").unwrap();
    for way in WAYS {
        for args in [&["-avv"][..], &["-a", "-M-vv"], &["-avvn", "--delete"]] {
            let expected = agreed(|pair| logged(&bench, pair, way, args), &(way, args));
            assert!(
                way == Way::Push || expected.iter().any(|line| line.starts_with("total: matches=0")),
                "{expected:?}"
            );
        }
    }
    let args = &["-a", "--temp-dir=/none"];
    let expected = agreed(|pair| logged(&bench, pair, Way::Push, args), &args);
    assert_eq!(expected.len(), 3, "{expected:?}");
}

#[test]
fn it_is_told_how_long_the_list_took_if_there_is_one() {
    let bench = bench();
    for way in WAYS {
        for (args, path) in [(&["-a", "--stats"][..], ""), (&["-a", "--stats", "--exclude=a"], "a")] {
            let told = |pair| {
                bench.prepare("ours");
                let output = finish(bench.client_of(pair, way, args, &[path], "ours"));
                let text = String::from_utf8(output.stdout).unwrap();
                text.lines().any(|line| line.starts_with("File list generation time: 0.0"))
            };
            let expected = agreed(told, &(way, args));
            assert_eq!(expected, path.is_empty() || way == Way::Push);
        }
    }
}

#[test]
fn what_is_changed_is_in_the_log_file() {
    let bench = bench();
    let log = bench.path("log");
    let option = format!("--log-file={}", log.display());
    for way in WAYS {
        for args in [&["-a"][..], &["-a", "--delete"], &["-av"], &["-a", "--log-file-format=%i %n %l"]] {
            let args = [args, &[&option]].concat();
            let lines = |pair| {
                bench.prepare("ours");
                let _ = fs::remove_file(&log);
                finish(bench.client(pair, way, &args, "ours"));
                let text = fs::read_to_string(&log).unwrap();
                // Behind the date, the time and the process.
                let texts = text.lines().filter_map(|line| line.splitn(4, ' ').nth(3));
                let around = ["building ", "receiving ", "sending ", "sent ", "total "];
                let told = texts.filter(|text| !around.iter().any(|start| text.starts_with(start)));
                let mut lines: Vec<_> = told.map(str::to_owned).collect();
                lines.sort();
                lines
            };
            agreed(lines, &(way, &args));
        }
    }
}

#[test]
fn what_is_changed_is_in_the_log_file_of_the_server() {
    let bench = bench();
    // Of which only times differ.
    for tree in [bench.src(), bench.old()] {
        symlink("to", tree.join("older")).unwrap();
        assert!(Command::new("mkfifo").arg(tree.join("fifo")).status().unwrap().success());
    }
    for old in ["older", "fifo"] {
        let mut touch = Command::new("touch");
        touch.args(["-h", "-d", "@1000000000"]).arg(bench.old().join(old));
        assert!(touch.status().unwrap().success());
    }
    let log = bench.path("log");
    let option = format!("-M--log-file={}", log.display());
    for way in WAYS {
        for args in [
            &["-a"][..],
            &["-a", "--delete"],
            &["-av", "--delete"],
            &["-aq"],
            &["-rtq"],
            &["-avv"],
            &["-an"],
            &["-a", "-M--log-file-format=%i_%n"],
            &["-a", "-M--log-file-format=%o_%f_%l"],
            &["-a", "-M--log-file-format=%n_%b_%c_%C"],
        ] {
            let args = [args, &[&option]].concat();
            let run = |pair| {
                bench.prepare("ours");
                let _ = fs::remove_file(&log);
                let said = finish(bench.client(pair, way, &args, "ours")).stdout;
                let text = fs::read_to_string(&log).unwrap_or_default();
                // Behind the date, the time and the process.
                let texts = text.lines().filter_map(|line| line.splitn(4, ' ').nth(3));
                // How many bytes that are is another matter.
                let words = texts.map(|text| match text.strip_prefix("sent ") {
                    Some(sums) => sums.split(' ').filter(|word| word.parse::<u64>().is_err() || *word == "5").collect(),
                    None => text.to_owned(),
                });
                let mut lines: Vec<String> = words.collect();
                lines.sort();
                let said = String::from_utf8(said).unwrap();
                (lines, said.lines().filter(|line| !line.starts_with("sent ")).count())
            };
            let expected = agreed(run, &(way, &args));
            assert!(expected.0.len() > 1, "{expected:?}");
        }
    }
}

#[test]
fn a_log_file_of_the_server_that_cannot_be_opened_is_none() {
    let bench = bench();
    for way in WAYS {
        let run = |pair| bench.run(pair, way, &["-a", "-M--log-file=/none/log"], "ours");
        let expected = agreed(run, &way);
        assert_eq!((expected.code, expected.errors.len()), (Some(0), 2), "{expected:?}");
    }
}

#[test]
fn what_a_line_says_of_the_other_side_is_as_with_rsync() {
    let bench = bench();
    fs::create_dir(bench.src().join("two")).unwrap();
    fs::write(bench.src().join("two/file"), "").unwrap();
    for way in WAYS {
        for sources in [&[""][..], &["./a"], &[".//sub/", "./a"], &["./"], &["sub/../a"], &["sub/", "two/"]] {
            bench.same_of(way, &["-a", "--out-format=%o %f %n"], sources);
        }
    }
}

/// A file that is there but for one byte.
fn add_large(bench: &Bench) {
    let content = noise(300_000);
    fs::write(bench.src().join("large"), &content).unwrap();
    let old = [&content[..150_000], &content[150_001..]].concat();
    fs::write(bench.old().join("large"), old).unwrap();
}

#[test]
fn what_has_passed_for_a_file_is_told() {
    let bench = bench();
    add_large(&bench);
    fs::write(bench.src().join("empty"), "").unwrap();
    fs::write(bench.src().join("sub/longer"), noise(5_000_000)).unwrap();
    for way in WAYS {
        for args in [
            &["-a", "--out-format=%n %b %c"][..],
            &["-a", "--no-inc-recursive", "--out-format=%i %n %'12b %-6c %C"],
            &["-ac", "--protocol=30", "--out-format=%n %b %c %C"],
            &["-a", "--protocol=31", "--append", "--out-format=%n %b %c %C"],
            // With more than one list, it is open which of them the second try comes behind.
            &["-av", "--append-verify", "--no-inc-recursive", "--out-format=%n %b %C"],
            &["-aW", "--out-format=%n %b %c"],
            &["-a", "--inplace", "--delete", "--out-format=%o %n %b %c"],
            &["-ain", "--out-format=%n %b %c"],
        ] {
            let did = bench.same(way, args);
            assert!(
                did.lines.iter().any(|line| line.starts_with("empty 3") || args.len() != 2 || args[0] == "-ain"),
                "{did:?}"
            );
        }
    }
}

#[test]
fn blocks_that_are_found_are_hits() {
    let bench = bench();
    add_large(&bench);
    for way in WAYS {
        let told = |pair| {
            bench.prepare("ours");
            let text = finish(bench.client(pair, way, &["-avv", "--no-whole-file"], "ours")).stdout;
            let text = String::from_utf8(text).unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix("total: matches=")).unwrap();
            let numbers = line.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse::<u64>().ok());
            numbers.collect::<Vec<_>>()
        };
        let expected = told((End::Stock, End::Stock));
        for pair in PAIRS {
            let ours = told(pair);
            // Stock rsync also counts what only ends up in the same place of its table.
            assert!(
                ours[0] > 0 && (ours[0]..=expected[1]).contains(&ours[1]),
                "{ours:?} {expected:?} {pair:?} {way:?}"
            );
            assert_eq!([ours[0], ours[2], ours[3]], [expected[0], expected[2], expected[3]], "{pair:?} {way:?}");
        }
    }
}

#[test]
fn the_bytes_of_the_list_are_counted_where_it_comes() {
    let bench = bench();
    for way in WAYS {
        for args in [&["-a", "--stats"][..], &["-a", "--stats", "--no-inc-recursive"]] {
            let told = |pair| {
                bench.prepare("ours");
                let text = String::from_utf8(finish(bench.client(pair, way, args, "ours")).stdout).unwrap();
                let size = text.lines().find_map(|line| line.strip_prefix("File list size: ")).unwrap();
                size.parse::<u64>().unwrap()
            };
            let expected = told((End::Stock, End::Stock));
            assert_eq!(expected == 0, way == Way::Push, "{expected}");
            for pair in PAIRS {
                // Stock rsync counts what frames the lists, too.
                let told = told(pair);
                assert!(
                    (expected * 3 / 4..=expected * 5 / 4).contains(&told),
                    "{told} {expected} {pair:?} {way:?} {args:?}"
                );
            }
        }
    }
}

#[test]
fn what_was_sent_and_received_is_counted_as_with_rsync() {
    let bench = Bench::new();
    fs::write(bench.src().join("a"), noise(1000)).unwrap();
    for way in WAYS {
        let told = |pair| {
            bench.prepare("ours");
            let text = String::from_utf8(finish(bench.client(pair, way, &["-ai", "--stats"], "ours")).stdout).unwrap();
            ["Total bytes sent: ", "Total bytes received: "].map(|start| {
                let count = text.lines().find_map(|line| line.strip_prefix(start)).unwrap();
                count.replace(',', "").parse::<u64>().unwrap()
            })
        };
        let expected = told((End::Stock, End::Stock));
        for pair in PAIRS {
            let told = told(pair);
            for (told, expected) in told.into_iter().zip(expected) {
                // How many frames there are is chance, and whether the last of them count.
                assert!(told.abs_diff(expected) < 55, "{told} {expected} {pair:?} {way:?}");
            }
        }
    }
}

#[test]
fn what_is_changed_has_objects() {
    let bench = bench();
    for way in WAYS {
        for server in [End::Stock, End::Ours] {
            for more in ["-a", "-av", "-avv", "-ai", "--info=progress2"] {
                bench.prepare("ours");
                let output = finish(bench.client((End::Ours, server), way, &["-a", "--json", more], "ours/new"));
                let text = String::from_utf8(output.stdout).unwrap();
                for path in ["a", "l", "sub"] {
                    let named = format!("\"path\":\"{path}\"");
                    assert!(text.lines().any(|line| line.contains(&named)), "{server:?} {way:?} {more} {path}: {text}");
                }
                // Also what the other side says.
                assert!(text.lines().all(|line| line.starts_with('{')), "{server:?} {way:?} {more}: {text}");
            }
        }
    }
}

/// What is there of a file that is appended to is not found in it, and is not compared again when it was wrong.
#[test]
fn what_is_appended_to_is_no_match() {
    let bench = Bench::new();
    let content = noise(300_000);
    fs::write(bench.src().join("large"), &content).unwrap();
    touch(&bench.src().join("large"), "@1000000000");
    for way in WAYS {
        fs::write(bench.old().join("large"), &content[..200_000]).unwrap();
        let counts = |pair| {
            bench.prepare("ours");
            let text =
                String::from_utf8(finish(bench.client(pair, way, &["-a", "--append", "--stats"], "ours")).stdout);
            let text = text.unwrap();
            let counts = text.lines().filter(|line| line.contains("data: "));
            counts.map(str::to_owned).collect::<Vec<_>>()
        };
        let expected = agreed(counts, &way);
        assert_eq!(expected, ["Literal data: 100,000 bytes", "Matched data: 0 bytes"]);
        let mut wrong = content[..200_000].to_vec();
        wrong[100_000] ^= 1;
        fs::write(bench.old().join("large"), wrong).unwrap();
        let did = bench.same(way, &["-aci", "--append-verify"]);
        let again = if way == Way::Push { "<f..t...... large" } else { ">f..t...... large" };
        assert!(did.lines.iter().any(|line| line == again), "{did:?}");
    }
}

/// Where modes are not kept, a line of the side that receives has the one that the file gets.
#[test]
fn the_mode_in_a_line_is_that_of_the_file() {
    let bench = Bench::new();
    for (name, mode) in [("old", 0o600), ("program", 0o711), ("new", 0o666)] {
        let path = bench.src().join(name);
        fs::write(&path, name).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        if name != "new" {
            fs::write(bench.old().join(name), "other").unwrap();
        }
    }
    for way in WAYS {
        for args in
            [&["-rt", "--out-format=%n %B"][..], &["-rtE", "--out-format=%n %B"], &["-rp", "--out-format=%n %B"]]
        {
            let did = bench.same(way, args);
            assert_eq!(did.lines.iter().filter(|line| line.contains("-")).count(), 3, "{did:?}");
        }
    }
}
