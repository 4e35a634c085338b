//! Admission of one lane over one partition, in offset order, in memory that the log's lateness bounds.

use arrow::array::{Array, AsArray};
use definitions::{Columns, EventBatch, Lane, Reason};
use fold::{Identities, Identity, Ledger, Verdict, Watermark};
use hashbrown::HashMap;
use record::EventTime;

/// Records between two sweeps of keys that cannot matter any more.
const SWEEP_EVERY: u64 = 65_536;

/// The fold's admission, driven over one partition.
pub(super) struct Admission {
    watermark: Watermark,
    identities: HashMap<Box<str>, Identities>,
    lateness_us: i64,
    max_future_us: i64,
    pub(super) ledger: Ledger,
}

impl Admission {
    pub(super) fn new(lane: &Lane) -> Self {
        Self {
            watermark: Watermark::new(&lane.source, EventTime::MIN),
            identities: HashMap::new(),
            lateness_us: lane.source.allowed_lateness_us,
            max_future_us: lane.source.max_future_us,
            ledger: Ledger::default(),
        }
    }

    pub(super) fn watermark(&self) -> EventTime {
        self.watermark.at()
    }

    /// Judges every row; `judged` is told the watermark before each row. Gives (row, effective time)
    /// of the admitted ones.
    pub(super) fn judge(
        &mut self,
        lane: &Lane,
        batch: &EventBatch,
        columns: &Columns,
        mut judged: impl FnMut(usize, EventTime),
    ) -> Vec<(usize, EventTime)> {
        let mut refused = vec![None; batch.offsets.len()];
        for rejection in columns.rejections.iter().chain(&batch.rejections) {
            refused[rejection.row] = Some(rejection.reason);
        }
        let text = |column: usize| batch.columns.column(column).as_string::<i32>();
        let (keys, entities) = (text(lane.source.key), text(lane.entity_column));
        let ids = text(lane.source.event_id);
        let mut admitted = Vec::with_capacity(batch.offsets.len());
        for (row, refused) in refused.into_iter().enumerate() {
            judged(row, self.watermark.at());
            let is_empty =
                |keys: &arrow::array::StringArray| keys.is_null(row) || keys.value(row).is_empty();
            let verdict = match refused {
                Some(reason) => Verdict::DeadLettered(reason),
                None if is_empty(keys) || is_empty(entities) => {
                    Verdict::DeadLettered(Reason::MissingKey)
                }
                None => match self.watermark.judge(batch.event_times[row], batch.append_times[row])
                {
                    Err(refused) => refused,
                    Ok(effective) => {
                        let identity = Identity::of(ids.value(row));
                        let sent = batch.event_times[row];
                        let verdict = self.identities_of(keys.value(row)).judge(
                            identity,
                            sent,
                            effective,
                            lane.source.allowed_lateness_us,
                        );
                        if verdict == Verdict::Applied {
                            admitted.push((row, effective));
                        }
                        verdict
                    }
                },
            };
            self.ledger.count(verdict);
            if self.ledger.read().is_multiple_of(SWEEP_EVERY) {
                self.sweep();
            }
        }
        admitted
    }

    fn identities_of(&mut self, key: &str) -> &mut Identities {
        if !self.identities.contains_key(key) {
            self.identities.insert(key.into(), Identities::default());
        }
        self.identities.get_mut(key).expect("it was just put there")
    }

    /// Forgets keys whose identities no record can meet again. A time as sent is at most the key's
    /// greatest effective time + `max_future`; the next record of the key that is not late lies at the
    /// watermark or after, and the key keeps nothing older than that less the lateness. So what lies
    /// before (watermark − lateness) would be forgotten by the very next record, judged alike.
    fn sweep(&mut self) {
        let oldest = self.watermark.at().0.saturating_sub(self.lateness_us);
        let reach = self.max_future_us;
        self.identities.retain(|_, seen| seen.greatest().0.saturating_add(reach) >= oldest);
    }
}
