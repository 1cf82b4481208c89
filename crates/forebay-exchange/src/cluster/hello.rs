//! The handshake: four frames of fixed size, on every connection, before anything else.
//!
//! ```text
//! connector                          listener
//!   Hello   ───────────────────────►            who I am, what I run, 32 random bytes
//!           ◄───────────────────────   Hello    the same of the other side
//!   proof   ───────────────────────►            HMAC-SHA-256(secret, "connector", both hellos)
//!           ◄───────────────────────   Answer   a verdict, HMAC-SHA-256(secret, "listener", both hellos)
//! ```
//!
//! The random bytes of both sides are in both proofs, so neither can be played back, and the two labels keep one side's
//! proof from being sent back to it. The listener learns nothing to its disadvantage before the connector has proved
//! itself, and says `Duplicate` or `Running` only to those who know the secret.
//!
//! *What it does not do*: it hides nothing and signs nothing that comes afterwards. Whoever can change packets on the
//! way can take over a connection; use a network that you trust, or a tunnel. Without a secret the key is empty: the
//! handshake then catches mistakes (another job, another hosts file, a scanner), not somebody who reads this.
//!
//! | bytes of a hello | |
//! |---|---|
//! | 0..8 | `forebayX` |
//! | 8..12 | version of the protocol; this and all numbers big-endian |
//! | 12..14 | 0x0102 in the byte order of the machine |
//! | 14..16 | role of the connection: 1 control, 2 data |
//! | 16..20, 20..24 | number of the process, number of processes |
//! | 24..40 | incarnation: random, once per process |
//! | 40..72 | SHA-256 of the job |
//! | 72..104 | random, once per connection |

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::error::{ClusterError, Refusal};

/// The version of all that processes say to each other.
pub(crate) const VERSION: u32 = 3;
/// The bytes of a [`Hello`].
pub(crate) const HELLO: usize = 104;
/// The bytes of a proof.
pub(crate) const PROOF: usize = 32;
/// The bytes of an answer: a verdict and a proof.
pub(crate) const ANSWER: usize = 1 + PROOF;

const MAGIC: &[u8; 8] = b"forebayX";
const ORDER: u16 = 0x0102;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Heartbeats, barriers, the end of the run.
    Control,
    /// The rows.
    Data,
}

/// What one process tells another first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// What the connection is for.
    pub role: Role,
    /// The number of the process.
    pub process: u32,
    /// The number of processes.
    pub processes: u32,
    /// Random, once per process.
    pub incarnation: [u8; 16],
    /// SHA-256 of the job.
    pub job: [u8; 32],
    /// Random, once per connection.
    pub nonce: [u8; 32],
}

/// One of the two ends, as they are told apart in the proofs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Connector,
    Listener,
}

impl Hello {
    /// The bytes of the frame.
    pub fn encode(&self) -> [u8; HELLO] {
        let mut bytes = [0; HELLO];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_be_bytes());
        bytes[12..14].copy_from_slice(&ORDER.to_ne_bytes());
        bytes[14..16].copy_from_slice(&(if self.role == Role::Control { 1u16 } else { 2 }).to_be_bytes());
        bytes[16..20].copy_from_slice(&self.process.to_be_bytes());
        bytes[20..24].copy_from_slice(&self.processes.to_be_bytes());
        bytes[24..40].copy_from_slice(&self.incarnation);
        bytes[40..72].copy_from_slice(&self.job);
        bytes[72..].copy_from_slice(&self.nonce);
        bytes
    }

    /// What `bytes` say.
    ///
    /// # Errors
    /// `Stranger`, `Version` or `ByteOrder`: the rest of the frame means nothing then.
    pub fn decode(bytes: &[u8; HELLO]) -> Result<Hello, Refusal> {
        if &bytes[..8] != MAGIC {
            return Err(Refusal::Stranger);
        }
        let theirs = u32::from_be_bytes(array(bytes, 8));
        if theirs != VERSION {
            return Err(Refusal::Version { theirs });
        }
        let order: [u8; 2] = array(bytes, 12);
        if order != ORDER.to_ne_bytes() {
            return Err(if order == ORDER.swap_bytes().to_ne_bytes() { Refusal::ByteOrder } else { Refusal::Stranger });
        }
        let role = match u16::from_be_bytes(array(bytes, 14)) {
            1 => Role::Control,
            2 => Role::Data,
            _ => return Err(Refusal::Stranger),
        };
        Ok(Hello {
            role,
            process: u32::from_be_bytes(array(bytes, 16)),
            processes: u32::from_be_bytes(array(bytes, 20)),
            incarnation: array(bytes, 24),
            job: array(bytes, 40),
            nonce: array(bytes, 72),
        })
    }

    /// Whether the process that says `self` can work with the one that says `theirs`.
    pub(crate) fn agrees(&self, theirs: &Hello) -> Result<(), Refusal> {
        if theirs.processes != self.processes {
            Err(Refusal::Count { theirs: theirs.processes })
        } else if theirs.job != self.job {
            Err(Refusal::Job)
        } else {
            Ok(())
        }
    }
}

