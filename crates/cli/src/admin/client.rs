//! Asks the owner of a data directory.

use std::io::{self, ErrorKind};
use std::time::Duration;

use anyhow::Context as _;
use definitions::Definitions;
use runtime::exit::{Code, With};
use tokio::io::{AsyncBufRead, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::Request;
use super::protocol::{
    ANSWER_BYTES_MAX, Answer, CALL_BYTES_MAX, Call, Realm, VERSION, line, read_line,
};
use super::socket::Short;
use crate::command::{Context, import};
use crate::follower::Step;
use crate::output::{Outcome, Progress};

/// How long an owner that speaks every second may be silent on a machine that is busy.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// The owner's answer; `None`: nobody answers, so the directory is free or its owner takes no commands.
pub(super) async fn ask(
    context: &Context,
    definitions: &Definitions,
    request: &Request,
) -> anyhow::Result<Option<Outcome>> {
    if !context.settings.is_embedded() {
        return Ok(None);
    }
    let Some(stream) = connect(context).await? else { return Ok(None) };
    if let Request::Import(args) = request {
        import::check_for_owner(args)?;
    }
    let owner = stream.peer_cred().ok().and_then(|peer| peer.pid());
    let owner = owner.map_or("another process".to_owned(), |pid| format!("process {pid}"));
    let realm = Realm::of(context, definitions)?;
    let call = Call { version: VERSION, realm, request: request.clone() };
    let call = line(&call).context("a path that is no UTF-8").exit(Code::Configuration)?;
    if call.len() > CALL_BYTES_MAX {
        let text = format!("more files than {owner} takes at once: import them in parts");
        return Err(anyhow::anyhow!(text)).exit(Code::Configuration);
    }
    let (reader, mut writer) = stream.into_split();
    // An owner that refuses may do so before it has read all; what it says is what counts.
    let _ = writer.write_all(&call).await;
    let ended = || {
        format!(
            "{owner}, which owns the data directory, ended before it answered: what it had done stays done; run this again"
        )
    };
    let mut reader = BufReader::new(reader);
    let mut shown = Shown::default();
    loop {
        let answer = answer(&mut reader, SILENCE_MAX, &owner).await?.with_context(ended)?;
        anyhow::ensure!(!answer.is_empty(), ended());
        let answer: Answer =
            serde_json::from_slice(&answer).with_context(|| format!("answer of {owner}"))?;
        match answer.end() {
            Ok(outcome) => return outcome.map(Some),
            Err(before) => shown.show(before),
        }
    }
}

/// The next line of the owner's answers.
///
/// # Errors
/// When nothing comes for `silence_max`: the owner is there and does not run.
async fn answer(
    reader: &mut (impl AsyncBufRead + Unpin),
    silence_max: Duration,
    owner: &str,
) -> anyhow::Result<io::Result<Vec<u8>>> {
    timeout(silence_max, read_line(reader, ANSWER_BYTES_MAX)).await.with_context(|| {
        format!(
            "{owner}, which owns the data directory, has said nothing for {} s: it is stopped (then \
             `kill -CONT` wakes it) or starved; what it was asked for may still be done",
            silence_max.as_secs()
        )
    })
}

async fn connect(context: &Context) -> anyhow::Result<Option<UnixStream>> {
    let data = &context.settings.data;
    // A directory that is not there, or where no socket could be made, has no owner to ask.
    let Ok(short) = Short::of(data) else { return Ok(None) };
    match UnixStream::connect(short.socket()).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => {
            Err(error).with_context(|| format!("admin socket of data directory {}", data.display()))
        }
    }
}

/// What the owner says before the end, as this process would say it.
#[derive(Default)]
struct Shown {
    bar: Option<(String, Progress)>,
}

impl Shown {
    fn show(&mut self, answer: Answer) {
        match answer {
            Answer::Step(Step { what, done, of }) => {
                if self.bar.as_ref().is_none_or(|(shown, _)| *shown != what) {
                    self.bar = Some((what.clone(), Progress::new(&what, of)));
                }
                if let Some((_, bar)) = &mut self.bar {
                    bar.set(done, of);
                }
            }
            Answer::Note(text) => tracing::warn!("{text}"),
            Answer::Alive | Answer::Done(_) | Answer::Failed { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_owner_that_was_stopped_is_not_waited_for_for_ever() {
        let (mut ours, theirs) = tokio::io::duplex(64);
        let mut reader = BufReader::new(theirs);
        let silence = Duration::from_millis(50);
        let error = answer(&mut reader, silence, "process 7").await.unwrap_err();
        let message = runtime::exit::message(&error);
        assert!(message.contains("process 7") && message.contains("kill -CONT"), "{message}");
        ours.write_all(b"\"alive\"\n").await.unwrap();
        let line = answer(&mut reader, SILENCE_MAX, "process 7").await.unwrap().unwrap();
        assert_eq!(serde_json::from_slice::<Answer>(&line).unwrap(), Answer::Alive);
    }
}
