//! The command line of `forebay record`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use forebay_zarr::{Codec, DataType};

use crate::size;

/// Record frames into a sharded, compressed Zarr v3 array while they arrive
#[derive(Args, Debug)]
#[command(after_help = "See `forebay record --help` for examples and exit codes.", after_long_help = AFTER)]
pub(crate) struct Options {
    /// The directory of the array
    #[arg(value_name = "OUT.zarr", value_hint = ValueHint::DirPath)]
    pub(crate) out: PathBuf,

    /// Shape of the data, `t` first: the dimension in which frames are appended
    #[arg(long, value_name = "t,Y,X", value_parser = shape, help_heading = "Data")]
    pub(crate) shape: Option<Shape>,
    /// Type of the elements: uint8 to uint64, int8 to int64, float16 to float64, bool
    #[arg(long, value_name = "TYPE", help_heading = "Data")]
    pub(crate) dtype: Option<DataType>,
    /// Files to read, in natural order (frame_2 before frame_10); quote a pattern. May be repeated
    ///
    /// `.tif`, `.tiff`, `.btf` and `.tf8` are TIFF stacks: classic or BigTIFF, ImageJ's too, in either byte order,
    /// uncompressed or with deflate, LZW or PackBits. `.npy` is NumPy's format. Everything else is raw little-endian
    /// elements, as standard input is, which is read without this option. Shape and type may be left out for TIFF and
    /// .npy: a page is a frame then, and so is a .npy file of two dimensions; of a larger one the first is `t`.
    #[arg(long, value_name = "PATTERN", value_hint = ValueHint::FilePath, help_heading = "Data")]
    pub(crate) from: Vec<PathBuf>,

    /// Shape of a chunk, such as 32,256,256. Suggested if left out
    #[arg(long, value_name = "T,Y,X", value_parser = extents, help_heading = "Array")]
    pub(crate) chunk: Option<Shape>,
    /// Shape of a shard, a multiple of the chunk's in each dimension. Suggested if left out
    #[arg(long, value_name = "T,Y,X", value_parser = extents, help_heading = "Array")]
    pub(crate) shard: Option<Shape>,
    /// About how large a suggested chunk is, in MiB [default: 4]
    #[arg(long, value_name = "N", value_parser = mib, help_heading = "Array")]
    pub(crate) chunk_mib: Option<f64>,
    /// About how large a suggested shard is before compression, in MiB [default: 512]
    #[arg(long, value_name = "N", value_parser = mib, help_heading = "Array")]
    pub(crate) shard_mib: Option<f64>,
    /// none, zstd:LEVEL, gzip:LEVEL, or blosc-zstd, -lz4, -lz4hc or -zlib with :LEVEL [default: blosc-zstd:1]
    ///
    /// Blosc shuffles bytes unless `:noshuffle` or `:bitshuffle` follows.
    #[arg(long, value_name = "CODEC", help_heading = "Array")]
    pub(crate) codec: Option<Codec>,
    /// Give every chunk a CRC-32C
    #[arg(long, help_heading = "Array")]
    pub(crate) checksum: bool,
    /// Value of what was never written; chunks of nothing else are left out [default: 0]
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true, help_heading = "Array")]
    pub(crate) fill: Option<String>,
    /// Names of the dimensions, such as t,y,x
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = "Array")]
    pub(crate) dims: Vec<String>,
    /// Which dimension of the data each one of the array is, such as 0,2,1,3; the first and the last stay
    #[arg(long, value_name = "ORDER", value_delimiter = ',', help_heading = "Array")]
    pub(crate) storage_order: Vec<usize>,
    /// Attributes of the array, an object in a JSON file; with --resume, in place of those it has
    #[arg(long, value_name = "FILE.json", value_hint = ValueHint::FilePath, help_heading = "Array")]
    pub(crate) attrs: Option<PathBuf>,
    /// Append to the array that is there; shape, type and so on may be left out, or must be its own
    #[arg(long, conflicts_with = "overwrite", help_heading = "Array")]
    pub(crate) resume: bool,
    /// Remove the array that is there
    #[arg(long, help_heading = "Array")]
    pub(crate) overwrite: bool,

    /// Threads that compress [default: one per core]
    #[arg(long, value_name = "N", help_heading = "Resources")]
    pub(crate) workers: Option<NonZeroUsize>,
    /// The most memory to use; less than the array needs is refused [default: what it needs]
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = "Resources")]
    pub(crate) memory: Option<u64>,
    /// Where compressed chunks wait while OUT is slow. Without it, the input waits
    ///
    /// With it, frames are taken as they come. When the directory is full, or holds as much as --spill-limit says, the
    /// recording ends: an instrument cannot wait.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Resources")]
    pub(crate) spill_dir: Option<PathBuf>,
    /// The most that waits there [default: a quarter of the free space]
    #[arg(long, value_name = "SIZE", value_parser = size, requires = "spill_dir", help_heading = "Resources")]
    pub(crate) spill_limit: Option<u64>,
    /// Write past the page cache (O_DIRECT), where the file system can [default: where that spares a copy]
    ///
    /// It does for chunks that are stored as they are and consist of whole pages of 4 KiB.
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "always",
        help_heading = "Resources"
    )]
    pub(crate) unbuffered: Option<Unbuffered>,

    /// Print what was done at the end, on standard output
    #[arg(long, help_heading = "Output")]
    pub(crate) stats: bool,
    /// Print errors and warnings only
    #[arg(long, short, help_heading = "Output")]
    pub(crate) quiet: bool,
}

