//! The bit shuffle: the lowest bit of the first byte of all elements of a block, then the next bit, and so on.
//!
//! It is a byte shuffle, after which each plane of bytes becomes eight planes of bits. Blosc 1 leaves a block whose
//! number of elements is not a multiple of eight as it is.

/// Bits to the left of the diagonal go right of it: bit `c` of byte `r` becomes bit `r` of byte `c`.
fn transpose_bits(mut x: u64) -> u64 {
    let mut swap = |shift: u32, mask: u64| {
        let t = (x ^ (x >> shift)) & mask;
        x ^= t ^ (t << shift);
    };
    swap(7, 0x00aa_00aa_00aa_00aa);
    swap(14, 0x0000_cccc_0000_cccc);
    swap(28, 0x0000_0000_f0f0_f0f0);
    x
}

/// The same for bytes: byte `c` of word `r` becomes byte `r` of word `c`.
fn transpose_bytes(x: &mut [u64; 8]) {
    for (distance, shift, mask) in
        [(4, 32, 0x0000_0000_ffff_ffff), (2, 16, 0x0000_ffff_0000_ffff), (1, 8, 0x00ff_00ff_00ff_00ff)]
    {
        for low in (0..8).filter(|low| low & distance == 0) {
            let t = ((x[low] >> shift) ^ x[low + distance]) & mask;
            x[low] ^= t << shift;
            x[low + distance] ^= t;
        }
    }
}

/// Makes eight planes of bits of each plane of `bytes`; the planes have a multiple of eight bytes.
pub(super) fn planes(bytes: &[u8], size: usize, bits: &mut [u8]) {
    let count = bytes.len() / size;
    for (bytes, bits) in bytes.chunks_exact(count).zip(bits.chunks_exact_mut(count)) {
        let row = count / 8;
        let (groups, _) = bytes.as_chunks::<8>();
        let (blocks, rest) = groups.as_chunks::<8>();
        for (at, block) in blocks.iter().enumerate() {
            let mut words = block.map(|group| transpose_bits(u64::from_le_bytes(group)));
            transpose_bytes(&mut words);
            for (bit, word) in words.into_iter().enumerate() {
                let to = bit * row + at * 8;
                bits[to..to + 8].copy_from_slice(&word.to_le_bytes());
            }
        }
        for (at, group) in rest.iter().enumerate() {
            let word = transpose_bits(u64::from_le_bytes(*group));
            for (bit, value) in word.to_le_bytes().into_iter().enumerate() {
                bits[bit * row + blocks.len() * 8 + at] = value;
            }
        }
    }
}

/// The reverse of [`planes`].
pub(super) fn unplanes(bits: &[u8], size: usize, bytes: &mut [u8]) {
    let count = bits.len() / size;
    for (bits, bytes) in bits.chunks_exact(count).zip(bytes.chunks_exact_mut(count)) {
        let row = count / 8;
        let (groups, _) = bytes.as_chunks_mut::<8>();
        for (at, group) in groups.iter_mut().enumerate() {
            let word = u64::from_le_bytes(std::array::from_fn(|bit| bits[bit * row + at]));
            *group = transpose_bits(word).to_le_bytes();
        }
    }
}
