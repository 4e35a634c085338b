//! From files to [`Definitions`]: strict, every mistake named with its line.

use crate::{Definitions, Diagnostics};

/// A definition file: its path (for messages, and `sources/`, `groups/` or `models/` in it says the
/// kind) and its text.
#[derive(Debug, Clone)]
pub struct File {
    /// Path relative to the definitions directory.
    pub path: String,
    /// Content.
    pub text: String,
}

/// Parses and checks a directory's files.
///
/// # Errors
/// Every mistake in every file, with file, line, what was expected and a suggestion.
pub fn parse(files: &[File]) -> Result<Definitions, Diagnostics> {
    let _ = files;
    unimplemented!()
}
