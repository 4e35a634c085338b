//! What the process leaves behind: an exit code that schedulers and scripts can rely on.

use std::process::ExitCode;

use serde::{Deserialize, Serialize};

/// Exit codes; 64 and 65 are those of `sysexits.h` (`EX_USAGE`, `EX_DATAERR`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Code {
    /// Done.
    Success = 0,
    /// Failed; trying again may help.
    #[default]
    Failure = 1,
    /// A wrong configuration, definition or flag; trying again does not help.
    Configuration = 64,
    /// Bad data.
    Data = 65,
}

/// Marks an error with the code it ends the process with. Put it anywhere in an `anyhow` chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.name())]
pub struct Kind(pub Code);

impl Kind {
    fn name(self) -> &'static str {
        match self.0 {
            Code::Success => "success",
            Code::Failure => "failure",
            Code::Configuration => "wrong configuration",
            Code::Data => "bad data",
        }
    }
}

/// Gives an error its exit code.
pub trait With<T> {
    /// Ends the process with `code` if this is an error that reaches `main`.
    ///
    /// # Errors
    /// The error itself, marked.
    fn exit(self, code: Code) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> With<T> for Result<T, E> {
    fn exit(self, code: Code) -> anyhow::Result<T> {
        self.map_err(|error| error.into().context(Kind(code)))
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// The code of an error: the outermost [`Kind`] in its chain, or [`Code::Configuration`] for an error
/// of [`crate::settings`], else [`Code::Failure`].
#[must_use]
pub fn code(error: &anyhow::Error) -> Code {
    if let Some(kind) = error.downcast_ref::<Kind>() {
        return kind.0;
    }
    match error.chain().any(|cause| cause.is::<crate::settings::Error>()) {
        true => Code::Configuration,
        false => Code::Failure,
    }
}

/// The error as a person reads it: its causes, outermost first, without the marks of [`With::exit`]. An error
/// may name its cause in its own text, as it must where it is shown alone; each is said once.
#[must_use]
pub fn message(error: &anyhow::Error) -> String {
    let marks: Vec<String> =
        error.downcast_ref::<Kind>().map(ToString::to_string).into_iter().collect();
    let mut said: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        if !marks.contains(&cause) && !said.last().is_some_and(|before| before.contains(&cause)) {
            said.push(cause);
        }
    }
    let text = said.join(": ");
    if text.is_empty() { error.to_string() } else { text }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn the_mark_survives_context_and_is_not_shown() {
        let marked: anyhow::Result<()> = Err(anyhow::anyhow!("line 3 is torn")).exit(Code::Data);
        let error = marked.context("importing shop.csv").unwrap_err();
        assert_eq!(code(&error), Code::Data);
        assert_eq!(message(&error), "importing shop.csv: line 3 is torn");
    }

    #[test]
    fn a_cause_that_is_named_already_is_not_said_again() {
        #[derive(Debug, thiserror::Error)]
        #[error("{path}: {source}; free some space")]
        struct Io {
            path: &'static str,
            source: std::io::Error,
        }
        let error = Io { path: "/data", source: std::io::Error::other("disk full") };
        let error = anyhow::Error::new(error).context("archiving");
        assert_eq!(message(&error), "archiving: /data: disk full; free some space");
    }

    #[test]
    fn what_nobody_marked_is_a_failure() {
        assert_eq!(code(&anyhow::anyhow!("disk full")), Code::Failure);
    }
}
