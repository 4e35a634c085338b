//! Commands on a data directory, run by the process that owns it.
//!
//! Such a command is a plain value, a [`Request`], and one function from an open directory to an
//! [`Outcome`]: it prints nothing. Where nobody owns the directory, this process opens it and calls
//! the function itself; where an `up`, `serve` or `update` owns it, the value goes there over the socket
//! `admin.sock` in the directory, the owner calls the same function, and what comes back is printed
//! here. So a command is written once, and nobody opens or copies a database that is in use. What changes
//! something (`import`, `archive`, `dead-letters redrive`) goes on to its end in the owner, also when its
//! client is killed.
//!
//! [`run`] is the client, [`beside`] the owner; `protocol` says what goes over the socket.

mod client;
mod connection;
mod protocol;
mod server;
mod socket;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use definitions::Definitions;
use serde::{Deserialize, Serialize};

pub(crate) use server::beside;

use crate::args::{DeadLettersCommand, ImportArgs};
use crate::command::{Context, archive, dead_letters, import, parity, status, topics};
use crate::data::Data;
use crate::output::Outcome;

/// A command on an open data directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    Status { digest: bool },
    Topics { create: bool, check: bool },
    Import(ImportArgs),
    Archive,
    Parity,
    DeadLetters(DeadLettersCommand),
}

impl Request {
    /// What its name is on the command line.
    fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Topics { .. } => "topics",
            Self::Import(_) => "import",
            Self::Archive => "archive",
            Self::Parity => "parity",
            Self::DeadLetters(_) => "dead-letters",
        }
    }

    /// Long work, of which an owner does one at a time.
    fn is_long(&self) -> bool {
        matches!(self, Self::Import(_) | Self::Archive | Self::Parity | Self::DeadLetters(_))
    }

    /// It changes something, so that it is not left half done because nobody waits for it any more.
    fn changes_something(&self) -> bool {
        let redrive = matches!(self, Self::DeadLetters(DeadLettersCommand::Redrive { .. }));
        redrive || matches!(self, Self::Import(_) | Self::Archive)
    }

    /// It fills a data directory, so it makes one where there is none. What only looks does not: a
    /// mistyped `--data` is an error then, and no empty shop.
    fn makes_what_is_missing(&self) -> bool {
        matches!(self, Self::Import(_) | Self::Topics { create: true, .. })
    }

    /// Runs it.
    async fn run(
        self,
        context: &Context,
        data: &Data,
        definitions: &Arc<Definitions>,
    ) -> anyhow::Result<Outcome> {
        match self {
            Self::Status { digest } => status::run(context, data, definitions, digest).await,
            Self::Topics { check, .. } => topics::run(context, data, definitions, check).await,
            Self::Import(args) => import::run(context, data, definitions, &args).await,
            Self::Archive => archive::run(context, data, definitions).await,
            Self::Parity => parity::run(context, data, definitions).await,
            Self::DeadLetters(command) => {
                dead_letters::run(context, data, definitions, &command).await
            }
        }
    }
}

/// Runs a command where the data directory is open, and prints what it says.
pub(crate) async fn run(context: Context, request: Request) -> anyhow::Result<()> {
    let definitions = context.definitions()?;
    if let Request::Import(args) = &request {
        import::check(&definitions, args)?;
    }
    let outcome = match client::ask(&context, &definitions, &request).await? {
        Some(outcome) => outcome,
        None => match open(&context, &definitions, &request).await {
            Ok(data) => request.run(&context, &data, &definitions).await?,
            // Taken between the two looks, or by a command that is not asked for anything.
            Err(error) if is_owned(&error) => {
                client::ask(&context, &definitions, &request).await?.ok_or(error)?
            }
            Err(error) => return Err(error),
        },
    };
    context.output.outcome(&outcome)
}

async fn open(
    context: &Context,
    definitions: &Definitions,
    request: &Request,
) -> anyhow::Result<Data> {
    match request.makes_what_is_missing() {
        true => context.open(definitions).await,
        false => {
            let data = context.open_existing().await?;
            if *request == Request::Archive {
                // Of a source that is new to the definitions there is nothing to archive, and that is fine.
                data.create_topics(definitions, &context.settings).await?;
            }
            Ok(data)
        }
    }
}

fn is_owned(error: &anyhow::Error) -> bool {
    let owned = |cause: &embedded::Error| matches!(cause, embedded::Error::Owned { .. });
    error.chain().any(|cause| cause.downcast_ref().is_some_and(owned))
}
