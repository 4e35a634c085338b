//! What every lane of a source needs of a batch, computed once: identities, and rows by key.

use std::sync::OnceLock;

use arrow::array::{Array, AsArray, StringArray};
use definitions::{EventBatch, Source};
use hashbrown::HashTable;

use crate::{Identity, text::equal};

/// A batch with its identities hashed and its rows grouped by key: made once, used by every lane of the
/// source.
#[derive(Debug)]
pub struct Prepared<'a> {
    batch: &'a EventBatch,
    rejected: Vec<bool>,
    identities: Vec<Identity>,
    keys: Vec<OnceLock<Keys<'a>>>,
}

/// The distinct keys of a column.
#[derive(Debug)]
pub(crate) struct Keys<'a> {
    column: &'a StringArray,
    /// Index into `distinct` per row; [`Keys::NONE`] where the key is null or empty or the row is rejected.
    pub(crate) of_row: Vec<u32>,
    pub(crate) distinct: Vec<Key>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    pub(crate) hash: u64,
    first_row: u32,
}

impl<'a> Prepared<'a> {
    /// Prepares a batch of `source`, as its decoder made it.
    ///
    /// # Panics
    /// When the batch is not of that source: its event id must be a `Utf8` column.
    #[must_use]
    pub fn new(batch: &'a EventBatch, source: &Source) -> Self {
        let rows = batch.offsets.len();
        let mut rejected = vec![false; rows];
        for rejection in &batch.rejections {
            rejected[rejection.row] = true;
        }
        let ids: &StringArray = batch.columns.column(source.event_id).as_string();
        let identity =
            |row| if rejected[row] { Identity::of("") } else { Identity::of(ids.value(row)) };
        let identities = (0..rows).map(identity).collect();
        let keys = (0..batch.columns.num_columns()).map(|_| OnceLock::new()).collect();
        Self { batch, rejected, identities, keys }
    }

    /// The batch.
    #[must_use]
    pub fn batch(&self) -> &'a EventBatch {
        self.batch
    }

    /// The identity of a row; meaningless for a rejected one.
    #[must_use]
    pub fn identity(&self, row: usize) -> Identity {
        self.identities[row]
    }

    pub(crate) fn keys(&self, column: usize) -> &Keys<'a> {
        self.keys[column].get_or_init(|| {
            Keys::new(self.batch.columns.column(column).as_string(), &self.rejected)
        })
    }
}

impl<'a> Keys<'a> {
    pub(crate) const NONE: u32 = u32::MAX;

    fn new(column: &'a StringArray, rejected: &[bool]) -> Self {
        let mut distinct: Vec<Key> = Vec::new();
        let mut table: HashTable<u32> = HashTable::with_capacity(column.len().min(4096));
        let mut of_row = vec![Self::NONE; column.len()];
        for (row, index) in of_row.iter_mut().enumerate() {
            if rejected[row] || column.is_null(row) || column.value(row).is_empty() {
                continue;
            }
            let key = column.value(row);
            let hash = hash(key.as_bytes());
            let same = |&i: &u32| {
                let seen = distinct[i as usize];
                seen.hash == hash
                    && equal(column.value(seen.first_row as usize).as_bytes(), key.as_bytes())
            };
            *index = match table.find(hash, same) {
                Some(found) => *found,
                None => {
                    let next = distinct.len() as u32;
                    distinct.push(Key { hash, first_row: row as u32 });
                    table.insert_unique(hash, next, |&i| distinct[i as usize].hash);
                    next
                }
            };
        }
        Self { column, of_row, distinct }
    }

    pub(crate) fn text(&self, index: u32) -> &'a str {
        self.column.value(self.distinct[index as usize].first_row as usize)
    }
}

/// Hash of a key in memory: folded 128-bit products over 8-byte words, the last of which overlaps the one
/// before. It is never stored.
#[inline]
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    const K: [u64; 3] = [0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93, 0xa24b_aed4_963e_e407];
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        product as u64 ^ (product >> 64) as u64
    };
    let mut state = K[0] ^ K[2].wrapping_mul(bytes.len() as u64);
    let last = match bytes.last_chunk::<8>() {
        Some(last) => {
            for word in bytes[..bytes.len() - 1].chunks_exact(8) {
                let word = u64::from_le_bytes(word.try_into().expect("chunks of 8"));
                state = fold(state ^ word, K[1]);
            }
            u64::from_le_bytes(*last)
        }
        None => bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    fold(fold(state ^ last, K[1]), K[0])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_byte_of_a_key_and_its_length_change_the_hash() {
        let mut seen = BTreeSet::new();
        for length in 0..40 {
            let mut key = vec![0u8; length];
            assert!(seen.insert(hash(&key)), "{length} zeros");
            for at in 0..length {
                key[at] = 1;
                assert!(seen.insert(hash(&key)), "{at} of {length}");
                key[at] = 0;
            }
        }
    }
}
