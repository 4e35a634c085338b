//! Settings: one TOML file < the environment (`TWOFOLD_…`) < flags, checked before anything starts.
//!
//! A role's settings are a plain struct with `Default`, `Serialize` and `Deserialize`; its default,
//! written out, is the list of keys there are and of their types (so no field may be an `Option`).
//! [`Layers`] lays file, environment and flags over it, remembers where each value came from, and
//! names that place (file and line, variable or flag) in every error, with what to write instead.
//! `updater.batch_records` is `TWOFOLD_UPDATER_BATCH_RECORDS` in the environment. [`Loaded::listing`] says
//! what there is, what it is now and why.

mod error;
mod file;
mod layers;
mod listing;
mod scalar;

pub use error::{Error, Invalid, Origin};
pub use layers::{Layers, Loaded};
pub use listing::{Entry, Section, to_toml};

/// What every variable of ours begins with.
pub const PREFIX: &str = "TWOFOLD_";

/// The process's environment, for [`Layers::environment`]: the one place that reads it.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    // Ours are ASCII; what is not Unicode cannot be one of them.
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok().filter(|name| name.starts_with(PREFIX))?;
        Some((name, value.to_string_lossy().into_owned()))
    })
}
