//! Varints and texts of the canonical encoding: one way to write each value, and the reader
//! refuses every other way, so that bytes that decode are bytes that were encoded.

use crate::Error;

pub(crate) fn put_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_u128(out: &mut Vec<u8>, mut value: u128) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Zigzag, so that small negative values are short too.
pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, ((value << 1) ^ (value >> 63)) as u64);
}

pub(crate) fn put_i128(out: &mut Vec<u8>, value: i128) {
    put_u128(out, ((value << 1) ^ (value >> 127)) as u128);
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_u64(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// Reads what the `put_*` functions wrote; every failure names the byte.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn damaged(&self, what: &'static str) -> Error {
        Error::Damaged { at: self.at, what }
    }

    pub(crate) fn ensure(&self, holds: bool, what: &'static str) -> Result<(), Error> {
        if holds { Ok(()) } else { Err(self.damaged(what)) }
    }

    pub(crate) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn finish(self) -> Result<(), Error> {
        self.ensure(self.left() == 0, "bytes after the end")
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        let byte = *self.bytes.get(self.at).ok_or_else(|| self.damaged("the bytes end early"))?;
        self.at += 1;
        Ok(byte)
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        self.ensure(length <= self.left(), "the bytes end early")?;
        let taken = &self.bytes[self.at..self.at + length];
        self.at += length;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(crate) fn u128(&mut self) -> Result<u128, Error> {
        let mut value = 0u128;
        for shift in (0..128).step_by(7) {
            let byte = self.u8()?;
            let bits = u128::from(byte & 0x7f);
            self.ensure(shift < 126 || bits < 4, "a number of more than 128 bits")?;
            value |= bits << shift;
            if byte < 0x80 {
                self.ensure(byte != 0 || shift == 0, "a number with leading zeros")?;
                return Ok(value);
            }
        }
        Err(self.damaged("a number of more than 128 bits"))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        // Most numbers of a state fit one byte.
        if let Some(byte @ 0..0x80) = self.bytes.get(self.at) {
            self.at += 1;
            return Ok(u64::from(*byte));
        }
        u64::try_from(self.u128()?).map_err(|_| self.damaged("a number of more than 64 bits"))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Error> {
        let zigzag = self.u64()?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    pub(crate) fn i128(&mut self) -> Result<i128, Error> {
        let zigzag = self.u128()?;
        Ok((zigzag >> 1) as i128 ^ -((zigzag & 1) as i128))
    }

    /// A number of things that take at least `bytes_each`: what cannot fit the rest is damage, so a
    /// torn length can never ask for much memory.
    pub(crate) fn length(&mut self, bytes_each: usize) -> Result<usize, Error> {
        let length = usize::try_from(self.u64()?).unwrap_or(usize::MAX);
        self.ensure(length <= self.left() / bytes_each.max(1), "a length beyond the end")?;
        Ok(length)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Error> {
        let length = self.length(1)?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.damaged("a text that is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_has_one_spelling() {
        assert!(Reader::new(&[0x80, 0x00]).u64().is_err());
        assert!(Reader::new(&[0xff; 19]).u128().is_err());
        assert_eq!(Reader::new(&[0]).u64(), Ok(0));
    }

    proptest! {
        #[test]
        fn numbers_round_trip(a: u64, b: i64, c: i128, d: u128) {
            let mut bytes = Vec::new();
            put_u64(&mut bytes, a);
            put_i64(&mut bytes, b);
            put_i128(&mut bytes, c);
            put_u128(&mut bytes, d);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.u64(), Ok(a));
            prop_assert_eq!(reader.i64(), Ok(b));
            prop_assert_eq!(reader.i128(), Ok(c));
            prop_assert_eq!(reader.u128(), Ok(d));
            prop_assert_eq!(reader.finish(), Ok(()));
        }
    }
}
