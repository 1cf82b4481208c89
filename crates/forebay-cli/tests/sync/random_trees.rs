//! Random trees and options, copied into nothing and over what was there before random changes.
//!
//! An option takes part by a row of [`OPTIONS`].

use std::fs;

use crate::harness::{Bench, copy, rounds};
use crate::metadata::{clear_the_way, dress_some, keep_lasting, link_some, part_others, same};
use crate::tree::{Rng, change, fill};

/// What a round begins with: one of these.
const BASES: &[&str] = &["-ai", "-aiv", "-av", "-avv", "-aivv", "-rlti", "-rlpgoi", "-rlptDi", "-ri", "-a", "-rpti"];

/// What may be added: arguments, and in one of how many rounds they are. `{other}` stands for a tree that is like the
/// source in most things, beside the destination.
const OPTIONS: &[(&str, u64)] = &[
    // What is said.
    ("-q", 20),
    ("-ii", 12),
    ("--info=name0", 20),
    ("--info=name2", 20),
    ("--info=nonreg0", 20),
    ("--info=skip,del", 20),
    ("--info=backup,copy,remove", 20),
    ("--debug=none", 20),
    ("--out-format=%o|%i|%n%L|%l|%B|%M|%U|%G|%f", 15),
    ("--out-format=%10n|%-10l|%'l|%''l|%%|%z", 20),
    ("-8", 30),
    ("-h", 30),
    ("--no-v", 30),
    ("--stats", 20),
    // What takes part.
    ("-n", 6),
    ("-c", 8),
    ("-u", 8),
    ("-I", 20),
    ("--size-only", 20),
    ("-@1", 30),
    ("-@-1", 30),
    ("--existing", 20),
    ("--ignore-existing", 20),
    ("-m", 15),
    ("--max-size=2K", 20),
    ("--min-size=1K", 20),
    ("--no-r", 30),
    ("-d --no-r", 30),
    ("-R", 25),
    ("-x", 30),
    ("--exclude=a*", 15),
    ("--exclude=*.o --exclude=/b", 20),
    ("--include=*/ --exclude=*.c", 25),
    ("--filter=P_foo*", 20),
    ("--filter=-p_d", 25),
    ("--filter=H_b", 25),
    ("-C", 30),
    // What is deleted.
    ("--delete", 6),
    ("--delete-before", 20),
    ("--delete-delay", 20),
    ("--delete-after", 20),
    ("--delete --delete-excluded", 20),
    ("--delete --max-delete=2", 25),
    ("--force", 20),
    ("--ignore-errors", 30),
    ("--remove-source-files", 20),
    // What entries are.
    ("--no-p", 12),
    ("--no-o", 20),
    ("--no-g", 20),
    ("--no-t", 12),
    ("--no-D", 20),
    ("--no-l", 20),
    ("-H", 12),
    ("-A", 15),
    ("-p -X", 15),
    ("-L", 20),
    ("-k", 20),
    ("-K", 20),
    ("--copy-unsafe-links", 25),
    ("--safe-links", 25),
    ("--munge-links", 30),
    ("-O", 20),
    ("-J", 20),
    ("-E", 20),
    ("--chmod=D755,F640", 20),
    ("--chmod=Du+s,Fo=", 25),
    ("--chown=1:2", 30),
    ("--usermap=0:33,1-2:1", 30),
    ("--groupmap=*:5", 30),
    ("--numeric-ids", 30),
    ("--super", 30),
    ("--no-super", 30),
    ("-M--fake-super", 15),
    // How content is written.
    ("--no-W", 15),
    ("--inplace", 15),
    ("-S", 20),
    ("--append", 30),
    ("--append-verify", 30),
    ("--preallocate", 30),
    ("--fsync", 40),
    ("--partial-dir=.part", 25),
    ("--delay-updates", 25),
    ("-p -y", 25),
    ("-b", 15),
    ("-b --suffix=.old", 30),
    ("--backup-dir=../bak", 25),
    ("--compare-dest=../{other}", 25),
    ("--copy-dest=../{other}", 25),
    ("--link-dest=../{other}", 25),
    ("--no-i-r", 20),
];

