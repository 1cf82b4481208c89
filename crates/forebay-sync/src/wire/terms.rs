//! What the two sides have agreed on for one session.

use forebay_delta::{Seed, Strong};

/// The outcome of the handshake: section 3 of the protocol.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// The smaller of both versions.
    pub(crate) protocol: u32,
    pub(crate) compat: Compat,
    /// Goes into block sums, so that they differ from one session to the next. The server chooses it.
    pub(crate) seed: i32,
    /// The sum of blocks and of whole files that are transferred.
    pub(crate) transfer: Checksum,
    /// The sum of `-c`.
    pub(crate) files: Checksum,
    /// How literal bytes are compressed, if they are.
    pub(crate) compress: Option<Compress>,
}

/// Flags that the server sets and that bind both sides: section 3.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Compat(pub(crate) u32);

impl Compat {
    pub(crate) const INC_RECURSE: u32 = 0x001;
    pub(crate) const SYMLINK_TIMES: u32 = 0x002;
    pub(crate) const SAFE_FLIST: u32 = 0x008;
    pub(crate) const AVOID_XATTR_OPTIM: u32 = 0x010;
    pub(crate) const CHECKSUM_SEED_FIX: u32 = 0x020;
    pub(crate) const INPLACE_PARTIAL_DIR: u32 = 0x040;
    pub(crate) const VARINT_FLIST_FLAGS: u32 = 0x080;
    pub(crate) const ID0_NAMES: u32 = 0x100;

    pub(crate) fn has(self, flag: u32) -> bool {
        self.0 & flag != 0
    }
}

/// An algorithm for sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// XXH3 of 128 bits.
    Xxh128,
    /// XXH3 of 64 bits.
    Xxh3,
    /// XXH64.
    Xxh64,
    /// MD5.
    Md5,
    /// MD4.
    Md4,
    /// SHA-1.
    Sha1,
    /// One zero byte; files are then always sent whole.
    None,
}

/// How literal bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compress {
    pub(crate) kind: Compressor,
    /// As the compressor counts; the sender's choice.
    pub(crate) level: i32,
}

/// An algorithm for compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compressor {
    /// Zstandard.
    Zstd,
    /// LZ4 blocks.
    Lz4,
    /// Deflate; matched blocks stay out of its history.
    Zlibx,
    /// Deflate; matched blocks are entered into its history.
    Zlib,
}

impl Checksum {
    /// Bytes of a digest.
    pub(crate) fn len(self) -> usize {
        match self {
            Checksum::Xxh128 | Checksum::Md5 | Checksum::Md4 => 16,
            Checksum::Sha1 => 20,
            Checksum::Xxh3 | Checksum::Xxh64 => 8,
            Checksum::None => 1,
        }
    }

    /// The sum of a whole file, which has no seed. `None` for [`Checksum::None`].
    pub(crate) fn of_file(self) -> Option<Strong> {
        self.strong(0, true)
    }

    /// A digest as it is written. Those that are numbers travel with their last byte first.
    pub(crate) fn hex(self, digest: &[u8]) -> String {
        let mut digest = digest.to_vec();
        if matches!(self, Checksum::Xxh128 | Checksum::Xxh3 | Checksum::Xxh64) {
            digest.reverse();
        }
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn strong(self, seed: i32, first: bool) -> Option<Strong> {
        let bytes = match seed {
            0 => Seed::None,
            seed if first => Seed::Before(seed.to_le_bytes()),
            seed => Seed::After(seed.to_le_bytes()),
        };
        // The number keeps its sign when it is widened.
        let number = i64::from(seed).cast_unsigned();
        match self {
            Checksum::Xxh128 => Some(Strong::Xxh128(number)),
            Checksum::Xxh3 => Some(Strong::Xxh3(number)),
            Checksum::Xxh64 => Some(Strong::Xxh64(number)),
            Checksum::Md5 => Some(Strong::Md5(bytes)),
            Checksum::Md4 => Some(Strong::Md4(match seed {
                0 => Seed::None,
                seed => Seed::After(seed.to_le_bytes()),
            })),
            Checksum::Sha1 => Some(Strong::Sha1(bytes)),
            Checksum::None => None,
        }
    }
}

impl Terms {
    /// The sum of blocks. `None` where files are sent whole.
    pub(crate) fn of_block(&self) -> Option<Strong> {
        self.transfer.strong(self.seed, self.compat.has(Compat::CHECKSUM_SEED_FIX))
    }

    /// Whether lists of directories follow one by one.
    pub(crate) fn incremental(&self) -> bool {
        self.compat.has(Compat::INC_RECURSE)
    }
}
