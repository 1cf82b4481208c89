//! The beginning of a session: versions, flags, algorithms and the seed. Section 3 of the protocol.

use std::io::Read;

use super::error::WireError;
use super::limits;
use super::number::{Get, Put};
use super::terms::{Checksum, Compat, Compress, Compressor, Terms};

/// What one side brings along.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The newest version that is wanted, from 30 to 32. Default: 32.
    pub protocol: u32,
    /// `--no-inc-recursive` takes it away: whether lists may follow one by one, where the role and the other options allow
    /// it. Default: yes.
    pub incremental: bool,
    /// What `--checksum-choice` says: of what is transferred, and of `-c`. `None`: the best that both have.
    pub checksums: Option<(Checksum, Checksum)>,
    /// Whether and how literal bytes are compressed.
    pub compress: Compression,
    /// `--compress-level`: at which level. Default: the compressor's own.
    pub level: Option<i32>,
    /// Sums that are offered, best first.
    pub checksum_list: Vec<Checksum>,
    /// Compressors that are offered, best first.
    pub compressor_list: Vec<Compressor>,
}

/// Whether and how literal bytes are to be compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// They go as they are.
    No,
    /// The same, and the other side is told that.
    Never,
    /// By the best that both sides have.
    Best,
    /// By this one.
    By(Compressor),
}

impl Default for Offer {
    fn default() -> Self {
        Offer {
            protocol: *limits::PROTOCOLS.end(),
            incremental: true,
            checksums: None,
            compress: Compression::No,
            level: None,
            checksum_list: CHECKSUMS.iter().map(|(sum, _)| *sum).filter(|sum| *sum != Checksum::None).collect(),
            compressor_list: COMPRESSORS.iter().map(|(compressor, _)| *compressor).collect(),
        }
    }
}

/// In the reference's order: two sides with different orders choose differently.
const CHECKSUMS: [(Checksum, &str); 7] = [
    (Checksum::Xxh128, "xxh128"),
    (Checksum::Xxh3, "xxh3"),
    (Checksum::Xxh64, "xxh64"),
    (Checksum::Md5, "md5"),
    (Checksum::Md4, "md4"),
    (Checksum::Sha1, "sha1"),
    (Checksum::None, "none"),
];

const COMPRESSORS: [(Compressor, &str); 4] =
    [(Compressor::Zstd, "zstd"), (Compressor::Lz4, "lz4"), (Compressor::Zlibx, "zlibx"), (Compressor::Zlib, "zlib")];

impl Checksum {
    /// By its name, of which case does not matter.
    pub fn named(name: &[u8]) -> Option<Self> {
        let name = if name.eq_ignore_ascii_case(b"xxhash") { b"xxh64" } else { name };
        CHECKSUMS.iter().find(|(_, known)| name.eq_ignore_ascii_case(known.as_bytes())).map(|(sum, _)| *sum)
    }

    /// As rsync calls it.
    pub fn name(self) -> &'static str {
        CHECKSUMS.iter().find(|(sum, _)| *sum == self).map_or("", |(_, name)| name)
    }
}

impl Compressor {
    /// By its name, of which case does not matter.
    pub fn named(name: &[u8]) -> Option<Self> {
        COMPRESSORS.iter().find(|(_, known)| name.eq_ignore_ascii_case(known.as_bytes())).map(|(kind, _)| *kind)
    }

    /// As rsync calls it.
    pub fn name(self) -> &'static str {
        COMPRESSORS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// The level where none is asked for.
    fn usual_level(self) -> i32 {
        match self {
            Compressor::Zstd => 3,
            Compressor::Lz4 => 0,
            Compressor::Zlib | Compressor::Zlibx => 6,
        }
    }
}

/// The letters behind `-e` in a server's arguments: what its client can do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Letters(Vec<u8>);

impl Letters {
    /// What a client of ours says; `i` only where it goes through lists one by one.
    pub(crate) fn ours(incremental: bool) -> String {
        format!(".{}LsfxCIvu", if incremental { "i" } else { "" })
    }