/// What does not go together: for each of the first, none of the second.
const APART: &[(&[&str], &[&str])] = &[
    // Stock rsync 3.5.0 leaves out files that something like them could be appended to.
    (
        &["-p -y", "--compare-dest=../{other}", "--copy-dest=../{other}", "--link-dest=../{other}"],
        &["--append", "--append-verify"],
    ),
    // It loses zeros that are appended with holes, or fails there.
    (&["-S"], &["--append", "--append-verify"]),
    // It does not find the way to the backup.
    (&["--inplace", "--append", "--append-verify"], &["--backup-dir=../bak"]),
    // Who is no super-user lets owners write what is deleted or in the way, and leaves backups and what stays like that.
    (
        &[
            "-b",
            "-b --suffix=.old",
            "--backup-dir=../bak",
            "--delete",
            "--delete-before",
            "--delete-delay",
            "--delete-after",
            "--delete --delete-excluded",
            "--delete --max-delete=2",
            "--force",
        ],
        &["--no-super"],
    ),
    // It complains in a dry run of links that will not be there.
    (&["-n"], &["-p -X"]),
    // It counts differently what was found, and writes what it knows of its memory.
    (&["-avv", "-aivv"], &["--no-W", "--stats", "--append-verify"]),
    // It reads long attributes again of what it has removed already, and gives directories of backups none.
    (&["-p -X"], &["--remove-source-files", "--backup-dir=../bak"]),
    // It waits for ever for the leader of names that another tree has, or says some of them twice.
    (&["--compare-dest=../{other}", "--copy-dest=../{other}"], &["-H"]),
    // It gives its receiving side both `--append` and `--whole-file`, which that refuses.
    (&["-M--fake-super"], &["--append", "--append-verify"]),
    // It keeps arbitrary owners where such are not preserved, other masks of ACLs, and set-ID bits as it likes.
    (
        &[
            "-rlti",
            "-rlptDi",
            "-ri",
            "-rpti",
            "--no-o",
            "--no-g",
            "--no-p",
            "-A",
            "--chmod=Du+s,Fo=",
            "--super",
            "--no-super",
            "--backup-dir=../bak",
        ],
        &["-M--fake-super"],
    ),
    // It looks for other trees even where nothing is transferred.
    (&["--no-r"], &["--compare-dest=../{other}", "--copy-dest=../{other}", "--link-dest=../{other}"]),
    // What has been deleted when a link that leads nowhere is found depends on how far either has come.
    (
        &["-L", "--copy-unsafe-links"],
        &["--delete", "--delete-delay", "--delete --delete-excluded", "--delete --max-delete=2"],
    ),
];

fn round(seed: u64) {
    let mut rng = Rng::new(seed);
    let bench = Bench::new();
    let mut args = vec![rng.pick(BASES).to_owned()];
    let mut chosen: Vec<&str> = OPTIONS.iter().filter(|(_, odds)| rng.one_in(*odds)).map(|(args, _)| *args).collect();
    for (some, others) in APART {
        if some.iter().any(|row| args[0] == *row || chosen.contains(row)) {
            chosen.retain(|row| !others.contains(row));
        }
    }
    args.extend(chosen.iter().flat_map(|row| row.split(' ')).map(|arg| arg.replace("{other}", "other")));
    let has = |option: &str| chosen.contains(&option);
    // The default ACL of a directory tells in which of its places a file with several names was made first.
    let dressed = has("-A") || (has("-p -X") && !has("-H"));
    let mut dst_there = !rng.one_in(8);
    bench.both(|place| {
        let (src, dst, other) = (place.join("src"), place.join("dst"), place.join("other"));
        fs::create_dir(&src).unwrap();
        fill(&mut rng, &src, 4);
        if has("-H") {
            link_some(&mut rng, &src);
        }
        let others = chosen.iter().any(|row| row.contains("{other}"));
        // With nothing to copy and nowhere to copy it to, it looks for other trees in another place.
        dst_there |= others && fs::read_dir(&src).unwrap().next().is_none();
        let mut variants = Vec::from_iter(dst_there.then_some(&dst));
        variants.extend(others.then_some(&other));
        for variant in variants {
            copy(&src, variant);
            change(&mut rng, variant, 3);
            if dressed {
                dress_some(&mut rng, variant);
            }
            // What is neither a file nor a directory is a file there.
            if has("-M--fake-super") {
                let others = ["!", "-type", "f", "!", "-type", "d", "-delete"];
                let find = std::process::Command::new("find").arg(variant).args(others).status();
                assert!(find.unwrap().success());
            }
        }
        change(&mut rng, &src, 3);
        if dressed {
            dress_some(&mut rng, &src);
        }
        // A directory that hands its group on tells the same where groups are not preserved.
        if has("-H") && (has("--no-g") || !args[0].contains(['a', 'g'])) {
            let bits = ["-type", "d", "-perm", "-2000", "-exec", "chmod", "g-s", "{}", "+"];
            assert!(std::process::Command::new("find").arg(place).args(bits).status().unwrap().success());
        }
        // Who writes last into a file that several are to be written into depends on how far either has come.
        if has("-H") && ["--inplace", "--append", "--append-verify"].into_iter().any(has) && dst_there {
            part_others(&src, &dst);
        }
        // It loses its place in the list, or waits for ever, where names of a FIFO are not to be made.
        if has("-H") && has("--existing") {
            let find = std::process::Command::new("find").arg(place).args(["-type", "p", "-delete"]).status();
            assert!(find.unwrap().success());
        }
        // It builds files from what it replaces meanwhile, and then once more.
        if has("-p -y") && has("--no-W") && dst_there {
            keep_lasting(&src, &dst);
        }
        // Of a directory that something stands in the way of, it changes that.
        if (has("-H") || has("--ignore-existing")) && dst_there {
            clear_the_way(&src, &dst);
        }
    });
    args.extend(["src/".to_owned(), "dst".to_owned()]);
    eprintln!("seed {seed}: {args:?}");
    same(&bench, &args);
    // Once more: mostly nothing is left to do. What the source has lost has changed its times to those of the test.
    if !has("--remove-source-files") {
        same(&bench, &args);
    }
}

#[test]
fn any_tree_with_any_options_ends_as_with_rsync() {
    rounds(60, round);
}

#[test]
#[ignore = "takes many minutes: cargo xtask soak"]
fn soak_any_tree_with_any_options_ends_as_with_rsync() {
    (1_000..4_000).for_each(round);
}
