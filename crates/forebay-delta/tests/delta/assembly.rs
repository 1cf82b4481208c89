//! Files that are put together from chunks.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::HashMap;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use forebay::Budget;
use forebay_delta::{
    Assembled, AssemblyError, AssemblyStats, Chunk, Error, Patch, Seed, Settings, Strategy as Who, Strong, Target,
    Token, assemble,
};
use proptest::prelude::*;

use crate::support::noise;

/// What was made of each file: its bytes, or why not.
type Files = HashMap<usize, Result<Vec<u8>, String>>;

fn literal(bytes: &[u8]) -> Chunk {
    let mut chunk = Chunk::new();
    chunk.push(Token::Literal { offset: 0, bytes });
    chunk
}

/// The literal bytes of parts.
fn literals(parts: &[Part]) -> Vec<u8> {
    let literal = |part: &Part| match part {
        Part::Literal(bytes) => bytes.clone(),
        Part::Copy(..) => Vec::new(),
    };
    parts.iter().flat_map(literal).collect()
}

fn settings(limit: usize, workers: usize) -> Settings {
    Settings { workers, budget: Budget::new(limit), ..Settings::default() }
}

/// Part of a new file.
#[derive(Clone, Debug)]
enum Part {
    Literal(Vec<u8>),
    Copy(u64, u64),
}

/// The tokens of a file, cut into chunks.
fn chunks(parts: &[Part], cuts: &[usize]) -> Vec<Chunk> {
    let mut chunks = vec![Chunk::new()];
    for (n, part) in parts.iter().enumerate() {
        if cuts.contains(&n) {
            chunks.push(Chunk::new());
        }
        chunks.last_mut().unwrap().push(match part {
            Part::Literal(bytes) => Token::Literal { offset: 0, bytes },
            Part::Copy(offset, len) => Token::Copy { offset: *offset, len: *len },
        });
    }
    chunks
}

fn sequential(basis: &Vec<u8>, parts: &[Part]) -> Vec<u8> {
    let mut new = Vec::new();
    let mut patch = Patch::new(basis, &mut new);
    for chunk in parts {
        match chunk {
            Part::Literal(bytes) => patch.apply(Token::Literal { offset: 0, bytes }).unwrap(),
            Part::Copy(offset, len) => patch.apply(Token::Copy { offset: *offset, len: *len }).unwrap(),
        }
    }
    new
}

