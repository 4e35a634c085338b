//! The topic of dead letters, each letter once.

use std::collections::{BTreeMap, HashSet};

use batch::UpTo;
use event_log::EventLog;
use record::{Offset, Partition};

use super::Letter;

/// Letters that are told apart at most: their ids are held in memory.
const LETTERS_MAX: usize = 5_000_000;

/// Which letters are meant; all of them where nothing is said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) reason: Option<String>,
    pub(crate) source: Option<String>,
}

/// What the topic holds.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    /// Distinct letters.
    pub(crate) letters: u64,
    /// By reason.
    pub(crate) reasons: BTreeMap<String, u64>,
    /// Records that repeat a letter, as a replay writes them.
    pub(crate) repeats: u64,
    /// Records that are no letters.
    pub(crate) unreadable: u64,
}

impl Wanted {
    fn wants(&self, letter: &Letter) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        is(&self.reason, Some(letter.reason())) && is(&self.source, letter.source())
    }
}

/// Reads the topic from its first record to its end as it is now, and tells `each` every wanted letter
/// once, in the order of partitions and offsets.
///
/// # Errors
/// When the log fails; with more letters than memory is meant for.
pub(crate) async fn read(
    log: &dyn EventLog,
    topic: &str,
    wanted: &Wanted,
    mut each: impl FnMut(Letter) -> anyhow::Result<()>,
) -> anyhow::Result<Letters> {
    let mut found = Letters::default();
    let mut seen: HashSet<[u8; 16]> = HashSet::new();
    for (bounds, partition) in log.bounds(topic).await?.into_iter().zip((0..).map(Partition)) {
        let mut records = UpTo::open(log, topic, partition, bounds.first, bounds.next).await?;
        while let Some(records) = records.next().await? {
            for record in records {
                let Ok(letter) = serde_json::from_slice::<Letter>(&record.value) else {
                    found.unreadable += 1;
                    continue;
                };
                if !wanted.wants(&letter) {
                    continue;
                }
                let digest = blake3::hash(letter.id().as_bytes());
                let (id, _) = digest.as_bytes().split_first_chunk().expect("32 bytes");
                if !seen.insert(*id) {
                    found.repeats += 1;
                    continue;
                }
                anyhow::ensure!(
                    seen.len() <= LETTERS_MAX,
                    "topic {topic} holds more than {LETTERS_MAX} such letters: ask for one --reason \
                     or one --source"
                );
                found.letters += 1;
                *found.reasons.entry(letter.reason().to_owned()).or_default() += 1;
                each(letter)?;
            }
        }
    }
    Ok(found)
}

/// One record of a topic, if it is still there.
pub(super) async fn record_at(
    log: &dyn EventLog,
    topic: &str,
    partition: Partition,
    offset: Offset,
) -> anyhow::Result<Option<record::Record>> {
    let bounds = log.bounds(topic).await?;
    let Some(bounds) = bounds.get(partition.0 as usize) else { return Ok(None) };
    if offset < bounds.first || offset >= bounds.next {
        return Ok(None);
    }
    let mut records = UpTo::open(log, topic, partition, offset, offset.next()).await?;
    let found = records.next().await?.into_iter().flatten();
    Ok(found.into_iter().find(|record| record.offset == offset))
}
