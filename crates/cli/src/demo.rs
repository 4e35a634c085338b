//! The demo's parts: what is appended, what the shopper does, what is shown.

mod client;
mod layout;
mod load;

pub(crate) use client::{Asked, Clients, choice, clicks};
pub(crate) use layout::side_by_side;
pub(crate) use load::{Burst, burst};

use event_log::{EventLog, NewRecord};
use serde_json::json;

use crate::output::Progress;
use crate::shop::Item;

/// Records of one append.
const BATCH: usize = 2000;

/// The catalogue as records of its topic, all of one moment.
pub(crate) fn catalogue_records(items: &[Item], at_us: i64) -> Vec<NewRecord> {
    let record = |item: &Item| NewRecord {
        key: item.id.clone().into_bytes(),
        value: json!({
            "event_id": format!("catalog-{}", item.id),
            "event_time": at_us,
            "item_id": item.id,
            "name": item.name,
            "category": item.category,
            "price_cents": item.price_cents,
            "stock": item.stock,
        })
        .to_string()
        .into_bytes(),
        trace: None,
    };
    items.iter().map(record).collect()
}

/// Appends in batches, each durable.
pub(crate) async fn append(
    log: &dyn EventLog,
    topic: &str,
    records: Vec<NewRecord>,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    for batch in records.chunks(BATCH) {
        for outcome in log.append(topic, batch.to_vec()).await? {
            outcome?;
        }
        progress.add(batch.len() as u64);
    }
    Ok(())
}
