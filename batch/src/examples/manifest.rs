//! `manifest.json` of a training set: what training checks before it believes a row.

use std::collections::BTreeMap;

use candidates::index::Indexes;
use definitions::Model;
use serde::{Deserialize, Serialize};

use super::write::Example;
use super::{Position, Settings, Towers};
use crate::files::hex;
use crate::history::{DAY_US, History};
use crate::parity::Response;

/// What a training set says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of this format.
    pub version: u32,
    /// `event_time` or `as_served`.
    pub clock: String,
    /// Name of the model definition.
    pub model: String,
    /// Its hash, lower-case hex.
    pub definition_hash: String,
    /// Input columns in order.
    pub inputs: Vec<String>,
    /// Rows.
    pub rows: u64,
    /// Positions that have rows.
    pub positions: u64,
    /// Positions whose next item was not among their candidates; they have no rows.
    pub positions_without_target: u64,
    /// Earliest position, in microseconds since the epoch.
    pub spine_from_us: i64,
    /// Latest position, in microseconds since the epoch.
    pub spine_to_us: i64,
    /// Each day with its indexes.
    pub days: Vec<Day>,
    /// How long before its day begins an index was cut, in microseconds. `None`: the indexes are those
    /// that the responses were made with.
    pub publish_lag_us: Option<i64>,
    /// Item vectors that interest vectors and the source `interest` used.
    pub embedding: Option<EmbeddingEntry>,
    /// Data files.
    pub files: Vec<FileEntry>,
    /// What was left out, and how.
    pub sampling: Sampling,
}

/// A day of the spine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// `YYYY-MM-DD`, UTC.
    pub day: String,
    /// Earliest position, in microseconds since the epoch.
    pub spine_from_us: i64,
    /// Latest position, in microseconds since the epoch.
    pub spine_to_us: i64,
    /// Per `topic/partition`: the first offset that no event up to the day's last position reaches.
    pub spine_positions: BTreeMap<String, u64>,
    /// Digest of the day's indexes, lower-case hex.
    pub index_digest: String,
    /// Only what happened before this is in them, in microseconds since the epoch.
    pub index_cut_us: i64,
    /// Per `topic/partition`: the first offset that they had not read.
    pub index_positions: BTreeMap<String, u64>,
}

/// Item vectors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingEntry {
    /// Their digest, lower-case hex.
    pub digest: String,
    /// Time of the last event that they know, in microseconds since the epoch.
    pub trained_to_us: i64,
}

/// A data file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Name in the directory.
    pub name: String,
    /// SHA-256, lower-case hex.
    pub sha256: String,
    /// Length.
    pub bytes: u64,
}

/// What was left out, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sampling {
    /// Positions that a hash of their place in the log left out.
    pub positions_left_out: u64,
    /// Rows of a position at most: the first ones in the order of fusion. A position whose target lies
    /// behind them counts among those without a target. `None` for all of these: the rows are what a
    /// response served.
    pub rows_max: Option<usize>,
    /// Hits of each source at most.
    pub per_source: Option<usize>,
    /// Candidates of a position at most, before `rows_max`.
    pub pool_max: Option<usize>,
    /// Input values that an expression failed on; they are 0.
    pub inputs_failed: u64,
}

/// What a manifest says besides what was counted.
pub(super) struct Made<'a> {
    pub(super) clock: &'a str,
    pub(super) model: &'a Model,
    pub(super) towers: Option<&'a Towers>,
    pub(super) left_out: u64,
}

/// What is counted while rows are written.
#[derive(Default)]
pub(super) struct Tally {
    rows: u64,
    positions: u64,
    days: Vec<Day>,
    pub(super) without_target: u64,
    pub(super) failed: u64,
}

impl Tally {
    pub(super) fn count(&mut self, example: &Example) {
        self.rows += example.items.len() as u64;
        self.positions += 1;
    }

    pub(super) fn day(&mut self, history: &History, positions: &[Position], indexes: &Indexes) {
        let (Some(first), Some(last)) = (positions.first(), positions.last()) else { return };
        let (from, to) = (first.event.at, last.event.at);
        let topic = &history.lane.source.topic;
        let reached = history.positions(to.plus(1)).into_iter();
        let read = indexes.positions.iter();
        self.days.push(Day {
            day: date(first.day()),
            spine_from_us: from.0,
            spine_to_us: to.0,
            spine_positions: reached.map(|(p, next)| (format!("{topic}/{p}"), next)).collect(),
            index_digest: indexes.digest_hex(),
            index_cut_us: indexes.cut_us,
            index_positions: read.map(|((t, p), next)| (format!("{t}/{p}"), *next)).collect(),
        });
    }

    /// A day of responses that were made with the same indexes.
    pub(super) fn served_day(&mut self, responses: &[Response], indexes: &Indexes) {
        let (Some(first), Some(last)) = (responses.first(), responses.last()) else { return };
        let mut reached = BTreeMap::new();
        for response in responses {
            let reads = response.served.visitor_reads.iter();
            for read in reads.chain(&response.served.item_table_reads) {
                let Some(position) = &read.position else { continue };
                let place = format!("{}/{}", position.topic, position.partition);
                let next = reached.entry(place).or_insert(0);
                *next = position.next.max(*next);
            }
        }
        let read = indexes.positions.iter();
        self.days.push(Day {
            day: date(first.as_of_us()),
            spine_from_us: first.as_of_us(),
            spine_to_us: last.as_of_us(),
            spine_positions: reached,
            index_digest: indexes.digest_hex(),
            index_cut_us: indexes.cut_us,
            index_positions: read.map(|((t, p), next)| (format!("{t}/{p}"), *next)).collect(),
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.positions == 0
    }

    pub(super) fn manifest(
        self,
        made: &Made<'_>,
        settings: Option<&Settings>,
        file: FileEntry,
    ) -> Manifest {
        Manifest {
            version: 1,
            clock: made.clock.to_owned(),
            model: made.model.name.clone(),
            definition_hash: hex(&made.model.hash),
            inputs: made.model.inputs.iter().map(|input| input.name.clone()).collect(),
            rows: self.rows,
            positions: self.positions,
            positions_without_target: self.without_target,
            spine_from_us: self.days.first().map_or(0, |day| day.spine_from_us),
            spine_to_us: self.days.last().map_or(0, |day| day.spine_to_us),
            days: self.days,
            publish_lag_us: settings.map(|settings| settings.publish_lag_us),
            embedding: made.towers.map(|towers| EmbeddingEntry {
                digest: hex(&towers.embedding.digest()),
                trained_to_us: towers.trained_to.0,
            }),
            files: vec![file],
            sampling: Sampling {
                positions_left_out: made.left_out,
                rows_max: settings.map(|settings| settings.rows_max),
                per_source: settings.map(|settings| settings.per_source),
                pool_max: settings.map(|settings| settings.pool_max),
                inputs_failed: self.failed,
            },
        }
    }
}

/// `YYYY-MM-DD` of a time in microseconds, UTC; the algorithm is Howard Hinnant's `civil_from_days`.
fn date(at_us: i64) -> String {
    let z = at_us.div_euclid(DAY_US) + 719_468;
    let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_civil() {
        for (days, expected) in
            [(0, "1970-01-01"), (-1, "1969-12-31"), (16_162, "2014-04-02"), (19_782, "2024-02-29")]
        {
            assert_eq!(date(days * DAY_US), expected);
        }
    }
}