    /// Reads the value of `-e`: a version of a pre-release or nothing, a dot, the letters.
    pub(crate) fn parse(value: &[u8]) -> Self {
        let letters = value.iter().position(|&byte| byte == b'.').and_then(|dot| value.get(dot + 1..));
        Letters(letters.unwrap_or_default().iter().copied().filter(u8::is_ascii_alphabetic).collect())
    }

    fn has(&self, letter: u8) -> bool {
        self.0.contains(&letter)
    }

    /// The flags that a server sets in reply.
    fn flags(&self, incremental: bool) -> u32 {
        let mut flags = Compat::SYMLINK_TIMES;
        for (letter, flag, wanted) in [
            (b'i', Compat::INC_RECURSE, incremental),
            (b'f', Compat::SAFE_FLIST, true),
            (b'x', Compat::AVOID_XATTR_OPTIM, true),
            (b'C', Compat::CHECKSUM_SEED_FIX, true),
            (b'I', Compat::INPLACE_PARTIAL_DIR, true),
            (b'v', Compat::VARINT_FLIST_FLAGS, true),
            (b'u', Compat::ID0_NAMES, true),
        ] {
            if wanted && self.has(letter) {
                flags |= flag;
            }
        }
        flags
    }
}

/// The client's side. `send` sends at once.
///
/// # Errors
/// The other side speaks no version of ours, or is no rsync at all; there is no algorithm that both have.
pub(crate) fn client(
    from: &mut impl Read,
    mut send: impl FnMut(&[u8]) -> Result<(), WireError>,
    offer: &Offer,
) -> Result<Terms, WireError> {
    send(&(offer.protocol as i32).to_le_bytes())?;
    let protocol = version(from.int()?, offer)?;
    let flags = from.varint()?.cast_unsigned();
    let compat = Compat(flags);
    if compat.has(Compat::INC_RECURSE) && !offer.incremental {
        return Err(WireError::protocol("incremental recursion that was not asked for", flags));
    }
    let (checksums, compressors) = exchange(from, &mut send, offer, compat, "")?;
    let checksum = checksums.map(|lists| {
        let mut ours = offer.checksum_list.iter().copied();
        let both = ours.find(|sum| lists.theirs().any(|name| Checksum::named(name) == Some(*sum)));
        both.ok_or_else(|| lists.nothing("checksum"))
    });
    let checksum = checksum.transpose()?;
    let compressor = compressors.map(|lists| {
        let mut ours = offer.compressor_list.iter().copied();
        let both = ours.find(|kind| lists.theirs().any(|name| Compressor::named(name) == Some(*kind)));
        both.ok_or_else(|| lists.nothing("compress"))
    });
    let compressor = compressor.transpose()?;
    let seed = from.int()?;
    Ok(agreed(offer, protocol, compat, seed, checksum, compressor))
}

/// The server's side: its arguments had the `letters`; `seed` goes into block sums.
///
/// # Errors
/// As for [`client`].
pub(crate) fn server(
    from: &mut impl Read,
    mut send: impl FnMut(&[u8]) -> Result<(), WireError>,
    offer: &Offer,
    letters: &Letters,
    seed: i32,
) -> Result<Terms, WireError> {
    send(&(offer.protocol as i32).to_le_bytes())?;
    let protocol = version(from.int()?, offer)?;
    let compat = Compat(letters.flags(offer.incremental));
    let mut flags = Vec::new();
    if letters.has(b'V') && !letters.has(b'v') {
        // An old pre-release reads one byte.
        flags.put_byte((compat.0 & 0x7f) as u8 | 0x80);
    } else {
        flags.put_varint(compat.0.cast_signed());
    }
    send(&flags)?;
    let (checksums, compressors) = exchange(from, &mut send, offer, compat, " none")?;
    // The client finds out the same, and says it.
    let nothing = || WireError::Unsupported(String::new());
    // The first of the client's names that we have: right for clients of all ages.
    let checksum = checksums.map(|lists| {
        let mut known = lists.theirs().filter_map(Checksum::named);
        known.find(|sum| offer.checksum_list.contains(sum)).ok_or_else(nothing)
    });
    let compressor = compressors.map(|lists| {
        let mut known = lists.theirs().filter_map(Compressor::named);
        known.find(|kind| offer.compressor_list.contains(kind)).ok_or_else(nothing)
    });
    let (checksum, compressor) = (checksum.transpose()?, compressor.transpose()?);
    send(&seed.to_le_bytes())?;
    Ok(agreed(offer, protocol, compat, seed, checksum, compressor))
}

