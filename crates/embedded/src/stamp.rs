//! What each batch says of itself, as its last item: fjall's checksum covers the items of a batch, but neither
//! its sequence number nor its place among the others.

use fjall::{Keyspace, KeyspaceCreateOptions};

use crate::memtables;

/// Where it lies. It is written to be in the journal; an opening reads the last one from here, for no journal may
/// have it any more.
pub(crate) const KEYSPACE: &str = "batches";
/// As no key of the log or the store begins.
pub(crate) const KEY: [u8; 16] = *b"\xfftwofold.batch.1";
/// Bytes of a stamp.
pub(crate) const BYTES: usize = 16;
/// About the most bytes of stamps in memory: a journal is kept until the stamps in it are in a table.
const MEMTABLE_BYTES: u64 = 768 << 10;

/// Bytes of stamps in memory, where the others may have `memtable_bytes`.
pub(crate) fn memtable_bytes(memtable_bytes: Option<u64>) -> u64 {
    memtable_bytes.unwrap_or(MEMTABLE_BYTES).min(MEMTABLE_BYTES)
}

/// How the keyspace is created.
pub(crate) fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(memtables::NEVER)
}

/// Number of the last batch; 0: there is none.
///
/// # Errors
/// When the library cannot read it.
pub(crate) fn last(stamps: &Keyspace) -> fjall::Result<u64> {
    let stamp = stamps.get(KEY)?;
    let stamp = stamp.and_then(|bytes| Some(Stamp::decode(bytes.as_ref().try_into().ok()?)));
    Ok(stamp.map_or(0, |stamp| stamp.number))
}

/// A batch's number and the least sequence number that it can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Of the batches in the order of the journal, from 1, without a gap.
    pub(crate) number: u64,
    /// Greater than every sequence number before. The batch got this one, or a slightly greater one if tables
    /// were written at the same moment.
    pub(crate) seqno_min: u64,
}

impl Stamp {
    pub(crate) fn encode(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&self.number.to_be_bytes());
        bytes[8..].copy_from_slice(&self.seqno_min.to_be_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: [u8; BYTES]) -> Self {
        let half = |at: usize| u64::from_be_bytes(std::array::from_fn(|i| bytes[at + i]));
        Self { number: half(0), seqno_min: half(8) }
    }
}
