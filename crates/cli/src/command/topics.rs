//! `twofold topics`: create and list.

use serde::Serialize;

use super::Context;
use crate::args::TopicsCommand;
use crate::data;

#[derive(Serialize)]
struct Row {
    topic: String,
    log: String,
    partitions: u32,
    records: u64,
}

pub(super) async fn run(context: Context, command: TopicsCommand) -> anyhow::Result<()> {
    let definitions = context.definitions()?;
    // Opening creates what is missing; listing shows it all either way.
    let data = context.open(&definitions).await?;
    match command {
        TopicsCommand::Create | TopicsCommand::List => {}
    }
    let mut rows = Vec::new();
    for topic in data::topics(&definitions, &context.settings)? {
        let found = data.log.topic(topic).await?;
        let bounds = data.log.bounds(topic).await?;
        rows.push(Row {
            topic: topic.to_owned(),
            log: found.log.to_string(),
            partitions: found.partitions,
            records: bounds.iter().map(|bounds| bounds.next.0 - bounds.first.0).sum(),
        });
    }
    context.output.result(&serde_json::json!({ "topics": &rows }), || {
        let line = |row: &Row| {
            format!(
                "{:<14} {:>3} partitions {:>10} records  {}",
                row.topic, row.partitions, row.records, row.log
            )
        };
        rows.iter().map(line).collect::<Vec<_>>().join("\n")
    })
}
