use std::fmt;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The settings file, at a line from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// A flag, as it is written (`--port`).
    Flag(String),
}

/// What a settings' own check found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The key, dotted: `updater.batch_records`.
    pub key: String,
    /// What is wrong with it, and what was expected.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// Why the settings were refused. All of these end the process with exit code 64.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("settings file {path}: {source} (help: {})", readable(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path}:{line}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser said.
        message: String,
    },
    /// There is no such setting.
    #[error("{origin}: there is no setting `{key}`{}", help(.nearest))]
    Unknown {
        /// Where it stands.
        origin: Origin,
        /// The key as it was given, dotted.
        key: String,
        /// The setting that may be meant.
        nearest: Option<String>,
    },
    /// A value has another type than the setting.
    #[error("{origin}: `{key}` is {found}, expected {expected} (help: such as {example})")]
    Type {
        /// Where it stands.
        origin: Origin,
        /// The key, dotted.
        key: String,
        /// What was given.
        found: String,
        /// What the setting takes.
        expected: &'static str,
        /// The default, as an example.
        example: String,
    },
    /// A value cannot be used.
    #[error("{origin}: `{key}` {message} (help: {remedy})")]
    Invalid {
        /// Where it came from.
        origin: Origin,
        /// The key, dotted.
        key: String,
        /// What is wrong.
        message: String,
        /// What to do about it.
        remedy: String,
    },
    /// The settings' struct and its default do not agree: a mistake in the program.
    #[error("settings cannot be built: {0}")]
    Build(String),
}

fn readable(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::InvalidData => "write it as TOML, in UTF-8",
        std::io::ErrorKind::IsADirectory => "name a file with --config, such as one in it",
        std::io::ErrorKind::PermissionDenied => "make it readable for this user",
        _ => "name an existing file with --config",
    }
}

fn help(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|key| format!(" (help: did you mean `{key}`?)")).unwrap_or_default()
}

impl Invalid {
    /// `key` is wrong: `message`; do `remedy`.
    pub fn new(key: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { key: key.to_owned(), message: message.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default settings"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}
