//! The layout against a model that looks at every element on its own.

use proptest::prelude::*;

use crate::layout::{Layout, Piece};
use crate::{ArraySpec, DataType};

/// A valid specification of few elements.
fn spec() -> impl Strategy<Value = ArraySpec> {
    let dtypes = prop::sample::select(vec![DataType::UInt8, DataType::UInt16, DataType::Float64]);
    let extents = (1..7u64, 1..7u64, 1..3u64);
    (dtypes, prop::collection::vec(extents, 1..6), any::<u64>()).prop_map(|(dtype, extents, seed)| {
        let frame: Vec<u64> = extents[1..].iter().map(|&(frame, ..)| frame).collect();
        let chunk: Vec<u64> = extents.iter().map(|&(_, chunk, _)| chunk).collect();
        let shard: Vec<u64> = extents.iter().map(|&(_, chunk, times)| chunk * times).collect();
        let mut spec = ArraySpec::new(dtype, &frame, &chunk, &shard);
        // Exchanges two of the dimensions between the first and the last.
        let (rank, seed) = (spec.rank(), seed as usize);
        if rank > 3 {
            spec.storage_order.swap(1 + seed % (rank - 2), 1 + seed / 7 % (rank - 2));
        }
        spec
    })
}

/// Coordinates of element `n` of a layer.
fn coordinates(spec: &ArraySpec, mut n: u64) -> Vec<u64> {
    let mut at = vec![0; spec.rank()];
    for dim in (1..spec.rank()).rev() {
        at[dim] = n % spec.frame[dim - 1];
        n /= spec.frame[dim - 1];
    }
    at[0] = n;
    at
}

/// The chunk of an element, in the order of the data, and the element's number within it, in storage order.
fn belongs(spec: &ArraySpec, at: &[u64]) -> (usize, u64) {
    let chunk = (1..spec.rank())
        .fold(0, |chunk, dim| chunk * spec.frame[dim - 1].div_ceil(spec.chunk[dim]) + at[dim] / spec.chunk[dim]);
    let within = spec.storage_order.iter().fold(0, |within, &dim| within * spec.chunk[dim] + at[dim] % spec.chunk[dim]);
    (chunk as usize, within)
}

