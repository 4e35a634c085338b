//! The batches of one journal file, as fjall 3 writes them. Little-endian:
//!
//! - start: 1, number of items (u32), sequence number (u64);
//! - an item: 2, kind (u8), compression (u8), keyspace (u64), length of the key (u16), of the value (u32) and of
//!   the value as it is stored (u32), key, value; or, of a keyspace that was cleared: 4, keyspace (u64);
//! - end: 3, XXH3 of the items' bytes (u64), `FJL\x03`.
//!
//! After them come zeros, because the file was given its length in advance, or nothing.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use xxhash_rust::xxh3::Xxh3;

use crate::stamp::{self, Stamp};

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const MAGIC: [u8; 4] = *b"FJL\x03";
/// Bytes that are read at once.
const BUFFER_BYTES: usize = 256 << 10;
/// How far past the last batch something else than zeros is looked for, in bytes.
const TAIL_BYTES: u64 = 64 << 10;

/// A batch whose items have their checksum.
pub(super) struct Batch {
    pub(super) at: u64,
    pub(super) seqno: u64,
    /// None in a batch of a version that wrote none.
    pub(super) stamp: Option<Stamp>,
}

/// A journal's batches, one after the other.
pub(super) struct Batches {
    file: BufReader<File>,
    items: Xxh3,
    position: u64,
    end: u64,
}

enum Stop {
    NoBatch,
    System(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedEof => Self::NoBatch,
            _ => Self::System(error),
        }
    }
}

impl Batches {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = BufReader::with_capacity(BUFFER_BYTES, File::open(path)?);
        Ok(Self { file, items: Xxh3::new(), position: 0, end: 0 })
    }

    /// `None` where no whole batch follows.
    pub(super) fn next(&mut self) -> io::Result<Option<Batch>> {
        match self.batch() {
            Ok(batch) => {
                self.end = self.position;
                Ok(Some(batch))
            }
            Err(Stop::NoBatch) => Ok(None),
            Err(Stop::System(error)) => Err(error),
        }
    }

    /// Where the last whole batch ends.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Whether something is behind the last whole batch.
    pub(super) fn is_torn(&mut self) -> io::Result<bool> {
        self.file.seek(SeekFrom::Start(self.end))?;
        let mut tail = Vec::new();
        self.file.by_ref().take(TAIL_BYTES).read_to_end(&mut tail)?;
        Ok(tail.iter().any(|byte| *byte != 0))
    }

    fn batch(&mut self) -> Result<Batch, Stop> {
        let at = self.end;
        let [START, rest @ ..] = self.bytes::<13>()? else { return Err(Stop::NoBatch) };
        let (items, seqno) = rest.split_first_chunk().expect("4 of 12 bytes");
        let seqno = u64::from_le_bytes(seqno.try_into().expect("8 bytes are left"));
        self.items.reset();
        let mut stamp = None;
        for _ in 0..u32::from_le_bytes(*items) {
            stamp = self.item()?;
        }
        let found = self.items.digest();
        let [END, rest @ ..] = self.bytes::<13>()? else { return Err(Stop::NoBatch) };
        let (checksum, magic) = rest.split_first_chunk().expect("8 of 12 bytes");
        match u64::from_le_bytes(*checksum) == found && *magic == MAGIC {
            true => Ok(Batch { at, seqno, stamp }),
            false => Err(Stop::NoBatch),
        }
    }

    /// Passes an item, and gives the stamp if it is that.
    fn item(&mut self) -> Result<Option<Stamp>, Stop> {
        match self.item_bytes()? {
            [CLEAR] => self.skip(8).map(|()| None),
            [ITEM] => {
                let head = self.item_bytes::<20>()?;
                let key = u16::from_le_bytes([head[10], head[11]]);
                let value = u32::from_le_bytes([head[16], head[17], head[18], head[19]]);
                if usize::from(key) != stamp::KEY.len() || value as usize != stamp::BYTES {
                    return self.skip(u64::from(key) + u64::from(value)).map(|()| None);
                }
                let key: [u8; stamp::KEY.len()] = self.item_bytes()?;
                let value = self.item_bytes()?;
                Ok((key == stamp::KEY).then(|| Stamp::decode(value)))
            }
            _ => Err(Stop::NoBatch),
        }
    }

    fn item_bytes<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let bytes = self.bytes()?;
        self.items.update(&bytes);
        Ok(bytes)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes)?;
        self.position += N as u64;
        Ok(bytes)
    }

    /// Passes an item's bytes, which go into the checksum.
    fn skip(&mut self, bytes: u64) -> Result<(), Stop> {
        let mut left = bytes;
        while left > 0 {
            let buffer = self.file.fill_buf()?;
            if buffer.is_empty() {
                return Err(Stop::NoBatch);
            }
            let part = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.items.update(&buffer[..part]);
            self.file.consume(part);
            left -= part as u64;
        }
        self.position += bytes;
        Ok(())
    }
}