/// Who a process is: what all its hellos have in common, and the secret.
pub(crate) struct Identity {
    pub(crate) process: u32,
    pub(crate) processes: u32,
    pub(crate) incarnation: [u8; 16],
    job: [u8; 32],
    secret: Vec<u8>,
}

impl Identity {
    pub(crate) fn new(process: u32, processes: u32, job: &str, secret: Vec<u8>) -> Result<Identity, ClusterError> {
        let job = Sha256::digest(job.as_bytes()).into();
        Ok(Identity { process, processes, incarnation: random()?, job, secret })
    }

    /// A hello for one connection.
    pub(crate) fn hello(&self, role: Role) -> Result<Hello, ClusterError> {
        let Identity { process, processes, incarnation, job, .. } = *self;
        Ok(Hello { role, process, processes, incarnation, job, nonce: random()? })
    }

    /// The proof that `end` knows the secret.
    pub(crate) fn proof(&self, end: End, connector: &Hello, listener: &Hello) -> [u8; PROOF] {
        self.mac(end, connector, listener).finalize().into_bytes().into()
    }

    /// Whether `proof` is that of `end`, in a time that does not depend on where it differs.
    pub(crate) fn proves(&self, end: End, connector: &Hello, listener: &Hello, proof: &[u8]) -> bool {
        self.mac(end, connector, listener).verify_slice(proof).is_ok()
    }

    fn mac(&self, end: End, connector: &Hello, listener: &Hello) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("a key of any length");
        mac.update(match end {
            End::Connector => b"forebay connector",
            End::Listener => b"forebay listener ",
        });
        mac.update(&connector.encode());
        mac.update(&listener.encode());
        mac
    }
}

/// The listener's last frame.
pub(crate) fn answer(verdict: Result<[u8; PROOF], Refusal>) -> [u8; ANSWER] {
    let mut bytes = [0; ANSWER];
    match verdict {
        Ok(proof) => bytes[1..].copy_from_slice(&proof),
        Err(Refusal::Secret) => bytes[0] = 1,
        Err(Refusal::Duplicate) => bytes[0] = 2,
        Err(Refusal::Running) => bytes[0] = 3,
        Err(_) => bytes[0] = 4,
    }
    bytes
}

/// What the listener's last frame says: its proof, or why it refuses.
pub(crate) fn verdict(bytes: &[u8; ANSWER]) -> Result<[u8; PROOF], Refusal> {
    match bytes[0] {
        0 => Ok(array(bytes, 1)),
        1 => Err(Refusal::Secret),
        2 => Err(Refusal::Duplicate),
        3 => Err(Refusal::Running),
        4 => Err(Refusal::Over),
        _ => Err(Refusal::Stranger),
    }
}

fn random<const N: usize>() -> Result<[u8; N], ClusterError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| ClusterError::Random { problem: error.to_string() })?;
    Ok(bytes)
}

/// The `N` bytes of `bytes` from `at` on, which are there.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes[at + i])
}
