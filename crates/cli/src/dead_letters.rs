//! What no lane folded: read back from the topic of dead letters, and sent again once the cause is mended.
//!
//! The updater and `import` write dead letters at least once, each time under the same id, so what is read
//! here is one letter per id. Sending again is idempotent: a letter whose bytes lie in the source's topic a
//! second time was sent already, and what definitions still refuse is not sent.

mod letter;
mod read;
mod redrive;

pub(crate) use letter::Letter;
pub(crate) use read::{Letters, Wanted, read};
pub(crate) use redrive::redrive;

#[cfg(test)]
mod tests;
