//! Reads numbers and texts out of bytes that nobody vouches for.

use crate::Error;
use crate::index::Scored;

const DIGEST_BYTES: usize = 32;

/// A cursor over the bytes; every read is checked.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn damaged(&self, what: &'static str) -> Error {
        Error::Damaged { at: self.at, what }
    }

    /// Checks the digest at the end and cuts it off.
    pub(super) fn checked(&mut self) -> Result<[u8; 32], Error> {
        let Some((body, digest)) = self.bytes.split_last_chunk::<DIGEST_BYTES>() else {
            return Err(self.damaged("cut short"));
        };
        if blake3::hash(body).as_bytes() != digest || self.at > body.len() {
            return Err(self.damaged("the checksum does not match"));
        }
        self.bytes = body;
        Ok(*digest)
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| self.damaged("cut short"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        Ok(self.take(N)?.try_into().expect("as many bytes as were asked for"))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn i64(&mut self) -> Result<i64, Error> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// A count of things of at least `bytes_each`, so that a wrong count cannot ask for memory.
    pub(super) fn count(&mut self, bytes_each: usize) -> Result<usize, Error> {
        let count = self.u64()?;
        let left = (self.bytes.len() - self.at) / bytes_each;
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= left)
            .ok_or_else(|| self.damaged("more entries than bytes"))
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Error> {
        let count = self.count(1)?;
        let bytes = self.take(count)?;
        std::str::from_utf8(bytes).map_err(|_| self.damaged("text that is not UTF-8"))
    }

    /// Numbers below `limit`.
    pub(super) fn numbers(&mut self, limit: u32) -> Result<Vec<u32>, Error> {
        let count = self.count(4)?;
        let numbers = (0..count).map(|_| self.u32()).collect::<Result<Vec<_>, _>>()?;
        if numbers.iter().any(|number| *number >= limit) {
            return Err(self.damaged("a number beyond its limit"));
        }
        Ok(numbers)
    }

    pub(super) fn scored(&mut self, items: usize) -> Result<Vec<Scored>, Error> {
        let count = self.count(12)?;
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let item = self.u32()?;
            let score = f64::from_le_bytes(self.array()?);
            if item as usize >= items || !score.is_finite() {
                return Err(self.damaged("a score of no item, or no score"));
            }
            entries.push(Scored { item, score });
        }
        Ok(entries)
    }

    /// Checks that `bounds` cut `entries` things into `count` runs.
    pub(super) fn check_bounds(
        &self,
        bounds: &[u32],
        count: usize,
        entries: usize,
    ) -> Result<(), Error> {
        let ends = bounds.first() == Some(&0) && bounds.last() == Some(&(entries as u32));
        let whole = bounds.len() == count + 1 && bounds.is_sorted();
        if ends && whole { Ok(()) } else { Err(self.damaged("bounds that do not fit")) }
    }

    pub(super) fn end(&self) -> Result<(), Error> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.damaged("bytes left over")) }
    }
}
