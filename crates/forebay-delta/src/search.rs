//! Finds what of a basis is in a new file, segment by segment on several threads.

use forebay::Weigh;

use crate::error::{Error, Role, of_run};
use crate::input::{Input, Segment};
use crate::scan::{Match, Scan};
use crate::settings::Settings;
use crate::signature::Signature;
use crate::stats::Stats;
use crate::stitch::Stitch;
use crate::table::Table;
use crate::token::Token;

/// The most bytes of the new file that are one item of work: what several threads have in hand stays in the processor's cache.
const PIECE: usize = 1 << 20;
/// A file of up to so many pieces is searched on the caller's thread, one after the other in the same buffer,
const SHORT: u64 = 4;
/// and a longer one of up to so many bytes at once, or in two halves: threads would not be worth it for less.
const SEGMENT: usize = 8 << 20;

/// What kinds of matches are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The new file replaces the basis from its beginning on, in the same place: a block is copied only from where it has not
    /// been overwritten yet, or from where the new file has it, too. Default: no.
    pub in_place: bool,
}

/// A segment that was searched.
struct Searched {
    at: u64,
    own: usize,
    buf: Vec<u8>,
    matches: Vec<Match>,
    stats: Stats,
}

impl Weigh for Searched {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.buf.capacity() + self.matches.capacity() * size_of::<Match>()
    }
}

/// Searches `new` for the blocks of `basis` and gives `sink` the tokens that make up `new`, in order. A long file is
/// searched on several threads.
///
/// Two blocks are the same if their strong sums are, as long as those of `basis`. With [`Format::local`](crate::Format::local),
/// that is beyond doubt but for somebody who makes collisions of XXH3 on purpose; whoever must withstand that compares the
/// files, or chooses another sum.
///
/// ```
/// use forebay_delta::{Error, Format, Input, Options, Settings, Signature, Token, search};
///
/// let (settings, basis) = (Settings::default(), vec![1; 2000]);
/// let mut new = b"in front of ".to_vec();
/// new.extend(&basis);
///
/// let signature = Signature::of(Input::bytes(&basis), &Format::local(2000), &settings)?;
/// let stats = search(&signature, Input::bytes(&new), Options::default(), &settings, |token| {
///     match token {
///         Token::Literal { offset, bytes } => assert_eq!((offset, bytes), (0, &b"in front of "[..])),
///         Token::Copy { .. } => {}
///     }
///     Ok::<_, Error>(())
/// })?;
/// assert_eq!((stats.matched, stats.literal), (2000, 12));
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// [`Error::Read`] and [`Error::Short`] of the new file, [`Error::Memory`], [`Error::Engine`], [`Error::Cancelled`], and
/// what `sink` returns.
pub fn search<E, K>(
    basis: &Signature,
    new: Input<'_>,
    options: Options,
    settings: &Settings,
    sink: K,
) -> Result<Stats, E>
where
    E: From<Error> + Send,
    K: FnMut(Token<'_>) -> Result<(), E>,
{
    search_reading(basis, new, options, settings, |_| {}, sink)
}

/// As [`search`], and gives all bytes of `new` in order to `read`, as they were when they were searched: for the sum of the
/// whole file, which costs no second reading then. Bytes come before the tokens that stand for them.
///
/// ```
/// use forebay_delta::{Error, Format, Hasher, Input, Options, Settings, Signature, Strong, search_reading};
///
/// let (settings, new) = (Settings::default(), vec![1; 2000]);
/// let signature = Signature::of(Input::bytes(&new), &Format::local(2000), &settings)?;
/// let mut sum = Hasher::new(Strong::Xxh128(0));
/// search_reading(&signature, Input::bytes(&new), Options::default(), &settings, |bytes| sum.update(bytes), |_| {
///     Ok::<_, Error>(())
/// })?;
/// assert_eq!(sum.finish(), Strong::Xxh128(0).sum(&new));
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// As [`search`].
pub fn search_reading<E, D, K>(
    basis: &Signature,
    new: Input<'_>,
    options: Options,
    settings: &Settings,
    mut read: D,
    sink: K,
) -> Result<Stats, E>
where
    E: From<Error> + Send,
    D: FnMut(&[u8]),
    K: FnMut(Token<'_>) -> Result<(), E>,
{
    let table = Table::build(basis, options.in_place)?;
    let anywhere = match new {
        Input::File(file, len) if options.in_place => Some((file, len)),
        _ => None,
    };
    let scan = Scan { signature: basis, table: &table, options, new: anywhere };
    let block_len = basis.format().block_len();
    let most = match new {
        Input::File(_, whole) if whole > SHORT * PIECE as u64 && whole <= 2 * SEGMENT as u64 => SEGMENT,
        _ => PIECE,
    };
    let len = settings.segment_len(most, block_len as usize);
    let pieces = if most == PIECE { SHORT } else { 1 };
    let short = matches!(new, Input::File(_, whole) if whole <= pieces * len as u64);
    let spares = &settings.spares;
    let segments = new.segments(Role::New, len, block_len as usize - 1, spares);
    let mut stitch = Stitch::new(block_len, sink);
    let work = |mut segment: Segment<'_>| -> Result<Searched, E> {
        segment.load(spares, short)?;
        let (at, own) = (segment.at, segment.own);
        let (matches, stats) = scan.matches(segment.bytes(), own, at);
        Ok(Searched { at, own, buf: segment.into_buf(), matches, stats })
    };
    let mut join = |searched: Searched| -> Result<(), E> {
        let Searched { at, own, buf, matches, stats } = searched;
        stitch.stats.add(&stats);
        let bytes = buf.get(..own).unwrap_or(&[]);
        read(bytes);
        stitch.segment(at, bytes, &matches)?;
        spares.keep(buf);
        Ok(())
    };
    let workers = if short {
        for segment in segments {
            join(work(segment?)?)?;
        }
        1
    } else {
        let source = segments.map(|segment| segment.map_err(E::from));
        settings.pipeline("search").run(source, work, join).map_err(of_run)?.workers_used
    };
    let stats = stitch.finish()?;
    Ok(Stats { workers, ..stats })
}
