//! `forebay sync` beside stock rsync, a pipe of two tars and `cp`: 20,000 small files copied for
//! the first time and then with nothing to do, by time and by content; one file of 1 GiB, whole, and
//! built from an old one of which a hundredth is other; one of 10 GiB that is mostly a hole. In memory
//! (`/dev/shm`) and on disk (this workspace's `target/`).
//!
//! Every copy goes to a directory of a new name. On disk they are removed at the end only: ext4 is
//! five times slower in a tree that was just removed, for every tool. In memory they are removed
//! at once, or later rounds would pay for pages that the kernel has never handed out before; so are
//! the files of 1 GiB, for lack of room.

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use forebay_benches::files::{self, MEMORY, Room, command_line, quietly, same};
use forebay_benches::harness::{Cost, alternate, heading, variant};
use forebay_benches::items;

const FILES: u64 = 20_000;
const FILES_PER_DIRECTORY: u64 = 100;
const LARGE: u64 = 1 << 30;
/// The file with holes: of every hundred MiB, one is data.
const SPARSE: u64 = 10 << 30;

fn main() -> Result<()> {
    let forebay = env::var("FOREBAY").context("FOREBAY names the program: use `cargo xtask bench sync_trees`")?;
    let disk = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    for (place, parent) in [("in memory", Path::new(MEMORY)), ("on disk", &disk)] {
        let room = Room::new(parent)?;
        trees(&forebay, place, room.path())?;
        large_file(&forebay, place, room.path())?;
        changed_file(&forebay, place, room.path())?;
        sparse_file(&forebay, place, room.path())?;
    }
    Ok(())
}

fn trees(forebay: &str, place: &str, room: &Path) -> Result<()> {
    let on_disk = !room.starts_with(MEMORY);
    let source = room.join("source");
    let bytes = make_tree(&source)?;
    let from = format!("{}/", source.display());
    let to = |tool: &str, round: usize| room.join(format!("{tool}-{round}"));

    let copy = |tool: &str, round: usize, command: &mut Command| -> Result<Cost> {
        let cost = quietly(command)?;
        if round == 0 {
            same(&source, &to(tool, round))?;
        } else if !on_disk {
            fs::remove_dir_all(to(tool, round))?;
        }
        Ok(cost)
    };
    let mirror = |program: &str, tool: &str, round: usize| {
        let mut command = command_line(program);
        command.arg("-a").arg(&from).arg(to(tool, round));
        command
    };
    heading(&format!("First copy of {FILES} files, {} MiB, {place}", bytes >> 20));
    let sync = format!("{forebay} sync");
    let first = alternate(vec![
        variant("rsync -a", |round| copy("rsync", round, &mut mirror("rsync", "rsync", round))),
        variant("forebay sync -a", |round| copy("forebay", round, &mut mirror(&sync, "forebay", round))),
        variant("tar pipe", |round| {
            let target = to("tar", round);
            fs::create_dir(&target)?;
            let mut command = Command::new("sh");
            command.args(["-c", "tar -C \"$1\" -cf - . | tar -C \"$2\" -xf -", "sh"]).arg(&source).arg(&target);
            copy("tar", round, &mut command)
        }),
    ])?;
    println!("{}", first.table("rsync -a"));

    // What the first round has copied is up to date.
    heading(&format!("The same {FILES} files again, nothing to do, {place}"));
    let again = alternate(vec![
        variant("rsync -a", |_| quietly(&mut mirror("rsync", "rsync", 0))),
        variant("forebay sync -a", |_| quietly(&mut mirror(&sync, "forebay", 0))),
    ])?;
    println!("{}", again.table("rsync -a"));

    heading(&format!("The same {FILES} files again, compared by content, nothing to do, {place}"));
    let compared = alternate(vec![
        variant("rsync -ac", |_| quietly(mirror("rsync", "rsync", 0).arg("-c"))),
        variant("forebay sync -ac", |_| quietly(mirror(&sync, "forebay", 0).arg("-c"))),
    ])?;
    println!("{}", compared.table("rsync -ac"));
    Ok(())
}