fn version(theirs: i32, offer: &Offer) -> Result<u32, WireError> {
    if !limits::OFFERS.contains(&theirs) {
        return Err(WireError::Version(theirs));
    }
    let protocol = theirs.cast_unsigned().min(offer.protocol);
    match limits::PROTOCOLS.contains(&protocol) {
        true => Ok(protocol),
        false => Err(WireError::Version(theirs)),
    }
}

/// What each side offers of one sort, best first, with blanks between.
struct Lists {
    ours: String,
    theirs: Vec<u8>,
}

impl Lists {
    /// What stands in place of a list of which nothing is known.
    const INVALID: &str = "INVALID";

    fn theirs(&self) -> impl Iterator<Item = &[u8]> {
        self.theirs.split(|&byte| byte == b' ')
    }

    /// Says that a client found nothing in both.
    fn nothing(&self, what: &str) -> WireError {
        let theirs = String::from_utf8_lossy(&self.theirs);
        let ours = &self.ours;
        WireError::Unsupported(format!(
            "Failed to negotiate a {what} choice.\nServer list: {theirs}\nClient list: {ours}"
        ))
    }
}

/// Lists of sums and of compressors: first ours goes out, with `more` behind it where it has all, then theirs is read. `None` where
/// nothing is negotiated.
fn exchange(
    from: &mut impl Read,
    send: &mut impl FnMut(&[u8]) -> Result<(), WireError>,
    offer: &Offer,
    compat: Compat,
    more: &str,
) -> Result<(Option<Lists>, Option<Lists>), WireError> {
    if !compat.has(Compat::VARINT_FLIST_FLAGS) {
        return Ok((None, None));
    }
    let list = |names: Vec<&str>, all| match names.is_empty() {
        true => Lists::INVALID.to_owned(),
        false => names.join(" ") + if all { more } else { "" },
    };
    let all = Offer::default();
    let sums = || {
        let names = offer.checksum_list.iter().map(|sum| sum.name());
        list(names.collect(), offer.checksum_list == all.checksum_list)
    };
    let compressors = || {
        let names = offer.compressor_list.iter().map(|kind| kind.name());
        list(names.collect(), offer.compressor_list == all.compressor_list)
    };
    let ours = [offer.checksums.is_none().then(sums), (offer.compress == Compression::Best).then(compressors)];
    let mut out = Vec::new();
    ours.iter().flatten().for_each(|list| out.put_vstring(list.as_bytes()));
    send(&out)?;
    let [sums, compressors] = ours.map(|ours| {
        let mut read = |ours| {
            let theirs = from.vstring(limits::ALGORITHMS, "a list of algorithms that is too long")?;
            Ok::<_, WireError>(Lists { ours, theirs })
        };
        ours.map(&mut read).transpose()
    });
    Ok((sums?, compressors?))
}

fn agreed(
    offer: &Offer,
    protocol: u32,
    compat: Compat,
    seed: i32,
    checksum: Option<Checksum>,
    compressor: Option<Compressor>,
) -> Terms {
    let (transfer, files) = offer.checksums.unwrap_or_else(|| {
        let both = checksum.unwrap_or(Checksum::Md5);
        (both, both)
    });
    let kind = match offer.compress {
        Compression::No | Compression::Never => None,
        Compression::Best => Some(compressor.unwrap_or(Compressor::Zlib)),
        Compression::By(kind) => Some(kind),
    };
    // To zlib, level 0 is to copy: with it, rsync takes "not compressed" for agreed.
    let copies = |kind: &Compressor| matches!(kind, Compressor::Zlib | Compressor::Zlibx) && offer.level == Some(0);
    let kind = kind.filter(|kind| !copies(kind));
    let compress = kind.map(|kind| Compress { kind, level: offer.level.unwrap_or(kind.usual_level()) });
    Terms { protocol, compat, seed, transfer, files, compress }
}
