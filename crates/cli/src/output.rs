//! What a person or a program reads: results, colours, progress.

use std::io::{ErrorKind, IsTerminal, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use runtime::exit::{Code, With};
use serde::{Deserialize, Serialize};

use crate::follower::Follower;

/// How results are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) colour: bool,
}

/// What a command came to, before it is printed: here, or by a client at the other end of a socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Outcome {
    /// What `--json` prints.
    pub(crate) json: String,
    /// What a person reads.
    pub(crate) text: String,
    /// Why the command fails all the same, once this is printed.
    pub(crate) failed: Option<String>,
    /// How it ends then.
    pub(crate) code: Code,
}

impl Outcome {
    /// One that is good.
    pub(crate) fn new(value: &impl Serialize, text: String) -> anyhow::Result<Self> {
        Ok(Self { json: serde_json::to_string(value)?, text, failed: None, code: Code::Failure })
    }

    /// One that is printed and ends with `code` all the same.
    pub(crate) fn failing(self, code: Code, why: String) -> Self {
        Self { failed: Some(why), code, ..self }
    }
}

/// A colour or weight of the terminal.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ink {
    Bold,
    Dim,
    Green,
    Cyan,
    Red,
}

/// Nobody reads stdout any more (`twofold … | head`): the command ends, and that is no failure.
#[derive(Debug, thiserror::Error)]
#[error("stdout is closed")]
pub(crate) struct Closed;

/// Writes a line to stdout, at once.
///
/// # Errors
/// [`Closed`]; or when the system refuses, because a disk is full, say.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Closed.into()),
        other => other.context("stdout"),
    }
}

impl Output {
    /// Colours only on a terminal, and only where nobody objects.
    pub(crate) fn new(json: bool, no_color: bool) -> Self {
        Self { json, colour: !no_color && std::io::stdout().is_terminal() }
    }

    /// The result: text for a person, or one JSON object for a program.
    pub(crate) fn result(
        self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        match self.json {
            true => line(&serde_json::to_string(value)?),
            false => line(text().trim_end()),
        }
    }

    /// Prints an outcome.
    ///
    /// # Errors
    /// Its own failure, whether or not anybody has read it; else that it cannot be printed.
    pub(crate) fn outcome(self, outcome: &Outcome) -> anyhow::Result<()> {
        let printed = line(if self.json { &outcome.json } else { outcome.text.trim_end() });
        match &outcome.failed {
            None => printed,
            Some(why) => Err(anyhow::anyhow!(why.clone())).exit(outcome.code),
        }
    }

    /// A line for a person; programs do not see it.
    pub(crate) fn say(self, text: &str) {
        if !self.json {
            // Whoever has stopped reading is told when the result comes.
            let _ = line(text);
        }
    }

    /// Text in a colour.
    pub(crate) fn ink(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Bold => "1",
            Ink::Dim => "2",
            Ink::Red => "31",
            Ink::Green => "32",
            Ink::Cyan => "36",
        };
        match self.colour {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

/// A progress bar on a terminal, a log line per tenth elsewhere; or steps for a client.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    what: String,
    told: u64,
    shown: bool,
    follower: Follower,
}

impl Progress {
    /// `of` 0: not known yet.
    pub(crate) fn new(what: &str, of: u64) -> Self {
        Self::followed(&Follower::Here, what, of)
    }

    /// As [`Progress::new`], for whoever follows the command.
    pub(crate) fn followed(follower: &Follower, what: &str, of: u64) -> Self {
        let here = matches!(follower, Follower::Here);
        let shown = here && std::io::stderr().is_terminal();
        let bar = if shown { ProgressBar::new(of) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template(
            "{msg:>22} {wide_bar:.cyan/dim} {human_pos}/{human_len} {elapsed_precise}",
        );
        bar.set_style(style.expect("the template is a constant that parses"));
        bar.set_message(what.to_owned());
        bar.set_length(of);
        if shown {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self { bar, what: what.to_owned(), told: 0, shown, follower: follower.clone() }
    }

    /// Where it is.
    pub(crate) fn set(&mut self, done: u64, of: u64) {
        self.bar.set_length(of);
        self.bar.set_position(done);
        if self.follower.step(&self.what, done, of) {
            return;
        }
        let tenth = (done * 10).checked_div(of).unwrap_or(0);
        if !self.shown && tenth > self.told {
            self.told = tenth;
            tracing::info!(done, of, "{}", self.what);
        }
    }

    /// Adds to what is done.
    pub(crate) fn add(&mut self, done: u64) {
        self.set(self.bar.position() + done, self.bar.length().unwrap_or(0));
    }

    /// Another line beside the bar.
    pub(crate) fn message(&self, text: String) {
        if self.shown {
            self.bar.set_message(text);
        } else {
            tracing::info!("{text}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
