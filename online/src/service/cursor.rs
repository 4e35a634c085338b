//! Cursors: what the next page must share with this one, signed, in hex.
//!
//! A page is computed anew at the same `as_of` with the same bundle, and leaves out what earlier
//! pages held. The cursor holds all of that, so that the service holds nothing.

use hashbrown::HashSet;
use record::EventTime;

use super::settings::Settings;
use super::status::Refusal;

const VERSION: u8 = 1;
const MAC_BYTES: usize = 16;
/// Items of all pages together.
pub(super) const ITEMS_MAX: usize = 1_000;

/// What a cursor pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) as_of: EventTime,
    /// Digest of the bundle, hex; empty if there was none.
    pub(super) bundle: String,
    /// Fingerprints of the items of all earlier pages.
    pub(super) items: HashSet<u64>,
}

/// Signs and checks cursors.
pub(super) struct Signer([u8; 32]);

impl Signer {
    pub(super) fn new(settings: &Settings) -> Self {
        Self(blake3::derive_key("twofold 2026 cursor v1", settings.cursor_key.as_bytes()))
    }

    /// The cursor as text, for requests of the same visitor on the same surface.
    pub(super) fn sign(&self, cursor: &Cursor, visitor: &str, surface: &str) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&cursor.as_of.0.to_le_bytes());
        bytes.push(cursor.bundle.len() as u8);
        bytes.extend_from_slice(cursor.bundle.as_bytes());
        let mut items: Vec<u64> = cursor.items.iter().copied().collect();
        items.sort_unstable();
        items.iter().for_each(|item| bytes.extend_from_slice(&item.to_le_bytes()));
        let mac = self.mac(&bytes, visitor, surface);
        bytes.extend_from_slice(&mac);
        super::tables::hex(&bytes)
    }

    /// Reads a cursor.
    pub(super) fn read(&self, text: &str, visitor: &str, surface: &str) -> Result<Cursor, Refusal> {
        let refusal =
            || Refusal::field("cursor", "is not what this request was answered: start again");
        let bytes = unhex(text).ok_or_else(refusal)?;
        let (body, mac) = bytes.split_last_chunk::<MAC_BYTES>().ok_or_else(refusal)?;
        if self.mac(body, visitor, surface) != *mac {
            return Err(refusal());
        }
        parse(body).ok_or_else(refusal)
    }

    fn mac(&self, body: &[u8], visitor: &str, surface: &str) -> [u8; MAC_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in [visitor.as_bytes(), surface.as_bytes(), body] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        let hash = hasher.finalize();
        hash.as_bytes()[..MAC_BYTES].try_into().expect("a hash has 32 bytes")
    }
}

fn parse(body: &[u8]) -> Option<Cursor> {
    let (version, rest) = body.split_first()?;
    let (as_of, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first()?;
    let (bundle, items) = rest.split_at_checked(usize::from(*length))?;
    let chunks = items.chunks_exact(8);
    let whole = chunks.remainder().is_empty() && *version == VERSION;
    let item = |chunk: &[u8]| Some(u64::from_le_bytes(chunk.try_into().ok()?));
    whole.then_some(())?;
    Some(Cursor {
        as_of: EventTime(i64::from_le_bytes(*as_of)),
        bundle: String::from_utf8(bundle.to_vec()).ok()?,
        items: chunks.map(item).collect::<Option<_>>()?,
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks_exact(2);
    if !digits.remainder().is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    digits.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_and_no_changed_one_is_taken() {
        let signer = Signer::new(&Settings::default());
        let cursor = Cursor {
            as_of: EventTime(-5),
            bundle: "ab".repeat(32),
            items: [1, u64::MAX].into_iter().collect(),
        };
        let text = signer.sign(&cursor, "ann", "home");
        assert_eq!(signer.read(&text, "ann", "home"), Ok(cursor));
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(signer.read(&changed, "ann", "home").is_err(), "digit {at}");
        }
        assert!(signer.read(&text, "bob", "home").is_err());
        assert!(signer.read(&text, "ann", "cart").is_err());
        assert!(signer.read(&text[..text.len() - 2], "ann", "home").is_err());
        assert!(signer.read("", "ann", "home").is_err() && signer.read("é", "a", "h").is_err());
        let other = Settings { cursor_key: "other".to_owned(), ..Settings::default() };
        assert!(Signer::new(&other).read(&text, "ann", "home").is_err());
    }
}
