//! The array that frames go into, from the command line and from what the input says: created, or opened to go on.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use forebay::{Location, SpillStore};
use forebay_zarr::input::{Frame, Input, Known};
use forebay_zarr::store::Files;
use forebay_zarr::suggest::{CHUNK_MIB, SHARD_MIB, suggest};
use forebay_zarr::{ArraySpec, ArrayWriter, MemoryEstimate, WriteError, WriterOptions};
use serde_json::{Map, Value};

use super::args::{Options, Shape, Unbuffered};
use super::{Failure, complain, feed, fill, message, open_input};
use crate::spill;

/// What is known of an array that is ready.
#[derive(Debug)]
pub(crate) struct Array {
    pub(crate) estimate: MemoryEstimate,
    pub(crate) spill: Option<Location>,
    files: Arc<Files>,
    /// Chunk and shard shapes were not given.
    suggested: bool,
    resumed: bool,
}

/// Opens what the command line names.
///
/// # Errors
/// Whatever is wrong with it; nothing is left behind then.
pub(crate) fn open(options: &Options) -> Result<(Array, ArrayWriter, Input), Failure> {
    let attributes = options.attrs.as_deref().map(attributes).transpose()?;
    let workers = options.workers.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let mut writing = WriterOptions::new().workers(workers);
    if let Some(memory) = memory(options) {
        writing = writing.memory(memory);
    }
    let mut place = None;
    if let Some(dir) = &options.spill_dir {
        let store =
            spill::open(dir, options.spill_limit).map_err(|error| Failure::other(format!("--spill-dir: {error}")))?;
        let location = store.location();
        if location.in_memory {
            complain(&format!(
                "warning: {location} is memory (tmpfs): what is spilled there frees none; --spill-dir names another directory"
            ));
        }
        place = Some(location);
        writing = writing.spill(store);
    }
    if options.resume {
        resume(options, attributes, writing, place)
    } else {
        create(options, attributes.unwrap_or_default(), writing, place)
    }
}

/// What the array may use of `--memory`: the blocks of the input are ours.
fn memory(options: &Options) -> Option<usize> {
    options.memory.map(|memory| usize::try_from(memory).unwrap_or(usize::MAX).saturating_sub(feed::memory()))
}

fn create(
    options: &Options,
    attributes: Map<String, Value>,
    writing: WriterOptions,
    spill: Option<Location>,
) -> Result<(Array, ArrayWriter, Input), Failure> {
    let known = Known { dtype: options.dtype, shape: options.shape.as_ref().map(|shape| shape.0.clone()) };
    let input = open_input(options, &known)?;
    let (spec, suggested) = specify(options, input.frame(), attributes)?;
    let fail = |error: &WriteError| Failure::other(message::explain(error, &options.out));
    // An array that is there must not be removed for one that is refused.
    let estimate = writing.estimate(&spec).map_err(|error| fail(&error))?;
    let files = Files::create(&options.out, options.overwrite).map_err(|error| fail(&error.into()))?;
    let files = Arc::new(unbuffered(options, files));
    let writer = writing.create(Arc::clone(&files), spec).map_err(|error| fail(&error))?;
    Ok((Array { estimate, spill, files, suggested, resumed: false }, writer, input))
}

fn resume(
    options: &Options,
    attributes: Option<Map<String, Value>>,
    writing: WriterOptions,
    spill: Option<Location>,
) -> Result<(Array, ArrayWriter, Input), Failure> {
    let fail = |error: &WriteError| Failure::other(message::explain(error, &options.out));
    let files = Files::open(&options.out).map_err(|error| fail(&error.into()))?;
    let files = Arc::new(unbuffered(options, files));
    let mut writer = writing.open_append(Arc::clone(&files)).map_err(|error| fail(&error))?;
    let spec = writer.spec();
    agree(options, spec)?;
    let estimate = writer.estimate();
    let known = Known { dtype: Some(spec.dtype), shape: Some(spec.frame.clone()) };
    let input = open_input(options, &known)?;
    if let Some(attributes) = attributes {
        writer.set_attributes(attributes).map_err(|error| fail(&error))?;
    }
    Ok((Array { estimate, spill, files, suggested: false, resumed: true }, writer, input))
}

fn unbuffered(options: &Options, files: Files) -> Files {
    match options.unbuffered {
        Some(when) => files.unbuffered(when == Unbuffered::Always),
        None => files,
    }
}

/// The array that the options ask for, and whether its chunks or shards are suggested.
fn specify(options: &Options, frame: &Frame, attributes: Map<String, Value>) -> Result<(ArraySpec, bool), Failure> {
    let rank = frame.shape.len() + 1;
    for (name, shape) in [("--chunk", &options.chunk), ("--shard", &options.shard)] {
        if let Some(Shape(extents)) = shape
            && extents.len() != rank
        {
            return Err(Failure::usage(format!("{name} has {} dimensions, the data {rank}", extents.len())));
        }
    }
    let (chunk, shard) = shapes(options, frame);
    let mut spec = ArraySpec::new(frame.dtype, &frame.shape, &chunk, &shard);
    spec.codec = options.codec.unwrap_or_default();
    spec.checksum = options.checksum;
    spec.dimension_names.clone_from(&options.dims);
    spec.attributes = attributes;
    if !options.storage_order.is_empty() {
        spec.storage_order.clone_from(&options.storage_order);
    }
    if let Some(text) = &options.fill {
        spec.fill = fill::parse(text, frame.dtype)
            .ok_or_else(|| Failure::usage(format!("--fill: an element of {} cannot be {text}", frame.dtype)))?;
    }
    spec.validate().map_err(|error| Failure::usage(format!("such an array cannot be written: {error}")))?;
    Ok((spec, options.chunk.is_none() || options.shard.is_none()))
}

