//! The readers themselves: they must accept an array that another program wrote, and notice a single wrong byte.

use std::path::Path;
use std::sync::Arc;

use forebay_zarr::{ArraySpec, DataType};
use tempfile::TempDir;
use zarrs::array::{ArrayBuilder, ArrayBytes, ArrayMetadataOptions, data_type};
use zarrs::filesystem::FilesystemStore;

use crate::content::Content;
use crate::readers::{Readers, zarrs_agrees};

#[test]
fn every_reader_notices_one_wrong_byte() {
    let room = TempDir::new().expect("a directory");
    let mut spec = ArraySpec::new(DataType::Int32, &[5, 7], &[2, 3, 4], &[4, 3, 8]);
    spec.dimension_names = ["t", "y", "x"].map(String::from).to_vec();
    let frames: Vec<u8> = (0..3 * 5 * 7).flat_map(|number: i32| number.to_le_bytes()).collect();
    let mut content = Content::of(&spec, &frames);
    write_with_zarrs(room.path(), &content);

    let mut readers = Readers::start();
    readers.check(room.path(), &content).expect("the readers agree");
    content.elements[4 * 3 * 5 * 7 - 3] ^= 1;
    let zarrs = zarrs_agrees(room.path(), &content).expect_err("zarrs notices");
    assert!(zarrs.contains("Some(417)"), "{zarrs}");
    let python = readers.python_agrees(room.path(), &content).expect_err("zarr-python notices");
    assert!(python.contains("with_zarr: 1 elements; the first, at (2, 4, 6)"), "{python}");
}

fn write_with_zarrs(path: &Path, content: &Content) {
    let store = Arc::new(FilesystemStore::new(path).expect("a store"));
    let array = ArrayBuilder::new(content.shape.clone(), content.shard.clone(), data_type::int32(), 0_i32)
        .subchunk_shape(content.chunk.clone())
        .dimension_names(content.names.clone())
        .build(store, "/")
        .expect("an array");
    let options = ArrayMetadataOptions::default().with_include_zarrs_metadata(false);
    array.store_metadata_opt(&options).expect("metadata");
    array.store_array_subset(&array.subset_all(), ArrayBytes::new_flen(content.elements.clone())).expect("elements");
}
