//! Sending dead letters again, under their own keys and bytes.
//!
//! A letter goes back to its source's topic if the definitions of today take it, and only once: records
//! keep their event id, so admission judges a copy as a duplicate (or as late), and a letter that lies in
//! the topic at another place already is passed over.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use batch::UpTo;
use definitions::decode::Decoder;
use definitions::{Definitions, Lane, Source};
use event_log::{EventLog, NewRecord};
use fold::Watermark;
use record::{AppendTime, EventTime, Offset, Partition, Record, partition_for_key};
use serde::Serialize;

use super::letter::OfRecord;
use super::read::record_at;
use super::{Letter, Wanted, read};

/// Records of one append.
const BATCH: usize = 1000;
/// Bytes of originals that one run holds in memory at most.
const BYTES_MAX: usize = 512 << 20;

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Redriven {
    /// Distinct letters that were looked at: the sum of the rest.
    pub(crate) letters: u64,
    /// Records appended to their source's topic.
    pub(crate) redriven: u64,
    /// Letters that were not, by reason; `same_record`: another lane's letter of the same record was
    /// looked at.
    pub(crate) skipped: BTreeMap<&'static str, u64>,
}

/// A record's place in its topic.
type Place = (Partition, Offset);

impl Redriven {
    fn skip(&mut self, reason: &'static str) {
        *self.skipped.entry(reason).or_default() += 1;
    }
}

/// Sends the wanted letters of `topic` again.
///
/// # Errors
/// When the log fails; what was appended by then is found there by the next run.
pub(crate) async fn redrive(
    log: &dyn EventLog,
    topic: &str,
    definitions: &Definitions,
    wanted: &Wanted,
    now: AppendTime,
) -> anyhow::Result<Redriven> {
    let mut done = Redriven::default();
    let mut logs: HashMap<String, String> = HashMap::new();
    for source in &definitions.sources {
        logs.insert(source.topic.clone(), log.topic(&source.topic).await?.log.to_string());
    }
    let mut by_source: BTreeMap<String, BTreeMap<Place, OfRecord>> = BTreeMap::new();
    let mut bytes = 0;
    let found = read(log, topic, wanted, |letter| {
        let letter = match letter {
            // A line never was a record: import its file again.
            Letter::Line(_) => {
                done.skip("import_line");
                return Ok(());
            }
            Letter::Record(letter) => letter,
        };
        // Places of another log are other places.
        if logs.get(&letter.topic) != Some(&letter.log) {
            done.skip("log_gone");
            return Ok(());
        }
        bytes += letter.key.len() + letter.value.len();
        anyhow::ensure!(
            bytes <= BYTES_MAX,
            "these letters hold more than {BYTES_MAX} bytes: send them again by --reason or --source"
        );
        let place = (Partition(letter.partition), Offset(letter.offset));
        let of_source = by_source.entry(letter.source.clone()).or_default();
        if of_source.insert(place, letter).is_some() {
            done.skip("same_record");
        }
        Ok(())
    })
    .await?;
    done.letters = found.letters;
    for (name, letters) in by_source {
        match definitions.sources.iter().find(|source| source.name == name) {
            Some(source) => of_source(log, source, definitions, letters, now, &mut done).await?,
            None => letters.iter().for_each(|_| done.skip("no_such_source")),
        }
    }
    Ok(done)
}

async fn of_source(
    log: &dyn EventLog,
    source: &Arc<Source>,
    definitions: &Definitions,
    letters: BTreeMap<Place, OfRecord>,
    now: AppendTime,
    done: &mut Redriven,
) -> anyhow::Result<()> {
    let topic = log.topic(&source.topic).await?;
    let lanes = definitions.lanes();
    let lanes: Vec<&Arc<Lane>> =
        lanes.iter().filter(|lane| lane.source.name == source.name).collect();
    let refused_at: BTreeSet<Place> = letters.keys().copied().collect();
    // In the order in which they came.
    let mut letters: Vec<(Place, OfRecord)> = letters.into_iter().collect();
    letters.sort_by_key(|(place, letter)| (letter.append_time_ms, *place));
    let mut taken: HashMap<[u8; 32], NewRecord> = HashMap::new();
    let mut order = Vec::new();
    for ((partition, offset), letter) in letters {
        if letter.topic != source.topic {
            done.skip("log_gone");
            continue;
        }
        let (key, value) = match (letter.key.bytes(), letter.value.bytes()) {
            (Some(key), Some(value)) => (key, value),
            _ => match record_at(log, &source.topic, partition, offset).await? {
                Some(record) => (record.key, record.value),
                None => {
                    done.skip("original_gone");
                    continue;
                }
            },
        };
        if !is_taken(source, &lanes, &key, &value, topic.partitions, now) {
            done.skip("still_refused");
            continue;
        }
        let digest = digest(&key, &value);
        if taken.insert(digest, NewRecord { key, value, trace: None }).is_none() {
            order.push(digest);
        } else {
            done.skip("same_bytes");
        }
    }
    forget_what_is_there(log, &source.topic, &refused_at, &mut taken, done).await?;
    let records: Vec<NewRecord> = order.iter().filter_map(|digest| taken.remove(digest)).collect();
    for batch in records.chunks(BATCH) {
        for outcome in log.append(&source.topic, batch.to_vec()).await? {
            outcome?;
            done.redriven += 1;
        }
    }
    Ok(())
}

/// Whether every lane of the source would take a record that is appended now.
fn is_taken(
    source: &Arc<Source>,
    lanes: &[&Arc<Lane>],
    key: &[u8],
    value: &[u8],
    partitions: u32,
    now: AppendTime,
) -> bool {
    let partition = partition_for_key(key, partitions);
    let record = Record {
        partition,
        offset: Offset(0),
        append_time: now,
        key: key.to_vec(),
        value: value.to_vec(),
        trace: None,
    };
    let batch = Decoder::new(Arc::clone(source), partition, partitions).decode(&[record]);
    let in_time = || {
        let mut watermark = Watermark::new(source, EventTime::MIN);
        watermark.judge(batch.event_times[0], now).is_ok()
    };
    batch.rejections.is_empty()
        && in_time()
        && lanes.iter().all(|lane| lane.evaluate(&batch).rejections.is_empty())
}

/// Takes out what lies in the topic at a place where it was not refused: it was sent again already.
async fn forget_what_is_there(
    log: &dyn EventLog,
    topic: &str,
    refused_at: &BTreeSet<Place>,
    taken: &mut HashMap<[u8; 32], NewRecord>,
    done: &mut Redriven,
) -> anyhow::Result<()> {
    for (bounds, partition) in log.bounds(topic).await?.into_iter().zip((0..).map(Partition)) {
        let mut records = UpTo::open(log, topic, partition, bounds.first, bounds.next).await?;
        while !taken.is_empty()
            && let Some(records) = records.next().await?
        {
            for record in records {
                if !refused_at.contains(&(partition, record.offset))
                    && taken.remove(&digest(&record.key, &record.value)).is_some()
                {
                    done.skip("redriven_before");
                }
            }
        }
    }
    Ok(())
}

fn digest(key: &[u8], value: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.len() as u64).to_le_bytes()).update(key).update(value);
    *hasher.finalize().as_bytes()
}
