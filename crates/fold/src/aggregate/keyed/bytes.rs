//! The bytes of counts by key: what repeats from key to key and from tile to tile is not written again.
//!
//! Of each tile the number of keys (0: buckets), then of each key, ascending, a number that holds its count
//! and its form: a text or a number (see [`crate::numbered`]), or [`AGAIN`], a key of the next newer tile,
//! and then how many keys of that one it passes over.

use definitions::lane::BY_BYTES_MAX;
use record::EventTime;

use super::{BUCKETS, Counts};
use crate::{
    Error,
    aggregate::wide::{decode_tiles, encode_tiles},
    codec::{Reader, put_u64},
    numbered::Numbered,
    text::Text,
    tiles::{Tiles, Tiling},
};

const FORM_BITS: u32 = 2;
const FORM_MASK: u64 = (1 << FORM_BITS) - 1;
/// The form beside those of [`crate::numbered`].
const AGAIN: u8 = 3;
const COUNT_MAX: u64 = 1 << 53;

/// A walk along the keys of the next newer tile.
struct Newer<'a> {
    keys: &'a [(Text, u64)],
    /// What lies before it is less than all keys to come: each is looked at once, found or not.
    at: usize,
    /// Behind the last one that was found: what is passed over counts from there.
    told: usize,
}

impl<'a> Newer<'a> {
    fn new(newer: Option<&'a Counts>) -> Self {
        let keys = match newer {
            Some(Counts::Exact(keys)) => &keys[..],
            Some(Counts::Buckets(_)) | None => &[],
        };
        Self { keys, at: 0, told: 0 }
    }

    /// How many keys are passed over on the way to `key`, if it is there.
    #[inline]
    fn find(&mut self, key: &Text) -> Option<usize> {
        self.at += self.keys[self.at..].iter().take_while(|newer| newer.0 < *key).count();
        if self.keys.get(self.at).is_none_or(|newer| newer.0 != *key) {
            return None;
        }
        let passed = self.at - self.told;
        self.at += 1;
        self.told = self.at;
        Some(passed)
    }

    fn pass(&mut self, passed: usize) -> Option<&'a Text> {
        let (key, _) = self.keys[self.told..].get(passed)?;
        self.told += passed + 1;
        self.at = self.told;
        Some(key)
    }
}

pub(crate) fn encode(
    tiling: Tiling,
    tiles: &Tiles<Counts>,
    greatest: EventTime,
    out: &mut Vec<u8>,
) {
    let (top, oldest) = (tiling.tile(greatest.0), tiling.oldest_kept(greatest.0));
    let mut keys = Numbered::default();
    encode_tiles(tiles, top, oldest, out, |counts, newer, out| match counts {
        Counts::Exact(entries) => {
            put_u64(out, entries.len() as u64);
            let mut newer = Newer::new(newer);
            for (key, count) in entries {
                if let Some(passed) = newer.find(key) {
                    put_u64(out, count << FORM_BITS | u64::from(AGAIN));
                    put_u64(out, passed as u64);
                } else {
                    let form = keys.form(key.as_bytes());
                    put_u64(out, count << FORM_BITS | u64::from(form.0));
                    keys.put(key.as_bytes(), form, out);
                }
            }
        }
        Counts::Buckets(buckets) => {
            put_u64(out, 0);
            buckets.iter().for_each(|count| put_u64(out, *count));
        }
    });
}

pub(crate) fn decode(
    limit: usize,
    tiling: Tiling,
    reader: &mut Reader<'_>,
    greatest: EventTime,
) -> Result<Tiles<Counts>, Error> {
    let (top, oldest) = (tiling.tile(greatest.0), tiling.oldest_kept(greatest.0));
    let (mut numbered, mut scratch) = (Numbered::default(), String::new());
    decode_tiles(reader, top, oldest, |reader, newer| {
        let keys = reader.length(2)?;
        if keys == 0 {
            return decode_buckets(limit, reader);
        }
        reader.ensure(keys <= limit, "more keys than the limit")?;
        let mut newer = Newer::new(newer);
        let mut entries: Vec<(Text, u64)> = Vec::with_capacity(keys);
        for _ in 0..keys {
            let head = reader.u64()?;
            let (form, count) = ((head & FORM_MASK) as u8, head >> FORM_BITS);
            reader.ensure((1..=COUNT_MAX).contains(&count), "a count that no log can give")?;
            let key = if form == AGAIN {
                let passed = usize::try_from(reader.u64()?).unwrap_or(usize::MAX);
                let key = newer.pass(passed);
                key.ok_or_else(|| reader.damaged("no such key in the newer tile"))?.clone()
            } else {
                let key = Text::from(numbered.get(reader, form, BY_BYTES_MAX, &mut scratch)?);
                reader.ensure(newer.find(&key).is_none(), "a key told twice")?;
                key
            };
            let ascending = entries.last().is_none_or(|last| last.0 < key);
            reader.ensure(ascending, "keys out of order")?;
            entries.push((key, count));
        }
        Ok(Counts::Exact(entries.into_boxed_slice()))
    })
}

fn decode_buckets(limit: usize, reader: &mut Reader<'_>) -> Result<Counts, Error> {
    let mut buckets = Box::new([0; BUCKETS]);
    let mut total = 0u64;
    for count in buckets.iter_mut() {
        *count = reader.u64()?;
        reader.ensure(*count <= COUNT_MAX, "a count that no log can give")?;
        total += *count;
    }
    reader.ensure(total > limit as u64, "buckets of fewer rows than the limit")?;
    Ok(Counts::Buckets(buckets))
}
