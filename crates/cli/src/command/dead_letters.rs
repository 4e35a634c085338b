//! `twofold dead-letters`: list what was refused, and send it again when the cause is mended.

use std::collections::VecDeque;
use std::sync::Arc;

use batch::archive::Tiered;
use definitions::{Definitions, Reason};
use runtime::exit::{Code, With};

use super::Context;
use crate::args::{DeadLettersCommand, OfLetters};
use crate::data::Data;
use crate::dead_letters::{self, Letter, Letters, Wanted};
use crate::output::Outcome;

pub(crate) async fn run(
    context: &Context,
    data: &Data,
    definitions: &Definitions,
    command: &DeadLettersCommand,
) -> anyhow::Result<Outcome> {
    let (DeadLettersCommand::List { of, .. } | DeadLettersCommand::Redrive { of }) = command;
    if let Some(name) = &of.source
        && definitions.sources.iter().all(|source| source.name != *name)
    {
        let known: Vec<&str> = definitions.sources.iter().map(|s| s.name.as_str()).collect();
        let known = known.join(", ");
        return Err(anyhow::anyhow!(
            "--source {name}: the definitions have no such source, only {known}"
        ))
        .exit(Code::Configuration);
    }
    let reasons = Reason::ALL.map(Reason::as_str);
    if let Some(reason) = &of.reason
        && !reasons.contains(&reason.as_str())
    {
        let known = reasons.join(", ");
        return Err(anyhow::anyhow!("--reason {reason}: there is no such reason, only {known}"))
            .exit(Code::Configuration);
    }
    match command {
        DeadLettersCommand::List { of, limit } => list(context, data, of, *limit).await,
        DeadLettersCommand::Redrive { of } => redrive(context, data, definitions, of).await,
    }
}

fn wanted(of: &OfLetters) -> Wanted {
    Wanted { reason: of.reason.clone(), source: of.source.clone() }
}

async fn list(
    context: &Context,
    data: &Data,
    of: &OfLetters,
    limit: usize,
) -> anyhow::Result<Outcome> {
    let topic = &context.settings.updater.dead_letter_topic;
    let mut shown: VecDeque<Letter> = VecDeque::new();
    let Letters { letters, reasons, repeats, unreadable } =
        dead_letters::read(&*data.log, topic, &wanted(of), |letter| {
            shown.push_back(letter);
            if shown.len() > limit {
                shown.pop_front();
            }
            Ok(())
        })
        .await?;
    let json = serde_json::json!({
        "letters": letters,
        "reasons": &reasons,
        "repeats": repeats,
        "unreadable": unreadable,
        "shown": &shown,
    });
    let mut text: Vec<String> = shown.iter().map(Letter::text).collect();
    text.extend(reasons.iter().map(|(reason, count)| format!("{reason}: {count}")));
    text.push(match (letters, shown.len() as u64) {
        (0, _) => "no dead letters".to_owned(),
        (all, some) if some < all => format!("{all} dead letters, the last {some} shown"),
        (all, _) => format!("{all} dead letters"),
    });
    if unreadable > 0 {
        text.push(format!("{unreadable} records of topic {topic} are no dead letters of twofold"));
    }
    Outcome::new(&json, text.join("\n"))
}

async fn redrive(
    context: &Context,
    data: &Data,
    definitions: &Definitions,
    of: &OfLetters,
) -> anyhow::Result<Outcome> {
    let topic = &context.settings.updater.dead_letter_topic;
    let now = context.clock.append_time();
    // A large original lies in the log only, or in the archive by now.
    let log = Tiered::new(data.archive.clone(), Arc::clone(&data.log));
    let done = dead_letters::redrive(&log, topic, definitions, &wanted(of), now).await?;
    let mut text = format!("{} records sent again, of {} letters", done.redriven, done.letters);
    for (reason, count) in &done.skipped {
        text.push_str(&format!("\n  skipped, {reason}: {count}"));
    }
    Outcome::new(&done, text)
}
