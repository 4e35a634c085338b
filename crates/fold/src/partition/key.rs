use definitions::Lane;

/// Key of a stored state within (lane, partition): a kind byte and the key's text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey(Box<[u8]>);

/// Admission, and the features too where the lane is keyed by the stream key.
pub(super) const STREAM: u8 = 0;
/// Features of an entity that is not the stream key.
pub(super) const ENTITY: u8 = 1;

impl StateKey {
    /// The key of a stream key: it holds the key's admission state, and the features too where the
    /// lane's entity is the stream key.
    #[must_use]
    pub fn stream(key: &str) -> Self {
        Self::of(STREAM, key.as_bytes())
    }

    /// The key of an entity's features in `lane`: [`StateKey::stream`] where the lane is keyed by
    /// the stream key, else a key of its own kind.
    #[must_use]
    pub fn entity(lane: &Lane, key: &str) -> Self {
        Self::of(if lane.is_stream_keyed() { STREAM } else { ENTITY }, key.as_bytes())
    }

    pub(super) fn of(kind: u8, key: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(1 + key.len());
        bytes.push(kind);
        bytes.extend_from_slice(key);
        Self(bytes.into())
    }

    /// The bytes to store it under, without lane and partition.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// [`StateKey::as_bytes`], without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_vec()
    }

    /// Reads the bytes back.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// Whether it is a stream key's: it holds admission, which knows copies by it.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.0.first() == Some(&STREAM)
    }

    /// The entity's key as text, if this key holds features of `lane`.
    #[must_use]
    pub fn entity_key(&self, lane: &Lane) -> Option<&str> {
        let (kind, key) = self.parts()?;
        (lane.is_stream_keyed() == (kind == STREAM)).then_some(key)
    }

    pub(super) fn parts(&self) -> Option<(u8, &str)> {
        let (kind, key) = self.0.split_first()?;
        let key = std::str::from_utf8(key).ok()?;
        matches!(*kind, STREAM | ENTITY).then_some((*kind, key))
    }
}
