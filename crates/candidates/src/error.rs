/// Why bytes were not indexes, or definitions cannot be joined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Written by another version.
    #[error("indexes of version {found}, this build reads version {expected}: rebuild them")]
    Version {
        /// What the bytes say.
        found: u32,
        /// What this build reads.
        expected: u32,
    },
    /// Not what the encoding can hold, or not the bytes that were written.
    #[error("damaged indexes at byte {at}: {what}; rebuild them")]
    Damaged {
        /// Where.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A model names a candidate source that there is not.
    #[error("no candidate source `{name}`: there are {known}")]
    UnknownSource {
        /// The name.
        name: String,
        /// The names that there are, separated by commas.
        known: String,
    },
    /// The joined schema has a field that nothing can fill.
    #[error("field `{field}` of the joined row: {what}")]
    Field {
        /// Qualified name.
        field: String,
        /// What is wrong with it.
        what: String,
    },
}
