//! What every adapter refuses before anything is written, so that what went into one store goes into
//! the other.

use crate::{Commit, Error, KEY_BYTES_MAX, VALUE_BYTES_MAX};

/// Refuses keys, values and heads that are too large.
pub(crate) fn check(commit: &Commit) -> Result<(), Error> {
    within("a head", commit.head.bytes.len(), VALUE_BYTES_MAX)?;
    for (key, value) in commit.states.iter().chain(&commit.derived) {
        within("a key", key.len(), KEY_BYTES_MAX)?;
        within("a value", value.as_ref().map_or(0, Vec::len), VALUE_BYTES_MAX)?;
    }
    Ok(())
}

/// Refuses `what` when it has more than `bytes_max` bytes.
pub(crate) fn within(what: &'static str, bytes: usize, bytes_max: usize) -> Result<(), Error> {
    if bytes > bytes_max { Err(Error::TooLarge { what, bytes, bytes_max }) } else { Ok(()) }
}
