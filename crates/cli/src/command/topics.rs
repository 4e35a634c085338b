//! `twofold topics`: create, list, check.

use definitions::Definitions;
use serde::Serialize;

use super::Context;
use crate::data::{self, Data};
use crate::output::Outcome;

#[derive(Serialize)]
struct Row {
    topic: String,
    log: String,
    partitions: u32,
    records: u64,
    /// Settings of the topic that the log's promises do not survive, and how to mend them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<String>,
}

pub(crate) async fn run(
    context: &Context,
    data: &Data,
    definitions: &Definitions,
    check: bool,
) -> anyhow::Result<Outcome> {
    let (mut rows, mut missing) = (Vec::new(), Vec::new());
    for topic in data::topics(definitions, &context.settings)? {
        let found = match data.log.topic(topic).await {
            Ok(found) => found,
            Err(event_log::Error::NoTopic { .. }) if !check => {
                missing.push(topic);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let bounds = data.log.bounds(topic).await?;
        rows.push(Row {
            topic: topic.to_owned(),
            log: found.log.to_string(),
            partitions: found.partitions,
            records: bounds.iter().map(|bounds| bounds.next.0 - bounds.first.0).sum(),
            findings: if check { findings(data, topic).await? } else { Vec::new() },
        });
    }
    let line = |row: &Row| {
        format!(
            "{:<14} {:>3} partitions {:>10} records  {}",
            row.topic, row.partitions, row.records, row.log
        )
    };
    let found: Vec<String> = rows.iter().flat_map(|row| row.findings.clone()).collect();
    let absent = missing
        .iter()
        .map(|topic| format!("{topic} is not there yet: `twofold topics create` makes it"));
    let lines = rows.iter().map(line).chain(found.iter().cloned()).chain(absent);
    let text = lines.collect::<Vec<_>>().join("\n");
    let failed = (!found.is_empty()).then(|| format!("{} settings must be mended", found.len()));
    Ok(Outcome {
        failed,
        ..Outcome::new(&serde_json::json!({ "topics": &rows, "missing": &missing }), text)?
    })
}

/// What is wrong with a topic's settings; the embedded log's topics have none.
async fn findings(data: &Data, topic: &str) -> anyhow::Result<Vec<String>> {
    let Some(kafka) = &data.kafka else { return Ok(Vec::new()) };
    let line = |finding: event_log::kafka::Finding| {
        let event_log::kafka::Finding { setting, found, expected, remedy } = finding;
        format!("topic {topic}: {setting} is {found}, expected {expected}: {remedy}")
    };
    Ok(kafka.check(topic).await?.into_iter().map(line).collect())
}
