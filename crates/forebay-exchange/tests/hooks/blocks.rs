//! Messages that know what they contain, and programs that send them past a receiver who does not look yet.

use std::io::Write;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use forebay_exchange::hooks::{Built, SpillMonitor, SpillOptions, build};
use timely::CommunicationConfig;
use timely::bytes::arc::Bytes;
use timely::communication::{Bytesable, initialize_from};

/// `words` numbers that follow from `seq`.
pub(crate) struct Block {
    pub(crate) seq: u64,
    pub(crate) words: usize,
}

impl Block {
    fn word(seq: u64, at: usize) -> u64 {
        (seq + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ at as u64
    }
}

impl Bytesable for Block {
    fn from_bytes(bytes: Bytes) -> Self {
        assert_eq!(bytes.as_ptr().align_offset(8), 0, "messages begin at a multiple of eight");
        let mut words = bytes.chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
        let seq = words.next().unwrap();
        let mut count = 0;
        for (at, word) in words.enumerate() {
            assert_eq!(word, Self::word(seq, at));
            count += 1;
        }
        Block { seq, words: count }
    }

    fn length_in_bytes(&self) -> usize {
        8 + 8 * self.words
    }

    fn into_bytes<W: Write>(&self, writer: &mut W) {
        writer.write_all(&self.seq.to_le_bytes()).unwrap();
        let words: Vec<u8> = (0..self.words).flat_map(|at| Self::word(self.seq, at).to_le_bytes()).collect();
        writer.write_all(&words).unwrap();
    }
}

/// What became of a program.
pub(crate) struct Outcome {
    /// Of each worker: how many blocks it received, or that it panicked.
    pub(crate) received: Vec<Result<u64, String>>,
    pub(crate) monitor: SpillMonitor,
}

/// Two workers in this process. The first sends `count` blocks of `words` numbers to the second, which does not look
/// before the last one is sent and `before_receiving` was called; then it takes them all.
pub(crate) fn past_a_withheld_receiver(
    options: SpillOptions,
    count: u64,
    words: usize,
    before_receiving: impl Fn() + Send + Sync + 'static,
) -> Outcome {
    let Built { builders, others, monitor, .. } = build(CommunicationConfig::ProcessBinary(2), options).unwrap();
    let (sent, all_sent) = channel::<()>();
    let (sent, all_sent) = (Mutex::new(Some(sent)), Mutex::new(all_sent));
    let guards = initialize_from(builders, others, move |mut allocator| {
        let (mut senders, mut receiver) = allocator.allocate(0);
        if allocator.index() == 0 {
            // Dropped when all is sent, and by a panic.
            let _sent = sent.lock().unwrap().take();
            for seq in 0..count {
                senders[1].send(Block { seq, words });
            }
            allocator.release();
            return 0;
        }
        drop(senders);
        assert!(all_sent.lock().unwrap().recv().is_err());
        before_receiving();
        let mut next = 0;
        while next < count {
            allocator.receive();
            while let Some(Block { seq, words: got }) = receiver.recv() {
                assert_eq!((seq, got), (next, words));
                next += 1;
            }
        }
        next
    });
    Outcome { received: guards.unwrap().join(), monitor }
}
