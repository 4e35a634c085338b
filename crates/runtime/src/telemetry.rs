//! The process's log: `tracing` to stderr, so that stdout stays for results.

use std::io::Write;

use documented::Documented;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// How the log is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Documented)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Layout of a line.
    pub format: Format,
    /// Directives of `tracing_subscriber::EnvFilter`, such as `info` or `online=debug,warn`.
    pub filter: String,
}

/// Layout of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For a person.
    Human,
    /// One JSON object a line, for a program.
    Json,
}

/// Why the log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directives are not what a filter can be: what `telemetry.filter` is instead.
    #[error(
        "is {filter:?}, which is no list of directives such as `info` or `online=debug,warn`: {reason}"
    )]
    Filter {
        /// As it was given.
        filter: String,
        /// What the parser said.
        reason: String,
    },
    /// A process has one log.
    #[error("the log is open already")]
    Open,
}

impl Default for Settings {
    fn default() -> Self {
        Self { format: Format::Human, filter: "info".to_owned() }
    }
}

impl Settings {
    /// The filter, parsed.
    ///
    /// # Errors
    /// [`Error::Filter`].
    pub fn check(&self) -> Result<EnvFilter, Error> {
        EnvFilter::try_new(&self.filter).map_err(|error| Error::Filter {
            filter: self.filter.clone(),
            reason: error.to_string(),
        })
    }
}

/// Opens the process's log on stderr; `colour`: for a terminal whose reader does not object.
///
/// # Errors
/// A filter that cannot be parsed, or a second call.
pub fn init(settings: &Settings, colour: bool) -> Result<(), Error> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(settings.check()?)
        .with_writer(|| Lossy(std::io::stderr()))
        .with_ansi(colour);
    let opened = match settings.format {
        Format::Human => builder.with_target(false).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    opened.map_err(|_| Error::Open)
}

/// A log that nobody reads, or whose disk is full, ends nothing.
struct Lossy<W>(W);

impl<W: Write> Write for Lossy<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_filter_is_named() {
        let settings = Settings { filter: "online=loud".to_owned(), ..Settings::default() };
        let text = settings.check().unwrap_err().to_string();
        assert!(text.contains("online=loud"), "{text}");
        assert!(Settings::default().check().is_ok());
    }
}