fn elements(spec: &ArraySpec) -> u64 {
    spec.chunk[0] * spec.frame.iter().product::<u64>()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Small slabs, so that pieces are split.
    #[test]
    fn every_byte_goes_where_the_model_puts_it(spec in spec(), slab in 1..40usize, cut in 0.0..1.0f64) {
        spec.validate().unwrap();
        let size = spec.dtype.size();
        let mut layout = Layout::new(&spec);
        layout.slab_bytes = (slab * size).min(layout.chunk_bytes);
        let bytes = layout.layer_bytes();
        let cut = (bytes as f64 * cut) as u64;
        let mut found = Vec::new();
        for (from, to) in [(0, cut), (cut, bytes)] {
            let end = layout.pieces(from, to, |Piece { chunk, slab, offset, len }| {
                assert!(offset + len <= layout.slab_len(slab));
                found.extend((0..len).map(|n| (chunk, slab * layout.slab_bytes + offset + n)));
                true
            });
            prop_assert_eq!(end, to);
        }
        let model: Vec<(usize, usize)> = (0..elements(&spec))
            .map(|n| belongs(&spec, &coordinates(&spec, n)))
            .flat_map(|(chunk, within)| (0..size).map(move |byte| (chunk, within as usize * size + byte)))
            .collect();
        prop_assert_eq!(found, model);
    }

    #[test]
    fn chunks_are_finished_in_order_when_their_last_element_has_come(spec in spec()) {
        let layout = Layout::new(&spec);
        let mut ends = vec![0; layout.chunks];
        let mut seen = vec![0u64; layout.chunks];
        for n in 0..elements(&spec) {
            let (chunk, _) = belongs(&spec, &coordinates(&spec, n));
            ends[chunk] = (n + 1) * spec.dtype.size() as u64;
            seen[chunk] += 1;
        }
        let layout_ends: Vec<u64> = (0..layout.chunks).map(|chunk| layout.end_of(chunk)).collect();
        prop_assert!(layout_ends.is_sorted());
        prop_assert_eq!(layout_ends, ends);
        let whole: u64 = spec.chunk.iter().product();
        for (chunk, seen) in seen.into_iter().enumerate() {
            prop_assert_eq!(layout.overhangs(chunk), seen < whole);
        }
    }

    /// At no time more chunks are begun and not finished than the layout says.
    #[test]
    fn no_more_chunks_are_live_than_the_layout_says(spec in spec()) {
        let layout = Layout::new(&spec);
        let mut begun = std::collections::BTreeSet::new();
        let mut finished = 0;
        for n in 0..elements(&spec) {
            begun.insert(belongs(&spec, &coordinates(&spec, n)).0);
            prop_assert!(begun.len() - finished <= layout.live, "at element {}", n);
            while finished < layout.chunks && layout.end_of(finished) <= (n + 1) * spec.dtype.size() as u64 {
                finished += 1;
            }
        }
    }

    /// The bands of a plane cover it, and each goes to chunks and slabs of its own.
    #[test]
    fn the_bands_of_a_plane_share_no_chunk(spec in spec(), slab in 1..40usize) {
        let mut layout = Layout::new(&spec);
        layout.slab_bytes = (slab * spec.dtype.size()).min(layout.chunk_bytes);
        let mut at = 0;
        while at < layout.layer_bytes() {
            if let Some(plane) = layout.plane(at) {
                prop_assert_eq!(plane.from, at);
                let mut first = plane.chunk;
                let mut from = at;
                while from < plane.to {
                    let to = plane.to.min(from + plane.band);
                    layout.pieces(from, to, |piece| {
                        assert!((first..first + plane.chunks_per_band).contains(&piece.chunk));
                        assert!(plane.slabs.contains(&piece.slab), "{piece:?} of {plane:?}");
                        true
                    });
                    from = to;
                    first += plane.chunks_per_band;
                }
            }
            at += layout.plane_bytes();
        }
        prop_assert_eq!(at, layout.layer_bytes());
    }

    #[test]
    fn every_chunk_has_a_place_of_its_own(spec in spec(), layer in 0..2u64) {
        let layout = Layout::new(&spec);
        let layer = layer % layout.layers_per_row;
        let mut places = std::collections::HashSet::new();
        let mut counts = vec![0; layout.shards()];
        for chunk in 0..layout.chunks {
            let (shard, within) = layout.place(layer, chunk);
            prop_assert!(within < layout.chunks_per_shard());
            prop_assert!(places.insert((shard, within)));
            counts[shard] += layout.layers_per_row;
        }
        prop_assert_eq!(counts, layout.chunks_of_shards());
    }
}

#[test]
fn slabs_are_whole_rows_or_planes_of_about_128_kib() {
    let camera = |chunk: &[u64]| Layout::new(&ArraySpec::new(DataType::UInt16, &[2048, 2048], chunk, chunk));
    let layout = camera(&[32, 256, 256]);
    assert_eq!((layout.slab_bytes, layout.slabs_per_chunk, layout.live), (128 << 10, 32, 64));
    let layout = camera(&[1, 512, 512]);
    assert_eq!((layout.slab_bytes, layout.slabs_per_chunk, layout.live), (128 << 10, 4, 4));
    let layout = Layout::new(&ArraySpec::new(DataType::UInt8, &[], &[1 << 20], &[1 << 20]));
    assert_eq!((layout.slab_bytes, layout.slabs_per_chunk, layout.live), (128 << 10, 8, 1));
}

#[test]
fn keys_are_in_storage_order() {
    let mut spec = ArraySpec::new(DataType::UInt8, &[4, 6, 5], &[1, 2, 2, 5], &[3, 2, 2, 5]);
    spec.storage_order = vec![0, 2, 1, 3];
    let layout = Layout::new(&spec);
    assert_eq!(layout.shards(), 6);
    // Shard 4 of the row, in the order of the data: second along dimension 1, second along dimension 2.
    assert_eq!(layout.key(7, 4), "c/7/1/1/0");
    assert_eq!(layout.key(7, 5), "c/7/2/1/0");
}