/// The shapes of chunks and shards: given, or suggested so that they go with what is given.
fn shapes(options: &Options, frame: &Frame) -> (Vec<u64>, Vec<u64>) {
    let (chunk_mib, shard_mib) = (options.chunk_mib.unwrap_or(CHUNK_MIB), options.shard_mib.unwrap_or(SHARD_MIB));
    let (chunk, shard) = suggest(frame.dtype, &frame.shape, chunk_mib, shard_mib);
    let given = |shape: &Option<Shape>| shape.as_ref().map(|shape| shape.0.clone());
    let pairs = |a: &[u64], b: &[u64], join: fn((&u64, &u64)) -> u64| a.iter().zip(b).map(join).collect();
    match (given(&options.chunk), given(&options.shard)) {
        (Some(chunk), Some(shard)) => (chunk, shard),
        (Some(chunk), None) => {
            let shard = pairs(&shard, &chunk, |(shard, chunk)| shard.div_ceil(*chunk).saturating_mul(*chunk));
            (chunk, shard)
        }
        (None, Some(shard)) => {
            let chunk = pairs(&chunk, &shard, |(most, shard)| divisor(*shard, *most));
            (chunk, shard)
        }
        (None, None) => (chunk, shard),
    }
}

/// The largest divisor of `number` that is at most `most`.
fn divisor(number: u64, most: u64) -> u64 {
    (1..=most.clamp(1, number)).rev().find(|divisor| number.is_multiple_of(*divisor)).unwrap_or(1)
}

/// Checks that what the options say of the array is true of it.
fn agree(options: &Options, spec: &ArraySpec) -> Result<(), Failure> {
    let differ = |name: &str, given: String, there: String| {
        Err(Failure::usage(format!("{name} is {given}, but {} has {there}", options.out.display())))
    };
    let shapes = [
        ("--shape t,", &options.shape, &spec.frame),
        ("--chunk", &options.chunk, &spec.chunk),
        ("--shard", &options.shard, &spec.shard),
    ];
    for (name, given, there) in shapes {
        if let Some(given) = given
            && given.0 != *there
        {
            return differ(name, given.to_string(), Shape(there.clone()).to_string());
        }
    }
    if let Some(dtype) = options.dtype
        && dtype != spec.dtype
    {
        return differ("--dtype", dtype.to_string(), spec.dtype.to_string());
    }
    if let Some(codec) = options.codec
        && codec != spec.codec
    {
        return differ("--codec", codec.to_string(), spec.codec.to_string());
    }
    if options.checksum && !spec.checksum {
        return differ("--checksum", "given".into(), "none".into());
    }
    if !options.dims.is_empty() && options.dims != spec.dimension_names {
        return differ("--dims", options.dims.join(","), spec.dimension_names.join(","));
    }
    if !options.storage_order.is_empty() && options.storage_order != spec.storage_order {
        return differ("--storage-order", order(&options.storage_order), order(&spec.storage_order));
    }
    if let Some(text) = &options.fill
        && fill::parse(text, spec.dtype) != Some(spec.fill)
    {
        return differ("--fill", text.clone(), "another".into());
    }
    Ok(())
}

fn order(order: &[usize]) -> String {
    Shape(order.iter().map(|&at| at as u64).collect()).to_string()
}

/// The object in a JSON file.
fn attributes(path: &Path) -> Result<Map<String, Value>, Failure> {
    let text = fs::read(path).map_err(|error| Failure::usage(format!("--attrs: read {}: {error}", path.display())))?;
    match serde_json::from_slice(&text) {
        Ok(Value::Object(attributes)) => Ok(attributes),
        Ok(_) => Err(Failure::usage(format!("--attrs: {} holds no JSON object", path.display()))),
        Err(error) => Err(Failure::usage(format!("--attrs: {} is no JSON: {error}", path.display()))),
    }
}

impl Array {
    /// How files were written, of those that were.
    pub(crate) fn written(&self) -> String {
        match (self.files.unbuffered_refused(), self.files.bytes_past_cache()) {
            (Some(why), _) => format!("through the page cache, because {why}"),
            (None, 0) => "through the page cache".to_owned(),
            (None, _) => "past the page cache".to_owned(),
        }
    }

    /// What is about to happen.
    pub(crate) fn announcement(&self, writer: &ArrayWriter, options: &Options) -> String {
        let spec = writer.spec();
        let verb = match self.resumed {
            true => format!("resuming at frame {} of", writer.next_frame()),
            false => "recording into".to_owned(),
        };
        let frames = match spec.frame.is_empty() {
            true => "elements, each a frame".to_owned(),
            false => format!("frames of {}", Shape(spec.frame.clone())),
        };
        format!(
            "{verb} {}: {} {frames}; {}chunks {}, shards {}, {}; {}",
            options.out.display(),
            spec.dtype,
            if self.suggested { "suggested " } else { "" },
            Shape(spec.chunk.clone()),
            Shape(spec.shard.clone()),
            spec.codec,
            self.memory()
        )
    }

    /// What it will take. The less the frames become, the less memory; by how much is not known yet.
    fn memory(&self) -> String {
        let mib = |bytes: usize| (bytes + feed::memory()) as f64 / f64::from(1 << 20);
        let (least, usual) = (mib(self.estimate.steady(f64::INFINITY)), mib(self.estimate.steady(1.0)));
        let most = mib(self.estimate.total());
        let usual = if usual - least < 1.0 { format!("{usual:.0}") } else { format!("{least:.0} to {usual:.0}") };
        format!("memory {usual} MiB while the disk keeps up, {most:.0} at most")
    }
}
