//! `forebay inspect`: what array is there, and whether it is whole.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use forebay_zarr::inspect;
use forebay_zarr::store::Files;

/// Prints what is known of the array in `path`. The exit code says whether all that is stored of it can be read.
pub(crate) fn main(path: &Path) -> ExitCode {
    match inspect(&Files::read_only(path)) {
        Ok(found) => {
            // A reader that has seen enough is no failure.
            let _ = write!(io::stdout(), "{found}");
            ExitCode::from(u8::from(found.shards_damaged > 0))
        }
        Err(error) => {
            eprintln!("forebay: inspect {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}
