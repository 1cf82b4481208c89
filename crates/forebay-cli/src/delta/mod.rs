//! `forebay signature`, `delta` and `patch`: librsync's files, as rdiff makes and takes them.

mod args;
mod cleanup;
mod files;
mod stats;

use std::io::{self, Seek, Write};
use std::process::ExitCode;

use forebay_delta::librsync::Next;
use forebay_delta::{Error, Options, Role, librsync, search, sign};

pub(crate) use args::{DeltaOptions, PatchOptions, SignatureOptions};

use crate::usage::Usage;
use cleanup::Cleanup;
use files::{Source, Target};

/// Runs `forebay signature`.
pub(crate) fn signature(options: &SignatureOptions) -> ExitCode {
    finish(options.common.stats, || {
        let usage = Usage::begin();
        let cleanup = watch()?;
        let mut basis = Source::open(options.basis.as_deref())?;
        let (weak, strong) = (options.rollsum.into(), options.hash.into());
        let block_len = Some(options.block_size).filter(|len| *len > 0);
        let format = librsync::format(weak, strong, basis.len, block_len, options.sum_size)
            .map_err(|error| error.to_string())?;
        let target = Target::open(options.signature.as_deref(), options.common.force, &cleanup)?;
        let (from, to) = (basis.name.clone(), target.name.clone());
        let names = |error| explain(&error, |role| if role == Role::Basis { &from } else { &to }, &to);
        let mut writer = librsync::SignatureWriter::new(&target.file, &format).map_err(names)?;
        let (mut blocks, mut bytes) = (0, 0);
        let workers = sign(basis.input(), &format, &options.common.settings(), |sums| {
            blocks += sums.iter().count() as u64;
            bytes += sums.bytes();
            writer.write(&sums)
        });
        let workers = workers.map_err(names)?;
        target.publish()?;
        Ok(vec![stats::signature(blocks, &format), stats::cost(bytes, workers, &usage)])
    })
}

/// Runs `forebay delta`.
pub(crate) fn delta(options: &DeltaOptions) -> ExitCode {
    finish(options.common.stats, || {
        let usage = Usage::begin();
        let cleanup = watch()?;
        let settings = options.common.settings();
        let signature = Source::open(Some(&options.signature))?;
        if files::is_standard(Some(&options.signature)) && files::is_standard(options.new.as_deref()) {
            return Err("signature and new file cannot both be standard input".to_owned());
        }
        let mut new = Source::open(options.new.as_deref())?;
        let target = Target::open(options.delta.as_deref(), options.common.force, &cleanup)?;
        let (about, from, to) = (signature.name.clone(), new.name.clone(), target.name.clone());
        let names = |error| explain(&error, |role| if role == Role::Signature { &about } else { &from }, &to);
        let signature = librsync::read_signature(&signature.file, &settings).map_err(names)?;
        let mut writer = librsync::DeltaWriter::new(&target.file);
        let found = search(&signature, new.input(), Options::default(), &settings, |token| writer.write(token));
        let found = found.map_err(names)?;
        let counts = writer.counts();
        writer.finish().map_err(names)?;
        target.publish()?;
        Ok(vec![
            stats::signature(signature.blocks(), signature.format()),
            stats::counts(&counts),
            stats::search(&found),
            stats::cost(found.matched + found.literal, found.workers, &usage),
        ])
    })
}

/// Runs `forebay patch`.
pub(crate) fn patch(options: &PatchOptions) -> ExitCode {
    finish(options.common.stats, || {
        let usage = Usage::begin();
        let cleanup = watch()?;
        let basis = Source::open(Some(&options.basis))?;
        let delta = Source::open(options.delta.as_deref())?;
        let target = Target::open(options.new.as_deref(), options.common.force, &cleanup)?;
        let (from, by, to) = (basis.name.clone(), delta.name.clone(), target.name.clone());
        let names = |error| explain(&error, |role| if role == Role::Delta { &by } else { &from }, &to);
        let kept = target.begin_as(&basis.file)?;
        let mut out = &target.file;
        let done = librsync::patch(&basis.file, &delta.file, kept, &options.common.settings(), |next| {
            let done = match next {
                Next::Bytes(bytes) => out.write_all(bytes),
                Next::Kept(bytes) => out.seek_relative(bytes.cast_signed()),
            };
            done.map_err(Error::Write)
        });
        let done = done.map_err(names)?;
        let bytes = done.counts.literal_bytes + done.counts.copied_bytes;
        if kept > bytes {
            target.file.set_len(bytes).map_err(|error| format!("write {}: {error}", target.name))?;
        }
        target.publish()?;
        let mut lines = vec![stats::counts(&done.counts), stats::cost(bytes, done.workers, &usage)];
        if kept > 0 {
            lines.insert(1, stats::kept(done.kept));
        }
        Ok(lines)
    })
}

fn watch() -> Result<Cleanup, String> {
    Cleanup::watch().map_err(|error| format!("cannot watch for signals: {error}"))
}

/// Says what failed, or what was done if that was asked for.
fn finish(stats: bool, run: impl FnOnce() -> Result<Vec<String>, String>) -> ExitCode {
    match run() {
        Ok(lines) => {
            lines.iter().filter(|_| stats).for_each(|line| complain(line));
            ExitCode::SUCCESS
        }
        Err(text) => {
            complain(&text);
            ExitCode::FAILURE
        }
    }
}

/// The error in words with the names of the files.
fn explain<'a>(error: &Error, name: impl Fn(Role) -> &'a String, to: &str) -> String {
    match error {
        Error::Read { file, offset, source } => format!("read {} at {offset}: {source}", name(*file)),
        Error::Short { file: file @ Role::Basis, offset } => {
            format!("read {}: it ends at {offset}, before it should: it may be another file", name(*file))
        }
        Error::Short { file, offset } => format!("read {}: it ends at {offset}, before it should", name(*file)),
        Error::Malformed { file, offset, problem } => format!("read {} at {offset}: {problem}", name(*file)),
        Error::Write(error) => format!("write {to}: {error}"),
        Error::Memory(error) => format!("the block sums do not fit: {error}; a larger --memory would help"),
        error => error.to_string(),
    }
}

/// Writes a line to standard error. There is nowhere left to complain about a failure of that.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "forebay: {text}");
}
