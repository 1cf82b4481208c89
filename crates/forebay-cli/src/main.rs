//! The `forebay` program: it finds out which tool is meant and hands over.
//!
//! `forebay sync` has rsync's grammar (bundled short options, `--no-OPTION`, filters whose order
//! counts), so its arguments never pass through clap: they reach [`sync::main`] as they are. The
//! same holds for everything when the program is called under the name `rsync`.
#![forbid(unsafe_code)]

mod aggregate;
mod delta;
mod inspect;
mod limits;
mod progress;
mod record;
mod signals;
mod size;
mod spill;
mod sync;
mod usage;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, CommandFactory, FromArgMatches, Parser, ValueHint};
use clap_complete::Shell;

/// Blocks that wait inside a budget are resident once, and not once for each thread that has had them.
#[global_allocator]
static BLOCKS: forebay::Blocks = forebay::Blocks;

/// Moves data in parallel, delivers it in order, and stays inside a memory budget.
#[derive(Parser)]
#[command(name = "forebay", version)]
enum Cli {
    Aggregate(Box<aggregate::Options>),
    Record(Box<record::Options>),
    /// Print what array is in a directory, what of it is stored, and what is missing
    ///
    /// Only metadata and the indexes of shards are read. It can be done while the array is written.
    ///
    /// Exit codes: 0 if every shard that is there can be read, 1 if one is damaged, or there is no array.
    Inspect {
        /// The directory of the array
        #[arg(value_name = "OUT.zarr", value_hint = ValueHint::DirPath)]
        path: PathBuf,
    },
    Signature(delta::SignatureOptions),
    Delta(delta::DeltaOptions),
    Patch(delta::PatchOptions),
    /// Print completions for a shell
    Completions {
        shell: Shell,
    },
    /// Print the man page
    Man {
        /// Write forebay.1 and a page for each subcommand to this directory instead
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let mut args: Vec<OsString> = env::args_os().collect();
    let called_as = args.first().and_then(|name| Path::new(name).file_name());
    if called_as.is_some_and(|name| name == "rsync") {
        return sync::main(args.drain(1..));
    }
    if args.get(1).is_some_and(|command| command == "sync") {
        return sync::main(args.drain(2..));
    }
    let done = match Cli::from_arg_matches(&command().get_matches_from(args)) {
        Ok(Cli::Aggregate(options)) => return aggregate::main(&options),
        Ok(Cli::Record(options)) => return record::main(&options),
        Ok(Cli::Inspect { path }) => return inspect::main(&path),
        Ok(Cli::Signature(options)) => return delta::signature(&options),
        Ok(Cli::Delta(options)) => return delta::delta(&options),
        Ok(Cli::Patch(options)) => return delta::patch(&options),
        Ok(Cli::Completions { shell }) => print(|out| {
            clap_complete::generate(shell, &mut command(), "forebay", out);
            Ok(())
        }),
        Ok(Cli::Man { out: None }) => print(|out| clap_mangen::Man::new(command()).render(out)),
        Ok(Cli::Man { out: Some(dir) }) => fs::create_dir_all(&dir)
            .and_then(|()| clap_mangen::generate_to(command(), &dir))
            .map_err(|error| format!("write man pages to {}: {error}", dir.display())),
        Err(error) => error.exit(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("forebay: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The whole command line, for help, completions and man pages: clap's part, and `sync`.
fn command() -> clap::Command {
    let args = Arg::new("args")
        .value_name("ARG")
        .num_args(0..)
        .trailing_var_arg(true)
        .allow_hyphen_values(true)
        .value_hint(ValueHint::AnyPath)
        .help("Options, sources and a destination, as rsync takes them; `forebay sync --help` lists them");
    let sync = clap::Command::new("sync")
        .about("Copy and mirror trees of files, with rsync's options")
        .disable_help_flag(true)
        .arg(args);
    Cli::command().subcommand(sync)
}

/// Generates a text and writes it to standard output.
fn print(generate: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Result<(), String> {
    let mut text = Vec::new();
    generate(&mut text)
        .and_then(|()| io::stdout().lock().write_all(&text))
        .map_err(|error| format!("write to standard output: {error}"))
}
