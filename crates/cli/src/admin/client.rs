//! Asks the owner of a data directory.

use std::io::ErrorKind;

use anyhow::Context as _;
use definitions::Definitions;
use runtime::exit::{Code, With};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use super::Request;
use super::protocol::{
    ANSWER_BYTES_MAX, Answer, CALL_BYTES_MAX, Call, Realm, VERSION, line, read_line,
};
use super::socket::Short;
use crate::command::{Context, import};
use crate::follower::Step;
use crate::output::{Outcome, Progress};

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
        let answer = read_line(&mut reader, ANSWER_BYTES_MAX).await.with_context(ended)?;
        anyhow::ensure!(!answer.is_empty(), ended());
        let answer: Answer =
            serde_json::from_slice(&answer).with_context(|| format!("answer of {owner}"))?;
        match answer.end() {
            Ok(outcome) => return outcome.map(Some),
            Err(before) => shown.show(before),
        }
    }
}

async fn connect(context: &Context) -> anyhow::Result<Option<UnixStream>> {
    let data = &context.settings.data;
    // A directory that is not there, or where no socket could be made, has no owner to ask.
    let Ok(short) = Short::of(data) else { return Ok(None) };
    match UnixStream::connect(short.socket()).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error)
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) =>
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
            Answer::Done(_) | Answer::Failed { .. } => {}
        }
    }
}
