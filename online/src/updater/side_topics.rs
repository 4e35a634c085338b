//! Topics `late` and `dead-letter`: what a lane did not fold, with the reason and the original bytes.
//!
//! Written before the commit that counts it, so nothing is lost; a replay after a crash writes it
//! again, under the same id (`lane/partition/offset`), so a reader can tell.

use definitions::{Columns, EventBatch, Lane, Rejection};
use event_log::{NewRecord, Topic};
use fold::Verdict;
use record::Record;
use serde::Serialize;

use super::context::Context;
use super::measures::Reasons;
use super::retry::Attempts;
use super::{Error, counters};

/// Larger originals are left out; their position says where they are. A log takes
/// [`event_log::RECORD_BYTES_MAX`], and escaping can make six bytes of one.
const VALUE_BYTES_MAX: usize = 150 << 10;

/// Larger keys are left out too, and the record is filed under its id.
const KEY_BYTES_MAX: usize = 4 << 10;

/// A detail may quote what was found; a person reads no more than this.
const DETAIL_BYTES_MAX: usize = 1000;

/// One late record or dead letter, as its topic holds it: a JSON object.
#[derive(Debug, Serialize)]
struct Dropped<'a> {
    /// `lane/partition/offset`: the same for each time that it is written.
    id: String,
    source: &'a str,
    entity: &'a str,
    topic: &'a str,
    log: String,
    partition: u32,
    offset: u64,
    append_time_ms: i64,
    /// `late`, or a dead letter's reason.
    reason: &'static str,
    /// For a person; empty where the reason says it all.
    detail: &'a str,
    key: Original<'a>,
    value: Original<'a>,
}

/// Original bytes: as text where they are UTF-8, else in hexadecimal.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Original<'a> {
    Text(&'a str),
    Hex(String),
    LeftOut { bytes: usize },
}

impl<'a> Original<'a> {
    fn of(bytes: &'a [u8], bytes_max: usize) -> Self {
        if bytes.len() > bytes_max {
            return Self::LeftOut { bytes: bytes.len() };
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(_) => Self::Hex(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        }
    }
}

/// What a lane read and did not fold, ready to be appended.
#[derive(Debug, Default)]
pub(super) struct SideRecords {
    late: Vec<NewRecord>,
    dead_letters: Vec<NewRecord>,
    left_out: usize,
    /// Dead letters by reason.
    pub(super) reasons: Reasons,
}

impl SideRecords {
    /// Picks the late and refused rows out of `verdicts`.
    pub(super) fn collect(
        lane: &Lane,
        topic: Topic,
        records: &[Record],
        batch: &EventBatch,
        columns: &Columns,
        verdicts: &[(usize, Verdict)],
    ) -> Self {
        let mut side = Self::default();
        for &(row, verdict) in verdicts {
            let reason = match verdict {
                Verdict::Applied | Verdict::Duplicate => continue,
                Verdict::Late => "late",
                Verdict::DeadLettered(reason) => {
                    side.reasons[reason as usize] += 1;
                    reason.as_str()
                }
            };
            let rejected = [&batch.rejections, &columns.rejections]
                .into_iter()
                .find_map(|rejections| detail(rejections, row));
            let of_admission = match (rejected, verdict) {
                (None, Verdict::DeadLettered(reason)) => fold::admission_says(reason, &lane.source),
                _ => String::new(),
            };
            let detail = rejected.unwrap_or(&of_admission);
            let record = &records[row];
            let key = Original::of(&record.key, KEY_BYTES_MAX);
            let value = Original::of(&record.value, VALUE_BYTES_MAX);
            side.left_out += usize::from(matches!(value, Original::LeftOut { .. }));
            let id = format!("{}/{}/{}", lane.id, record.partition, record.offset);
            let filed_under = match key {
                Original::LeftOut { .. } => id.clone().into_bytes(),
                _ => record.key.clone(),
            };
            let dropped = Dropped {
                id,
                source: &lane.source.name,
                entity: &lane.entity,
                topic: &lane.source.topic,
                log: topic.log.to_string(),
                partition: record.partition.0,
                offset: record.offset.0,
                append_time_ms: record.append_time.0,
                reason,
                detail,
                key,
                value,
            };
            let value = serde_json::to_vec(&dropped).expect("text and numbers are JSON");
            let new = NewRecord { key: filed_under, value, trace: record.trace.clone() };
            match verdict {
                Verdict::Late => side.late.push(new),
                _ => side.dead_letters.push(new),
            }
        }
        side
    }

    /// Appends them; no commit that comes after can outlive them. What the log did not take is tried again; nothing is given up
    /// but with the updater, which then commits nothing of it.
    pub(super) async fn write(self, context: &Context) -> Result<(), Error> {
        let cells = &context.shared.counters;
        counters::add(&cells.originals_left_out, self.left_out);
        let topics = [
            (&context.settings.late_topic, self.late, &cells.late_written),
            (&context.settings.dead_letter_topic, self.dead_letters, &cells.dead_letters_written),
        ];
        for (topic, mut records, counter) in topics {
            let mut attempts = Attempts::new(context, "writing late records and dead letters");
            while !records.is_empty() {
                let left = records.len();
                let appended = append(context, topic, &mut records).await;
                counters::add(counter, left - records.len());
                if let Err(error) = appended {
                    attempts.pause(error).await?;
                }
            }
        }
        Ok(())
    }
}

/// Appends them; those that the log did not take are left, with the first reason.
async fn append(
    context: &Context,
    topic: &str,
    records: &mut Vec<NewRecord>,
) -> Result<(), event_log::Error> {
    let journal = context.store.journal();
    let appended = context.log.append_before(topic, records.clone(), journal).await?;
    let mut outcomes = appended.into_iter();
    let mut failed = None;
    records.retain(|_| {
        let missing = || event_log::Error::Unavailable { reason: "no outcome".to_owned() };
        match outcomes.next().unwrap_or_else(|| Err(missing())) {
            Ok(_) => false,
            Err(error) => {
                failed.get_or_insert(error);
                true
            }
        }
    });
    failed.map_or(Ok(()), Err)
}

fn detail(rejections: &[Rejection], row: usize) -> Option<&str> {
    let at = rejections.binary_search_by_key(&row, |rejection| rejection.row).ok()?;
    let detail = &rejections[at].detail;
    Some(&detail[..detail.floor_char_boundary(DETAIL_BYTES_MAX)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn originals_survive_as_text_or_hexadecimal() {
        let json = |bytes: &[u8]| serde_json::to_string(&Original::of(bytes, 9)).unwrap();
        assert_eq!(json(b"{\"a\":1}"), r#"{"text":"{\"a\":1}"}"#);
        assert_eq!(json(&[0xff, 0x00]), r#"{"hex":"ff00"}"#);
        assert_eq!(json(b"0123456789"), r#"{"left_out":{"bytes":10}}"#);
    }

    #[test]
    fn the_worst_that_escaping_can_do_fits_into_a_record() {
        let worst = 6 * (VALUE_BYTES_MAX + KEY_BYTES_MAX + DETAIL_BYTES_MAX) + KEY_BYTES_MAX;
        assert!(worst + 4096 < event_log::RECORD_BYTES_MAX);
    }
}