const AFTER: &str = "\
Examples:
  camera | forebay record --shape t,2048,2048 --dtype uint16 out.zarr
  camera | forebay record --shape t,2048,2048 --dtype uint16 --chunk 32,256,256 --shard 64,2048,2048 out.zarr
  forebay record --from 'frames/*.tif' --codec blosc-lz4:5:bitshuffle --stats out.zarr
  forebay record --from day2.npy --resume out.zarr

Readers see an array that is whole at any moment; it grows by a row of shards at a time. After a crash, --resume goes
on behind the last frame that they see, and says which one comes next.

The input may end, or a signal may come, at any moment: the frames that are whole are kept. A second signal ends the
program at once, as a crash would.

Exit codes:
  0    everything was recorded
  1    the input, the array or the storage is not as it should be; the last line says how many frames are safe
  2    the command line makes no sense
  129, 130, 143
       SIGHUP, SIGINT or SIGTERM came; every frame that was read as a whole is safe
";

/// When to write past the page cache, unless it is where that spares a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Unbuffered {
    /// Wherever the file system can
    Always,
    /// Nowhere
    Never,
}

/// Extents, separated by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape(pub(crate) Vec<u64>);

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text: Vec<String> = self.0.iter().map(u64::to_string).collect();
        f.write_str(&text.join(","))
    }
}

/// What follows `t,`; nothing for `t` alone.
fn shape(text: &str) -> Result<Shape, String> {
    match text.split_once(',') {
        Some(("t", frame)) => extents(frame),
        None if text == "t" => Ok(Shape(Vec::new())),
        _ => Err("the first dimension must be `t`, the one that frames are appended in, as in t,2048,2048".into()),
    }
}

fn extents(text: &str) -> Result<Shape, String> {
    let extent = |text: &str| match text.trim().parse() {
        Ok(0) | Err(_) => Err(format!("`{text}` is no number of elements")),
        Ok(extent) => Ok(extent),
    };
    text.split(',').map(extent).collect::<Result<_, _>>().map(Shape)
}

fn size(text: &str) -> Result<u64, String> {
    size::parse(text).ok_or_else(|| "a size is a number and a unit, such as 512M or 2G".into())
}

fn mib(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "it must be a number above 0".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_begin_with_the_append_dimension() {
        assert_eq!(shape("t,2048,1024"), Ok(Shape(vec![2048, 1024])));
        assert_eq!(shape("t"), Ok(Shape(vec![])));
        for text in ["", "2048,t", "2048", "t,", "t,0", "t,x", "t,-1", "t,2,,3", "tt,4"] {
            assert!(shape(text).is_err(), "{text}");
        }
    }
}
