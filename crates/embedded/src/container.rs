//! The frame of the library's manifests and tables (`sfa` 1). Little-endian:
//!
//! - the sections, one after the other;
//! - what there is: `TOC!`, number of sections (u32), of each its place (u64), length (u64), length of the name
//!   (u16) and name;
//! - the end: `SFA!`, 1, 0 (the kind of checksum), XXH3 of what there is (u128), its place (u64) and length (u64).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

const END_BYTES: u64 = 38;
const END_MAGIC: [u8; 6] = *b"SFA!\x01\x00";
const SECTIONS_MAGIC: [u8; 4] = *b"TOC!";
/// More than the names and places of a dozen sections, in bytes.
const SECTIONS_BYTES_MAX: u64 = 64 << 10;
const CHUNK_BYTES: usize = 256 << 10;

/// Whether a file has its end, and what it says there is, without reading more of it.
///
/// # Errors
/// When the system refuses.
pub(crate) fn is_whole(path: &Path) -> io::Result<bool> {
    let file = File::open(path)?;
    let Some(start) = file.metadata()?.len().checked_sub(END_BYTES) else { return Ok(false) };
    let mut end = [0; END_BYTES as usize];
    file.read_exact_at(&mut end, start)?;
    let Some((checksum, place, bytes)) = self::end(&end) else { return Ok(false) };
    if bytes > SECTIONS_BYTES_MAX || place.checked_add(bytes) != Some(start) {
        return Ok(false);
    }
    let mut sections = vec![0; usize::try_from(bytes).expect("at most 64 KiB")];
    file.read_exact_at(&mut sections, place)?;
    Ok(xxh3_128(&sections) == checksum)
}

/// The section of that name in a whole file's bytes.
pub(crate) fn section<'a>(bytes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let end = bytes.last_chunk::<{ END_BYTES as usize }>()?;
    let (_, place, length) = self::end(end)?;
    let mut rest = part(bytes, place, length)?.strip_prefix(&SECTIONS_MAGIC)?;
    for _ in 0..u32::from_le_bytes(take(&mut rest)?) {
        let (place, length) =
            (u64::from_le_bytes(take(&mut rest)?), u64::from_le_bytes(take(&mut rest)?));
        let named = usize::from(u16::from_le_bytes(take(&mut rest)?));
        let (found, others) = rest.split_at_checked(named)?;
        rest = others;
        if found == name {
            return part(bytes, place, length);
        }
    }
    None
}

/// A file's XXH3, which the manifest has of each table.
///
/// # Errors
/// When the system refuses.
pub(crate) fn checksum(path: &Path) -> io::Result<u128> {
    let file = File::open(path)?;
    let (mut digest, mut chunk, mut at) = (Xxh3::new(), vec![0; CHUNK_BYTES], 0);
    loop {
        match file.read_at(&mut chunk, at)? {
            0 => return Ok(digest.digest128()),
            read => {
                digest.update(&chunk[..read]);
                at += read as u64;
            }
        }
    }
}

/// Checksum, place and length of what there is.
fn end(bytes: &[u8; END_BYTES as usize]) -> Option<(u128, u64, u64)> {
    let mut rest = bytes.strip_prefix(&END_MAGIC)?;
    let checksum = u128::from_le_bytes(take(&mut rest)?);
    Some((checksum, u64::from_le_bytes(take(&mut rest)?), u64::from_le_bytes(take(&mut rest)?)))
}

fn part(bytes: &[u8], place: u64, length: u64) -> Option<&[u8]> {
    let (place, length) = (usize::try_from(place).ok()?, usize::try_from(length).ok()?);
    bytes.get(place..place.checked_add(length)?)
}

/// The next bytes of what is left.
pub(crate) fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, others) = rest.split_first_chunk()?;
    *rest = others;
    Some(*taken)
}
