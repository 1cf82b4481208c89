//! The byte shuffle: all first bytes of the elements of a block, then all second bytes, and so on.
//!
//! What is behind the last whole element stays behind the planes as it is. The loops are written so that the compiler
//! makes vector instructions of them on plain x86-64 and on ARM; the elements are read from where they lie, which may
//! be in several pieces, and an element may be cut in two.

use super::super::pieces::Pieces;

/// Shuffles the next `block.len()` bytes of `from` into `block`.
pub(super) fn shuffle(from: &mut Pieces<'_>, size: usize, block: &mut [u8]) {
    let count = block.len() / size;
    let (planes, behind) = block.split_at_mut(count * size);
    let mut at = 0; // in bytes of the block as it is
    while at < planes.len() {
        // Up to the next whole element byte by byte, then whole elements.
        let cut = at % size;
        if cut == 0 {
            let run = from.take(planes.len() - at);
            let (whole, rest) = run.split_at(run.len() - run.len() % size);
            elements(whole, size, planes, at / size);
            at += whole.len();
            for (byte, &value) in rest.iter().enumerate() {
                planes[byte * count + at / size] = value;
            }
            at += rest.len();
            if run.is_empty() {
                return;
            }
        } else {
            let run = from.take(size - cut);
            for (byte, &value) in run.iter().enumerate() {
                planes[(cut + byte) * count + at / size] = value;
            }
            at += run.len();
            if run.is_empty() {
                return;
            }
        }
    }
    from.gather(behind);
}

/// Shuffles the whole elements `from`, the first of which is element `first` of the block.
fn elements(from: &[u8], size: usize, planes: &mut [u8], first: usize) {
    let count = planes.len() / size;
    let here = first..first + from.len() / size;
    match size {
        1 => planes[here].copy_from_slice(from),
        2 => fixed::<2>(from, split(planes, count).map(|plane| &mut plane[here.clone()]), |element, b| {
            (u16::from_le_bytes(element) >> (8 * b)) as u8
        }),
        4 => fixed::<4>(from, split(planes, count).map(|plane| &mut plane[here.clone()]), |element, b| {
            (u32::from_le_bytes(element) >> (8 * b)) as u8
        }),
        8 => fixed::<8>(from, split(planes, count).map(|plane| &mut plane[here.clone()]), |element, b| {
            (u64::from_le_bytes(element) >> (8 * b)) as u8
        }),
        _ => {
            for (byte, plane) in planes.chunks_exact_mut(count).enumerate() {
                for (value, element) in plane[here.clone()].iter_mut().zip(from.chunks_exact(size)) {
                    *value = element[byte];
                }
            }
        }
    }
}

/// The `N` planes of `count` bytes.
fn split<const N: usize>(mut planes: &mut [u8], count: usize) -> [&mut [u8]; N] {
    std::array::from_fn(|_| {
        let (plane, behind) = std::mem::take(&mut planes).split_at_mut(count);
        planes = behind;
        plane
    })
}

/// Elements whose planes are made one after the other, while they are in the first cache.
const TILE: usize = 2048;

/// `byte(element, b)` is byte `b` of an element. It is a shift of a number, not an index, because that is what the
/// compiler makes vector instructions of.
fn fixed<const N: usize>(from: &[u8], mut planes: [&mut [u8]; N], byte: impl Fn([u8; N], usize) -> u8) {
    let (elements, _) = from.as_chunks::<N>();
    for (tile, elements) in elements.chunks(TILE).enumerate() {
        for (b, plane) in planes.iter_mut().enumerate() {
            let plane = &mut plane[tile * TILE..][..elements.len()];
            for (value, &element) in plane.iter_mut().zip(elements) {
                *value = byte(element, b);
            }
        }
    }
}

/// The reverse of [`shuffle`].
pub(super) fn unshuffle(block: &[u8], size: usize, to: &mut [u8]) {
    let count = block.len() / size;
    let (planes, behind) = block.split_at(count * size);
    let (elements, rest) = to.split_at_mut(count * size);
    if count > 0 {
        for (byte, plane) in planes.chunks_exact(count).enumerate() {
            for (element, &value) in elements.chunks_exact_mut(size).zip(plane) {
                element[byte] = value;
            }
        }
    }
    rest.copy_from_slice(behind);
}