/// A hundredth of the file has changed, 4 KiB at a time.
fn changed_file(forebay: &str, place: &str, room: &Path) -> Result<()> {
    let (old, new) = (room.join("large"), room.join("changed"));
    fs::copy(&old, &new)?;
    files::change(&new)?;
    let build = |program: &str, round: usize| {
        let target = room.join(format!("built-{round}"));
        fs::copy(&old, &target)?;
        let cost = quietly(command_line(program).args([&new, &target]))?;
        same(&new, &target)?;
        fs::remove_file(&target)?;
        Ok(cost)
    };
    heading(&format!("One file of {} MiB, a hundredth changed, built from the old one, {place}", LARGE >> 20));
    let rsync = "rsync -aI --no-whole-file";
    let results = alternate(vec![
        variant(rsync, |round| build(rsync, round)),
        variant("forebay sync -aI --no-whole-file", |round| {
            build(&format!("{forebay} sync -aI --no-whole-file"), round)
        }),
    ])?;
    println!("{}", results.table(rsync));
    Ok(())
}

/// A file that is a hole but for a hundredth, which is scattered.
fn sparse_file(forebay: &str, place: &str, room: &Path) -> Result<()> {
    let source = room.join("sparse");
    let file = File::create(&source)?;
    file.set_len(SPARSE)?;
    for seq in 0..SPARSE / (100 << 20) {
        file.write_all_at(&items::generate(seq, 1 << 20), seq * (100 << 20) + seq * 12_345)?;
    }
    drop(file);
    let copy = |program: &str, round: usize| {
        let target = room.join(format!("sparse-{round}"));
        let cost = quietly(command_line(program).args([&source, &target]))?;
        let kept = target.metadata()?.blocks() * 512;
        ensure!(kept <= SPARSE / 50, "{program} left {kept} bytes where a hundredth is data");
        fs::remove_file(&target)?;
        Ok(cost)
    };
    heading(&format!("One file of {} MiB, a hundredth of it data, {place}", SPARSE >> 20));
    let results = alternate(vec![
        variant("rsync -aS", |round| copy("rsync -aS", round)),
        variant("forebay sync -aS", |round| copy(&format!("{forebay} sync -aS"), round)),
    ])?;
    println!("{}", results.table("rsync -aS"));
    Ok(())
}

fn large_file(forebay: &str, place: &str, room: &Path) -> Result<()> {
    let source = room.join("large");
    files::make(&source, LARGE)?;
    let copy = |program: &str, round: usize| {
        let target = room.join(format!("large-{round}"));
        let cost = quietly(command_line(program).arg(&source).arg(&target))?;
        if round == 0 {
            same(&source, &target)?;
        }
        fs::remove_file(&target)?;
        Ok(cost)
    };
    heading(&format!("One file of {} MiB, whole, {place}", LARGE >> 20));
    let results = alternate(vec![
        variant("rsync -a", |round| copy("rsync -a", round)),
        variant("forebay sync -a", |round| copy(&format!("{forebay} sync -a"), round)),
        variant("cp --reflink=never", |round| copy("cp --reflink=never", round)),
    ])?;
    println!("{}", results.table("rsync -a"));
    Ok(())
}

/// Files of 1-7 KiB that do not compress, always the same ones. Gives the sum of their sizes.
fn make_tree(root: &Path) -> Result<u64> {
    let mut bytes = 0;
    for seq in 0..FILES {
        let directory = root.join(format!("{:03}", seq / FILES_PER_DIRECTORY));
        if seq % FILES_PER_DIRECTORY == 0 {
            fs::create_dir_all(&directory)?;
        }
        let len = 1024 + seq.wrapping_mul(2_654_435_761) % (6 * 1024 + 1);
        let mut contents = items::generate(seq, 8 * 1024);
        contents.truncate(len as usize);
        fs::write(directory.join(format!("{seq:05}.dat")), &contents)?;
        bytes += len;
    }
    Ok(bytes)
}
