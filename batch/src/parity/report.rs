use std::collections::BTreeMap;

use definitions::Lane;
use fold::{Value, decode_values};
use serde::Serialize;

/// Differences that are kept with their place; the rest is counted.
const KEPT_MAX: usize = 20;

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Responses read.
    pub responses: u64,
    /// Values compared: features, source hits, inputs, scores.
    pub values: u64,
    /// Values that differ.
    pub mismatched: u64,
    /// What could not be compared, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
    /// The first differences.
    pub mismatches: Vec<Mismatch>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// The response.
    pub request_id: String,
    /// Partition of topic `served`.
    pub partition: u32,
    /// Offset in it.
    pub offset: u64,
    /// What differs, such as `user_activity.views_30m` or `source covisit of item 7`.
    pub what: String,
    /// What the record says.
    pub served: String,
    /// What the log gives.
    pub replayed: String,
}

impl Report {
    /// Adds what another comparison found.
    pub fn add(&mut self, other: &Self) {
        self.responses += other.responses;
        self.values += other.values;
        self.mismatched += other.mismatched;
        for (reason, count) in &other.skipped {
            *self.skipped.entry(reason).or_default() += count;
        }
        let room = KEPT_MAX.saturating_sub(self.mismatches.len());
        self.mismatches.extend(other.mismatches.iter().take(room).cloned());
    }

    /// Counts what cannot be compared.
    pub(crate) fn skip(&mut self, reason: &'static str) {
        *self.skipped.entry(reason).or_default() += 1;
    }

    /// Counts a difference.
    pub(super) fn differs(
        &mut self,
        response: &super::read::Response,
        what: impl Into<String>,
        served: impl Into<String>,
        replayed: impl Into<String>,
    ) {
        self.mismatched += 1;
        if self.mismatches.len() < KEPT_MAX {
            let answer = response.served.response.as_ref();
            self.mismatches.push(Mismatch {
                request_id: answer.map_or_else(String::new, |answer| answer.request_id.clone()),
                partition: response.partition.0,
                offset: response.offset.0,
                what: what.into(),
                served: served.into(),
                replayed: replayed.into(),
            });
        }
    }

    /// Compares a lane's row of canonical bytes, and names the features that differ.
    pub(super) fn row(
        &mut self,
        response: &super::read::Response,
        lane: &Lane,
        of: &str,
        served: &[u8],
        replayed: &[u8],
    ) {
        self.values += lane.features.len() as u64;
        if served == replayed {
            return;
        }
        let (before, now) = match (decode_values(served), decode_values(replayed)) {
            (Ok(before), Ok(now)) if before.len() == now.len() => (before, now),
            (before, now) => {
                let shown = |row: Result<Vec<Value>, fold::Error>| match row {
                    Ok(values) => format!("{} values", values.len()),
                    Err(error) => error.to_string(),
                };
                let what = format!("row of lane {}{of}", lane.id);
                return self.differs(response, what, shown(before), shown(now));
            }
        };
        let mut named = 0;
        for (feature, (before, now)) in lane.features.iter().zip(before.iter().zip(&now)) {
            let bytes = |value: &Value| fold::encode_values(std::slice::from_ref(value));
            if bytes(before) != bytes(now) {
                named += 1;
                let what = format!("{}.{}{of}", lane.groups[feature.group].name, feature.name);
                self.differs(response, what, format!("{before:?}"), format!("{now:?}"));
            }
        }
        if named == 0 {
            self.differs(response, format!("row of lane {}{of}", lane.id), "other bytes", "");
        }
    }
}