/// Brings chunks of several files, in the order given, from so many threads, and finishes the files.
fn put_together(
    bases: &[Vec<u8>],
    brought: &[(usize, u64, Chunk)],
    counts: &[u64],
    threads: usize,
    (settings, strategy): (&Settings, Who),
) -> (Files, AssemblyStats) {
    let files = Mutex::new(Files::new());
    let assembled = assemble(settings, strategy, |assembly| {
        for (file, basis) in bases.iter().enumerate() {
            assembly.open(file, basis.len() as u64, Patch::new(basis, Vec::new())).unwrap();
        }
        thread::scope(|scope| {
            for thread in 0..threads {
                let mine = brought.iter().skip(thread).step_by(threads);
                scope
                    .spawn(move || mine.for_each(|(file, n, chunk)| assembly.submit(file, *n, chunk.clone()).unwrap()));
            }
        });
        for (file, count) in counts.iter().enumerate() {
            let files = &files;
            let done = move |patch: Patch<_, Vec<u8>>, result: Result<(), Error>| {
                let new = result.map(|()| patch.into_new()).map_err(|error| error.to_string());
                assert!(files.lock().unwrap().insert(file, new).is_none(), "an end comes once");
            };
            assembly.finish(&file, *count, done).unwrap();
        }
    });
    let Assembled { value: (), left, stats } = assembled.unwrap();
    assert!(left.is_empty());
    assert_eq!(settings.budget.used(), 0);
    (files.into_inner().unwrap(), stats)
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let literal = proptest::collection::vec(any::<u8>(), 1..400).prop_map(Part::Literal);
    let copy = (0u64..5000, 0u64..5000).prop_map(|(a, b)| Part::Copy(a.min(b), a.abs_diff(b)));
    proptest::collection::vec(prop_oneof![literal, copy], 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_permutation_of_chunks_is_the_patch(
        files in proptest::collection::vec((parts(), proptest::collection::vec(1usize..20, 0..8)), 1..5),
        order in any::<u64>(), threads in 1usize..4, workers in 1usize..4,
    ) {
        let bases: Vec<Vec<u8>> = (0..files.len()).map(|n| noise(5000, n as u64)).collect();
        let (mut brought, mut counts) = (Vec::new(), Vec::new());
        for (file, (parts, cuts)) in files.iter().enumerate() {
            let chunks = chunks(parts, cuts);
            counts.push(chunks.len() as u64);
            brought.extend((0u64..).zip(chunks).map(|(n, chunk)| (file, n, chunk)));
        }
        let mut state = order;
        brought.sort_by_cached_key(|_| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            state >> 20
        });
        let settings = settings(16 << 20, workers);
        for strategy in [Who::Sequential, Who::Parallel, Who::Auto] {
            let (made, stats) = put_together(&bases, &brought, &counts, threads, (&settings, strategy));
            for (file, (parts, _)) in files.iter().enumerate() {
                prop_assert!(made[&file].as_ref() == Ok(&sequential(&bases[file], parts)), "{} {:?}", file, strategy);
            }
            let bytes: usize = made.values().map(|new| new.as_ref().map_or(0, Vec::len)).sum();
            prop_assert_eq!((stats.files, stats.chunks), (files.len() as u64, brought.len() as u64));
            prop_assert_eq!(stats.literal + stats.copied, bytes as u64);
            let parallel = strategy == Who::Parallel;
            prop_assert_eq!(stats.inline == 0, parallel);
            prop_assert_eq!(stats.workers, if parallel { workers as u64 } else { 0 });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Of several chunks or brought whole, with a right or a wrong sum or none.
    #[test]
    fn files_that_come_whole_are_the_patch(
        files in proptest::collection::vec((parts(), any::<bool>(), 0u8..4), 1..200),
        threads in 1usize..4, workers in 1usize..4, limit in 100_000usize..4_000_000,
    ) {
        let basis = noise(5000, 7);
        let settings = settings(limit, workers);
        let wrong = |whole: bool, kind: u8| whole && kind == 0;
        for strategy in [Who::Sequential, Who::Parallel, Who::Auto] {
            let made = Mutex::new(Files::new());
            let done = |file: usize| {
                let made = &made;
                move |patch: Patch<_, Vec<u8>>, result: Result<(), Error>| {
                    let new = result.map(|()| patch.into_new()).map_err(|error| error.to_string());
                    assert!(made.lock().unwrap().insert(file, new).is_none(), "an end comes once");
                }
            };
            let assembled = assemble(&settings, strategy, |assembly| {
                thread::scope(|scope| for thread in 0..threads {
                    let (mine, basis, done) = (files.iter().enumerate().skip(thread).step_by(threads), &basis, &done);
                    scope.spawn(move || for (file, (parts, whole, kind)) in mine {
                        let (len, patch) = (basis.len() as u64, Patch::new(basis, Vec::new()));
                        if *whole {
                            let mut chunk = chunks(parts, &[]).remove(0);
                            let (strong, literal) = (Strong::Md5(Seed::None), literals(parts));
                            if *kind < 2 {
                                chunk = chunk.with_sum(strong, strong.sum(if *kind == 0 { b"other" } else { &literal[..] }));
                            }
                            assembly.whole(file, len, patch, chunk, done(file)).unwrap();
                        } else {
                            assembly.open(file, len, patch).unwrap();
                            let chunks = chunks(parts, &[2, 5]);
                            let count = chunks.len() as u64;
                            (0..).zip(chunks).for_each(|(n, chunk)| assembly.submit(&file, n, chunk).unwrap());
                            assembly.finish(&file, count, done(file)).unwrap();
                        }
                    });
                });
                assembly.settle();
                assert_eq!(made.lock().unwrap().len(), files.len(), "all have ended");
            });
            let Assembled { value: (), left, stats } = assembled.unwrap();
            prop_assert!(left.is_empty());
            prop_assert_eq!((settings.budget.used(), stats.files), (0, files.len() as u64));
            for (file, (parts, whole, kind)) in files.iter().enumerate() {
                match &made.lock().unwrap()[&file] {
                    Ok(new) => prop_assert!(!wrong(*whole, *kind) && *new == sequential(&basis, parts)),
                    Err(error) => prop_assert!(wrong(*whole, *kind), "{}", error),
                }
            }
        }
    }
}

/// Workers come when a hundred files, or 64 MiB, have come, and not for one worker alone.
#[test]
fn small_work_is_done_by_who_brings_it() {
    for (files, chunks, workers, parallel) in
        [(99, 1, 2, false), (100, 1, 2, true), (100, 1, 1, false), (1, 63, 2, false), (1, 66, 2, true)]
    {
        let chunk = literal(&noise(if files > 1 { 10 } else { 1 << 20 }, 1));
        let brought: Vec<_> = (0..files).flat_map(|file| (0..chunks).map(move |n| (file, n))).collect();
        let brought: Vec<_> = brought.into_iter().map(|(file, n)| (file, n, chunk.clone())).collect();
        let (bases, counts) = (vec![Vec::new(); files], vec![chunks; files]);
        let settings = settings(64 << 20, workers);
        let (made, stats) = put_together(&bases, &brought, &counts, 1, (&settings, Who::Auto));
        assert!(made.values().all(Result::is_ok));
        assert_eq!(stats.workers > 0, parallel, "{files} {chunks} {workers}: {stats:?}");
        assert_eq!(stats.inline < stats.chunks, parallel, "{stats:?}");
    }
}

#[test]
fn misuse_is_told_with_the_file() {
    let assembled = assemble(&settings(1 << 20, 2), Who::Parallel, |assembly| {
        let basis = Vec::new();
        let patch = || Patch::new(basis.clone(), Vec::new());
        let (a, b) = ("a", "b");
        assembly.open(a, 0, patch()).unwrap();
        assert_eq!(assembly.open(a, 0, patch()), Err(AssemblyError::Known(a)));
        assert_eq!(assembly.submit(&b, 0, Chunk::new()), Err(AssemblyError::Unknown(b)));
        assert_eq!(assembly.finish(&b, 0, |_, _| {}), Err(AssemblyError::Unknown(b)));

        assembly.submit(&a, 2, literal(b"c")).unwrap();
        assert_eq!(assembly.submit(&a, 2, literal(b"c")), Err(AssemblyError::Duplicate { file: a, chunk: 2 }));
        assembly.submit(&a, 0, literal(b"a")).unwrap();
        assert_eq!(assembly.submit(&a, 0, literal(b"a")), Err(AssemblyError::Duplicate { file: a, chunk: 0 }));
        assert_eq!(assembly.finish(&a, 3, |_, _| {}), Err(AssemblyError::Missing { file: a, chunk: 1 }));
        assert_eq!(assembly.finish(&a, 2, |_, _| {}), Err(AssemblyError::Beyond { file: a, chunk: 2, chunks: 2 }));
        assembly.submit(&a, 1, literal(b"b")).unwrap();
        assert_eq!(assembly.finish(&a, 4, |_, _| {}), Err(AssemblyError::Missing { file: a, chunk: 3 }));

        // A second end, and a chunk behind it, while the first one is on its way.
        let (go, wait) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        assembly.open(b, 0, patch()).unwrap();
        assembly.finish(&a, 3, move |patch, result| tell.send((patch.into_new(), result.is_ok())).unwrap()).unwrap();
        assert_eq!(told.recv().unwrap(), (b"abc".to_vec(), true));
        assert_eq!(assembly.finish(&a, 3, |_, _| {}), Err(AssemblyError::Unknown(a)), "it is done");
        assembly.open(a, 0, patch()).unwrap();
        assembly.finish(&a, 0, move |_, _| wait.recv().unwrap()).unwrap();
        go.send(()).unwrap();
        assembly.settle();
        // `b` is never finished.
        assembly.submit(&b, 1, literal(b"2")).unwrap();
        assembly.submit(&b, 0, literal(b"1")).unwrap();
        assembly.submit(&b, 3, literal(b"4")).unwrap();
    });
    let left: Vec<_> = assembled.unwrap().left.into_iter().map(|(key, patch)| (key, patch.into_new())).collect();
    assert_eq!(left, [("b", b"12".to_vec())], "what is in order is there");
    let text = AssemblyError::Missing { file: "dir/name", chunk: 7 }.to_string();
    assert_eq!(text, "\"dir/name\" ends without its chunk 7");
}

/// Takes tokens when it is told to.
struct Held {
    go: Arc<Mutex<mpsc::Receiver<()>>>,
    bytes: u64,
}

impl Target for Held {
    type Error = Error;

    fn apply(&mut self, token: Token<'_>) -> Result<(), Error> {
        self.go.lock().unwrap().recv().unwrap();
        self.bytes += token.len();
        Ok(())
    }
}

#[test]
fn an_end_that_was_told_twice_is_refused() {
    let (go, wait) = mpsc::channel();
    let wait = Arc::new(Mutex::new(wait));
    assemble(&settings(1 << 20, 2), Who::Parallel, |assembly| {
        assembly.open(1, 0, Held { go: Arc::clone(&wait), bytes: 0 }).unwrap();
        assembly.submit(&1, 0, literal(b"x")).unwrap();
        assembly.finish(&1, 1, |_, _| {}).unwrap();
        assert_eq!(assembly.finish(&1, 1, |_, _| {}), Err(AssemblyError::Ended(1)));
        assert_eq!(assembly.submit(&1, 1, literal(b"y")), Err(AssemblyError::Beyond { file: 1, chunk: 1, chunks: 1 }));
        go.send(()).unwrap();
        // One that comes whole is refused the same.
        let held = || Held { go: Arc::clone(&wait), bytes: 0 };
        assembly
            .whole(2, 0, held(), literal(b"x"), |held, result| assert_eq!((held.bytes, result.is_ok()), (1, true)))
            .unwrap();
        assert_eq!(assembly.whole(2, 0, held(), literal(b"x"), |_, _| {}), Err(AssemblyError::Known(2)));
        assert_eq!(assembly.open(2, 0, held()), Err(AssemblyError::Known(2)));
        assert_eq!(assembly.finish(&2, 1, |_, _| {}), Err(AssemblyError::Ended(2)));
        assert_eq!(assembly.submit(&2, 0, literal(b"y")), Err(AssemblyError::Duplicate { file: 2, chunk: 0 }));
        assert_eq!(assembly.submit(&2, 1, literal(b"y")), Err(AssemblyError::Beyond { file: 2, chunk: 1, chunks: 1 }));
        go.send(()).unwrap();
        assembly.settle();
        assert_eq!(assembly.finish(&2, 1, |_, _| {}), Err(AssemblyError::Unknown(2)), "it is done");
    })
    .unwrap();
}

/// Says when it is begun, and takes its token when it is told to.
struct Grouped {
    group: usize,
    file: usize,
    begun: mpsc::Sender<usize>,
    held: Option<Held>,
}

impl Target for Grouped {
    type Error = Error;

    fn apply(&mut self, token: Token<'_>) -> Result<(), Error> {
        self.begun.send(self.file).unwrap();
        self.held.as_mut().map_or(Ok(()), |held| held.apply(token))
    }

    fn group(&self) -> Option<usize> {
        Some(self.group)
    }
}

/// Two workers: what is in a group that one of them is at waits for him, unless it is very much.
#[test]
fn files_of_one_group_are_left_to_one_worker() {
    for (more, joins) in [(3, false), (300, true)] {
        let (go, wait) = mpsc::channel();
        let (begun, begins) = mpsc::channel();
        let wait = Arc::new(Mutex::new(wait));
        let assembled = assemble(&settings(64 << 20, 2), Who::Parallel, |assembly| {
            let bring = |group, file, held: Option<Held>| {
                let target = Grouped { group, file, begun: begun.clone(), held };
                assembly.whole(file, 0, target, literal(b"x"), |_, result| assert!(result.is_ok())).unwrap();
            };
            bring(7, 0, Some(Held { go: Arc::clone(&wait), bytes: 0 }));
            assert_eq!(begins.recv().unwrap(), 0);
            (1..=more).for_each(|file| bring(7, file, None));
            if joins {
                assert_eq!(begins.recv().unwrap(), 1, "the other worker helps");
            }
            bring(8, 1000, None);
            let mut others: Vec<_> =
                std::iter::from_fn(|| Some(begins.recv().unwrap())).take_while(|file| *file < 1000).collect();
            assert_eq!(others.is_empty(), !joins, "{others:?}");
            go.send(()).unwrap();
            assembly.settle();
            others.extend(begins.try_iter());
            assert_eq!(others.len(), if joins { more - 1 } else { more }, "all the same, everything is done");
        });
        assert_eq!(assembled.unwrap().stats.files, more as u64 + 2);
    }
}

#[test]
fn who_brings_too_much_waits_for_what_is_on_its_way() {
    let (go, wait) = mpsc::channel();
    let wait = Arc::new(Mutex::new(wait));
    let settings = settings(400_000, 2);
    let assembled = assemble(&settings, Who::Parallel, |assembly| {
        for file in 0..2 {
            assembly.open(file, 0, Held { go: Arc::clone(&wait), bytes: 0 }).unwrap();
        }
        assembly.submit(&0, 0, literal(&[1; 60_000])).unwrap();
        thread::scope(|scope| {
            // 100,000 bytes are set aside.
            let second = scope.spawn(|| assembly.submit(&1, 0, literal(&[1; 60_000])));
            while assembly.stats().waits == 0 {
                thread::yield_now();
            }
            assert!(!second.is_finished());
            go.send(()).unwrap();
            second.join().unwrap().unwrap();
        });
        go.send(()).unwrap();
        // More than all of it is taken when it is alone.
        go.send(()).unwrap();
        assembly.settle();
        assembly.submit(&1, 1, literal(&[1; 300_000])).unwrap();
    });
    let Assembled { left, stats, .. } = assembled.unwrap();
    assert_eq!(left.iter().map(|(_, target)| target.bytes).sum::<u64>(), 420_000);
    assert_eq!(stats.waits, 1);
    assert!((300_000..310_000).contains(&stats.peak), "{}", stats.peak);
    assert_eq!(settings.budget.overdraft_peak(), 0, "the rest of the budget was free");
}

#[test]
fn long_chunks_of_one_file_leave_room_for_the_next() {
    let (go, wait) = mpsc::channel();
    let held = Held { go: Arc::new(Mutex::new(wait)), bytes: 0 };
    let (send, free) = mpsc::channel();
    send.send(()).unwrap();
    let (ended, end) = mpsc::channel();
    // 16 MiB are set aside.
    let assembled = assemble(&settings(64 << 20, 2), Who::Parallel, |assembly| {
        assembly.open(0, 1 << 30, held).unwrap();
        assembly.open(1, 0, Held { go: Arc::new(Mutex::new(free)), bytes: 0 }).unwrap();
        let mut long = literal(&[1; 500_000]);
        long.push(Token::Copy { offset: 0, len: 16 << 20 });
        thread::scope(|scope| {
            let brings = scope.spawn(|| {
                // 4 MB wait for a worker that does not go on.
                (0..8).for_each(|n| assembly.submit(&0, n, long.clone()).unwrap());
                assembly.submit(&1, 0, literal(&[1; 60_000])).unwrap();
                assembly.finish(&1, 1, move |_, result| ended.send(result.is_ok()).unwrap()).unwrap();
            });
            while !brings.is_finished() && assembly.stats().waits == 0 {
                thread::yield_now();
            }
            let waits = assembly.stats().waits;
            let whole = (waits == 0).then(|| end.recv().unwrap());
            (0..16).for_each(|_| go.send(()).unwrap());
            assert_eq!((waits, whole), (0, Some(true)));
        });
    });
    let Assembled { left, stats, .. } = assembled.unwrap();
    assert_eq!(left.iter().map(|(_, target)| target.bytes).sum::<u64>(), 8 * (500_000 + (16 << 20)));
    assert_eq!((stats.files, stats.chunks), (2, 9));
}

/// A worker that is busy with one file for long does not keep who waits for another from hearing that there is room.
#[test]
fn who_waits_hears_of_room_whatever_long_chunks_hold() {
    let held = || {
        let (go, wait) = mpsc::channel();
        (go, Held { go: Arc::new(Mutex::new(wait)), bytes: 0 })
    };
    let ((long_go, long_file), (short_go, short_file)) = (held(), held());
    let (ended, end) = mpsc::channel();
    // 16 MiB are set aside.
    let assembled = assemble(&settings(64 << 20, 2), Who::Parallel, |assembly| {
        assembly.open(0, 1 << 30, long_file).unwrap();
        assembly.open(1, 0, short_file).unwrap();
        let mut long = literal(&[1; 500_000]);
        long.push(Token::Copy { offset: 0, len: 16 << 20 });
        thread::scope(|scope| {
            // More than half of them wait for a worker that does not go on.
            (0..20).for_each(|n| assembly.submit(&0, n, long.clone()).unwrap());
            scope.spawn(|| {
                (0..40).for_each(|n| assembly.submit(&1, n, literal(&[1; 60_000])).unwrap());
                assembly.finish(&1, 40, move |_, result| ended.send(result.is_ok()).unwrap()).unwrap();
            });
            while assembly.stats().waits == 0 {
                thread::yield_now();
            }
            (0..40).for_each(|_| short_go.send(()).unwrap());
            let whole = end.recv_timeout(Duration::from_secs(20));
            (0..40).for_each(|_| long_go.send(()).unwrap());
            assert_eq!(whole, Ok(true));
        });
    });
    let Assembled { left, stats, .. } = assembled.unwrap();
    assert_eq!((left.len(), stats.chunks, stats.waits > 0), (1, 60, true));
}

#[test]
fn chunks_too_far_ahead_are_refused() {
    let assembled = assemble(&settings(400_000, 2), Who::Parallel, |assembly| {
        assembly.open('f', 0, Patch::new(Vec::<u8>::new(), Vec::new())).unwrap();
        let chunk = literal(&[1; 30_000]);
        for n in [2, 3, 4] {
            assembly.submit(&'f', n, chunk.clone()).unwrap();
        }
        assert_eq!(assembly.submit(&'f', 5, chunk.clone()), Err(AssemblyError::Ahead { file: 'f', chunk: 5 }));
        assembly.submit(&'f', 0, chunk.clone()).unwrap();
        assembly.submit(&'f', 1, chunk.clone()).unwrap();
        assembly.submit(&'f', 5, chunk.clone()).unwrap();
        assembly.finish(&'f', 6, |patch, result| assert_eq!((patch.into_new().len(), result.is_ok()), (180_000, true)))
    });
    let Assembled { value, stats, .. } = assembled.unwrap();
    assert_eq!(value, Ok(()));
    assert!((90_000..92_000).contains(&stats.peak_ahead), "{}", stats.peak_ahead);
}

#[test]
fn a_wrong_chunk_ends_its_file_and_no_other() {
    let (good, bad) = (literal(b"good"), literal(b"bad"));
    let sum = |bytes: &[u8]| Strong::Md5(Seed::None).sum(bytes);
    let sealed = |chunk: &Chunk, bytes| chunk.clone().with_sum(Strong::Md5(Seed::None), sum(bytes));
    let mut beyond = literal(b"x");
    beyond.push(Token::Copy { offset: 90, len: 11 });
    let mut overflow = literal(b"y");
    overflow.push(Token::Copy { offset: u64::MAX, len: 2 });
    let brought = [
        (0, 0, good.clone()),
        (0, 1, sealed(&bad, b"good")),
        (0, 2, good.clone()),
        (1, 0, sealed(&good, b"good")),
        (2, 0, beyond),
        (3, 0, overflow),
    ];
    for (strategy, threads) in [(Who::Sequential, 1), (Who::Parallel, 1), (Who::Parallel, 3)] {
        let bases = vec![noise(100, 1); 4];
        let (made, stats) = put_together(&bases, &brought, &[3, 1, 1, 1], threads, (&settings(1 << 20, 2), strategy));
        assert_eq!(made[&0], Err("a chunk is not what its sum says".to_owned()));
        assert_eq!(made[&1], Ok(b"good".to_vec()));
        for file in [2, 3] {
            assert_eq!(made[&file], Err("read the basis: it ends at 100, before it should".to_owned()));
        }
        assert_eq!((stats.chunks, stats.literal), (6, 8), "the later chunks are dropped");
    }
}

#[test]
fn cancelling_ends_all_files() {
    let settings = settings(1 << 20, 2);
    settings.cancel.cancel();
    let brought: Vec<_> = (0..3).map(|file| (file, 0, literal(b"x"))).collect();
    let (made, _) = put_together(&vec![Vec::new(); 3], &brought, &[1; 3], 1, (&settings, Who::Parallel));
    assert!(made.values().all(|new| *new == Err("cancelled".to_owned())));
}

struct Panics;

impl Target for Panics {
    type Error = Error;

    fn apply(&mut self, _: Token<'_>) -> Result<(), Error> {
        panic!("on purpose")
    }
}

#[test]
fn a_panic_ends_everything_and_hangs_nobody() {
    for strategy in [Who::Sequential, Who::Parallel] {
        let result = std::panic::catch_unwind(|| {
            assemble(&settings(1 << 20, 2), strategy, |assembly| {
                assembly.open(1, 0, Panics).unwrap();
                assembly.submit(&1, 0, literal(b"x")).unwrap();
                assembly.finish(&1, 1, |_, _| {}).unwrap_or_default();
                assembly.settle();
                assert_eq!(assembly.open(2, 0, Panics), Err(AssemblyError::Panicked));
            })
        });
        assert!(result.is_err());
    }
    // One of the caller's own.
    let result = std::panic::catch_unwind(|| {
        assemble(&settings(1 << 20, 2), Who::Parallel, |assembly| {
            assembly.open(1, 0, Patch::new(Vec::<u8>::new(), Vec::new())).unwrap();
            assembly.submit(&1, 0, literal(b"x")).unwrap();
            panic!("on purpose")
        })
        .map(|assembled: Assembled<_, _, ()>| assembled.stats)
    });
    assert!(result.is_err());
}

#[test]
fn a_budget_that_is_promised_to_others_is_refused() {
    let settings = settings(1000, 1);
    let _others = settings.budget.consumer("others", 900).unwrap();
    let assembled = assemble(&settings, Who::Auto, |_: &forebay_delta::Assembly<'_, '_, u8, Held>| ());
    assert!(matches!(assembled.map(|assembled| assembled.stats), Err(Error::Memory(_))));
}
