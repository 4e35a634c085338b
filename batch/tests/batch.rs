//! Batch on logs in memory: the archive keeps what was appended, a back-fill gives what the updater's
//! fold gives at every position, training sets hold only what was known, parity finds what was changed.

#![allow(clippy::unwrap_used)] // Helpers of tests may fail as tests do.

mod batch {
    mod archive;
    mod archive_damage;
    mod as_served;
    mod examples;
    mod memory;
    mod parity;
    mod shop;
    mod skips;
    mod values;
    mod world;
}
