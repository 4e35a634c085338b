//! What every role of the process needs before it can work: settings, telemetry, a clock, entropy,
//! shutdown and exit codes; and [`histogram`], which measures where it counts.
//!
//! A crate of its own because it is the only one that may touch what cannot be repeated: the
//! system's clock ([`clock`]), its entropy ([`entropy`]) and its environment ([`settings`]). All
//! others take time, seeds and settings as arguments. It must never know a feature, a log or a store.
//!
//! The tour, in the order of a `main`: [`settings::Layers`] reads and checks what was configured,
//! [`telemetry::init`] opens the log on stderr, [`clock::Clock`] and [`entropy::Entropy`] are handed
//! down, [`shutdown`] says when to stop and waits a while for what is under way, and [`exit::Code`]
//! is what the process leaves behind.

pub mod clock;
pub mod entropy;
pub mod exit;
pub mod histogram;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
