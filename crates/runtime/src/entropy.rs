//! Randomness as an argument: owner tokens, request ids, jitter.

use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::OsRng;
use rand::{RngCore, SeedableRng, TryRngCore};
use rand_chacha::ChaCha8Rng;

/// A source of random bytes, the system's or a seeded one. Cheap to clone; clones draw from one stream.
#[derive(Debug, Clone)]
pub struct Entropy(Kind);

#[derive(Debug, Clone)]
enum Kind {
    System,
    Seeded(Arc<Mutex<ChaCha8Rng>>),
}

impl Entropy {
    /// The operating system's entropy.
    #[must_use]
    pub fn system() -> Self {
        Self(Kind::System)
    }

    /// A stream that is the same for the same seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Kind::Seeded(Arc::new(Mutex::new(ChaCha8Rng::seed_from_u64(seed)))))
    }

    /// Random bytes.
    ///
    /// # Panics
    /// When the operating system has no entropy to give, which leaves nothing safe to do.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match &self.0 {
            Kind::System => {
                OsRng.try_fill_bytes(&mut bytes).expect("the operating system gives entropy");
            }
            Kind::Seeded(stream) => {
                stream.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
            }
        }
        bytes
    }

    /// A random number.
    ///
    /// # Panics
    /// As [`Entropy::bytes`].
    #[must_use]
    pub fn u64(&self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_the_system_does_not() {
        let draw = |entropy: Entropy| [entropy.u64(), entropy.u64()];
        assert_eq!(draw(Entropy::seeded(7)), draw(Entropy::seeded(7)));
        assert_ne!(draw(Entropy::seeded(7)), draw(Entropy::seeded(8)));
        assert_ne!(draw(Entropy::system()), draw(Entropy::system()));
    }

    #[test]
    fn clones_share_one_stream() {
        let entropy = Entropy::seeded(1);
        assert_ne!(entropy.u64(), entropy.clone().u64());
    }
}
