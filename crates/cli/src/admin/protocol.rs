//! What goes over the socket: one request a connection, one JSON object a line.
//!
//! The client sends a [`Call`]. The owner answers with any number of [`Answer::Alive`], [`Answer::Step`] and
//! [`Answer::Note`], then with one [`Answer::Done`] or [`Answer::Failed`], and closes. While a command waits
//! or runs it is never silent for long, so that a client can tell a long command from an owner that was
//! stopped.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use definitions::Definitions;
use runtime::exit::{Code, With};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

use super::Request;
use crate::command::Context;
use crate::follower::Step;
use crate::output::Outcome;

/// Rises with every change of these types.
pub(super) const VERSION: u32 = 3;
/// Longest request, in bytes.
pub(super) const CALL_BYTES_MAX: usize = 1 << 20;
/// The owner's longest silence while it works.
pub(super) const ALIVE_EVERY: Duration = Duration::from_secs(1);
/// Longest line of an answer, in bytes.
pub(super) const ANSWER_BYTES_MAX: usize = 64 << 20;

/// The part of a call that every version understands.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// A request, and what the caller takes for granted.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    pub(super) version: u32,
    pub(super) realm: Realm,
    pub(super) request: Request,
}

/// What the owner says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// Waiting or working, with nothing to tell.
    Alive,
    /// How far it is.
    Step(Step),
    /// Something for the client's log.
    Note(String),
    /// The end.
    Done(Outcome),
    /// The end, with an exit code.
    Failed { message: String, code: u8 },
}

/// What a command means by its words: the same words must mean the same to client and owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Realm {
    /// Data directory, without links.
    data: PathBuf,
    /// Hash of the definitions.
    definitions: String,
    log: String,
    store: String,
    /// Hash of the settings that commands look at.
    settings: String,
}

impl Realm {
    /// This process's.
    pub(super) fn of(context: &Context, definitions: &Definitions) -> anyhow::Result<Self> {
        let settings = &context.settings;
        let data = settings.data.canonicalize();
        let looked_at = (settings.partitions, &settings.updater, &settings.service);
        let looked_at = serde_json::to_vec(&looked_at)?;
        Ok(Self {
            data: data.with_context(|| format!("data directory {}", settings.data.display()))?,
            definitions: blake3::Hash::from_bytes(definitions.hash()).to_hex().to_string(),
            log: settings.log.clone(),
            store: settings.store.clone(),
            settings: blake3::hash(&looked_at).to_hex().to_string(),
        })
    }

    /// What forbids that the owner, process `pid`, runs the command of a client with this realm.
    pub(super) fn refuse(&self, owner: &Self, pid: u32) -> anyhow::Result<()> {
        let refused = |text: String| Err(anyhow::anyhow!(text)).exit(Code::Configuration);
        if self.definitions != owner.definitions {
            return refused(format!(
                "these definitions (hash {:.12}) are not those that process {pid} runs with \
                 (hash {:.12}): pass the same --definitions, or restart it with these",
                self.definitions, owner.definitions
            ));
        }
        if self.data != owner.data {
            return refused(format!(
                "data directory {} is {} to process {pid}, which owns it: use the path that it has, \
                 or restart it if the directory was moved",
                self.data.display(),
                owner.data.display()
            ));
        }
        if (&self.log, &self.store) != (&owner.log, &owner.store) {
            return refused(format!(
                "process {pid}, which owns the data directory, has another --log or --store: pass the same"
            ));
        }
        Ok(())
    }

    /// Whether settings differ that a command looks at; the owner's hold.
    pub(super) fn has_other_settings(&self, owner: &Self) -> bool {
        self.settings != owner.settings
    }
}

impl Call {
    /// Reads a request's line.
    pub(super) fn parse(line: &[u8], pid: u32) -> anyhow::Result<Self> {
        let expected =
            || format!("process {pid}: expected one line of JSON, a version and a request");
        let Versioned { version } = serde_json::from_slice(line).with_context(expected)?;
        anyhow::ensure!(
            version == VERSION,
            "process {pid} speaks version {VERSION} of the admin protocol, this command version \
             {version}: use the build that it runs, or restart it with this one"
        );
        serde_json::from_slice(line).with_context(expected)
    }
}

impl Answer {
    /// An error as an answer.
    pub(super) fn failed(error: &anyhow::Error) -> Self {
        let code = crate::code::of(error) as u8;
        Self::Failed { message: runtime::exit::message(error), code }
    }

    /// The end of the command, or what it has to say before.
    pub(super) fn end(self) -> Result<anyhow::Result<Outcome>, Self> {
        match self {
            Self::Done(outcome) => Ok(Ok(outcome)),
            Self::Failed { message, code } => {
                let codes = [Code::Configuration, Code::Data];
                let code = codes.into_iter().find(|known| *known as u8 == code);
                Ok(Err(anyhow::anyhow!(message)).exit(code.unwrap_or(Code::Failure)))
            }
            before => Err(before),
        }
    }
}

/// A value as a line.
pub(super) fn line(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// The next line with its end, at most `bytes_max` long; empty when the other side has closed.
pub(super) async fn read_line(
    reader: &mut (impl AsyncBufRead + Unpin),
    bytes_max: usize,
) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    reader.take(bytes_max as u64).read_until(b'\n', &mut line).await?;
    match line.last() {
        None | Some(b'\n') => Ok(line),
        Some(_) if line.len() >= bytes_max => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("longer than {bytes_max} bytes"),
        )),
        Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_bounded() {
        let mut lines = &b"one\ntwo"[..];
        assert_eq!(read_line(&mut lines, 4).await.unwrap(), b"one\n");
        let torn = read_line(&mut lines, 4).await.unwrap_err();
        assert_eq!(torn.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(read_line(&mut lines, 4).await.unwrap(), b"", "closed");
        let long = read_line(&mut &b"12345\n"[..], 4).await.unwrap_err();
        assert!(long.to_string().contains("longer than 4"), "{long}");
    }

    #[test]
    fn another_version_is_named_whatever_else_it_says() {
        let error = Call::parse(br#"{"version":9,"request":{"sing":true}}"#, 7).unwrap_err();
        let message = runtime::exit::message(&error);
        assert!(message.contains("version 3") && message.contains("version 9"), "{message}");
        assert!(Call::parse(b"status\n", 7).is_err());
    }

    #[test]
    fn an_error_keeps_its_text_and_code() {
        let bad: anyhow::Result<()> = Err(anyhow::anyhow!("line 3 is torn")).exit(Code::Data);
        let answer = Answer::failed(&bad.context("file shop.csv").unwrap_err());
        let error = answer.end().unwrap().unwrap_err();
        assert_eq!(runtime::exit::code(&error), Code::Data);
        assert_eq!(runtime::exit::message(&error), "file shop.csv: line 3 is torn");
    }
    #[test]
    fn damage_that_the_owner_finds_is_bad_data_to_its_client() {
        let key = "head".to_owned();
        let damaged = online_store::Error::Damaged { key, what: "torn".to_owned() };
        let found = anyhow::Error::new(online::updater::Error::Store(damaged));
        let error = Answer::failed(&found).end().unwrap().unwrap_err();
        assert_eq!(crate::code::of(&error), Code::Data);
    }
}
