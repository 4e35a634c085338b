//! `twofold topics`: create and list.

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
}

pub(crate) async fn run(
    context: &Context,
    data: &Data,
    definitions: &Definitions,
) -> anyhow::Result<Outcome> {
    let mut rows = Vec::new();
    for topic in data::topics(definitions, &context.settings)? {
        let found = data.log.topic(topic).await?;
        let bounds = data.log.bounds(topic).await?;
        rows.push(Row {
            topic: topic.to_owned(),
            log: found.log.to_string(),
            partitions: found.partitions,
            records: bounds.iter().map(|bounds| bounds.next.0 - bounds.first.0).sum(),
        });
    }
    let line = |row: &Row| {
        format!(
            "{:<14} {:>3} partitions {:>10} records  {}",
            row.topic, row.partitions, row.records, row.log
        )
    };
    let text = rows.iter().map(line).collect::<Vec<_>>().join("\n");
    Outcome::new(&serde_json::json!({ "topics": &rows }), text)
}
