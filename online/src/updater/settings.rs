use std::time::Duration;

use documented::Documented;
use runtime::settings::Invalid;
use serde::{Deserialize, Serialize};

const PACE_MS_MAX: u64 = 10_000;

/// The updater's bounds. Every one has a name, so that nothing it holds can grow unseen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Documented)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Records of a micro-batch at most; fewer are taken at once when fewer are there. While there are more, the
    /// next micro-batch is read and decoded beside the work on this one, so a partition holds two, of 4 to 8 MiB of
    /// records at most.
    pub batch_records: usize,
    /// How long after a micro-batch the next one of its partition begins at the earliest, in milliseconds,
    /// unless it was full: what comes one by one shares commits, whose cost would crowd out what they wait
    /// for. After a pause as long an event is taken at once. 0: at once, always; at most 10 s.
    pub pace_ms: u64,
    /// How long one poll of the log waits for a record, in milliseconds.
    pub poll_wait_ms: u64,
    /// Keys asked of the store in one call.
    pub read_keys: usize,
    /// States held in memory by all lanes and partitions together, in bytes (approximately).
    pub memory_bytes: usize,
    /// How long a store or log that is unavailable is tried again before the updater gives up, in
    /// milliseconds: longer than servers take to restart, and shorter than `stall_limit_ms`, which would
    /// end the wait without saying why they are.
    pub retry_limit_ms: u64,
    /// Pause after the first failed attempt, in milliseconds; it doubles with each.
    pub backoff_ms_min: u64,
    /// The longest pause between attempts, in milliseconds.
    pub backoff_ms_max: u64,
    /// A lane that lies this many records behind another of its source catches up on its own, so
    /// that a new lane's bootstrap does not hold the others back.
    pub bootstrap_gap_records: u64,
    /// Commits that a slow follower of [`super::Handle::subscribe`] may lag behind; they are kept in
    /// memory for it, so this times `batch_records` states is what a follower can cost.
    pub published_commits: usize,
    /// How long there may be something to read without anything being read or committed, in milliseconds,
    /// before the updater fails.
    pub stall_limit_ms: u64,
    /// How long a partition's work may take to end after its commit, in milliseconds, when another updater
    /// is to have it or this one stops; then it is dropped where it stands, which loses nothing.
    pub release_limit_ms: u64,
    /// How long a partition is left alone that another updater has claimed, in milliseconds, before it is
    /// claimed again if the group still says that it is ours: longer than the group takes to say otherwise.
    pub settle_ms: u64,
    /// States looked at after a commit, while those are looked for that nobody can see any more; after one
    /// that has written more than half as many, twice as many as it has written.
    pub sweep_keys: usize,
    /// Topic that late records are written to.
    pub late_topic: String,
    /// Topic that dead letters are written to.
    pub dead_letter_topic: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch_records: 4096,
            pace_ms: 10,
            poll_wait_ms: 100,
            read_keys: 1024,
            memory_bytes: 512 << 20,
            retry_limit_ms: 50_000,
            backoff_ms_min: 10,
            backoff_ms_max: 2000,
            bootstrap_gap_records: 50_000,
            published_commits: 128,
            stall_limit_ms: 60_000,
            release_limit_ms: 10_000,
            settle_ms: 5_000,
            sweep_keys: 256,
            late_topic: "late".to_owned(),
            dead_letter_topic: "dead-letter".to_owned(),
        }
    }
}

impl Settings {
    /// Checks what types cannot say.
    ///
    /// # Errors
    /// The first setting that cannot be used, under its key in section `updater`.
    pub fn check(&self) -> Result<(), Invalid> {
        let at_least_one = [
            ("batch_records", self.batch_records as u64),
            ("poll_wait_ms", self.poll_wait_ms),
            ("read_keys", self.read_keys as u64),
            ("memory_bytes", self.memory_bytes as u64),
            ("retry_limit_ms", self.retry_limit_ms),
            ("backoff_ms_min", self.backoff_ms_min),
            ("published_commits", self.published_commits as u64),
            ("stall_limit_ms", self.stall_limit_ms),
            ("release_limit_ms", self.release_limit_ms),
            ("settle_ms", self.settle_ms),
            ("sweep_keys", self.sweep_keys as u64),
        ];
        for (key, value) in at_least_one {
            if value == 0 {
                return Err(invalid(key, "is 0", "give at least 1"));
            }
        }
        if self.pace_ms > PACE_MS_MAX {
            let remedy = "give at most 10000: what comes between is not seen for as long";
            return Err(invalid("pace_ms", "is longer than 10 s", remedy));
        }
        if self.pace_ms >= self.stall_limit_ms {
            let remedy = "give less than `updater.stall_limit_ms`, or raise that too";
            return Err(invalid("pace_ms", "is not shorter than what ends every wait", remedy));
        }
        if self.backoff_ms_max < self.backoff_ms_min {
            let remedy = "give at least `updater.backoff_ms_min`";
            return Err(invalid("backoff_ms_max", "is shorter than the first pause", remedy));
        }
        if self.retry_limit_ms >= self.stall_limit_ms {
            let remedy = "give less than `updater.stall_limit_ms`, or raise that too";
            return Err(invalid(
                "retry_limit_ms",
                "is not shorter than what ends every wait",
                remedy,
            ));
        }
        if self.late_topic == self.dead_letter_topic {
            let remedy = "name two topics, so that one can be replayed without the other";
            return Err(invalid("late_topic", "is the dead letters' topic too", remedy));
        }
        Ok(())
    }

    pub(super) fn pace(&self) -> Duration {
        Duration::from_millis(self.pace_ms)
    }

    pub(super) fn poll_wait(&self) -> Duration {
        Duration::from_millis(self.poll_wait_ms)
    }

    pub(super) fn retry_limit(&self) -> Duration {
        Duration::from_millis(self.retry_limit_ms)
    }

    pub(super) fn stall_limit(&self) -> Duration {
        Duration::from_millis(self.stall_limit_ms)
    }

    pub(super) fn release_limit(&self) -> Duration {
        Duration::from_millis(self.release_limit_ms)
    }

    pub(super) fn settle(&self) -> Duration {
        Duration::from_millis(self.settle_ms)
    }

    /// Pause after failed attempt number `attempt` (from 1), without jitter.
    pub(super) fn backoff(&self, attempt: u32) -> Duration {
        let doubled = self.backoff_ms_min.saturating_mul(1 << (attempt - 1).min(20));
        Duration::from_millis(doubled.min(self.backoff_ms_max))
    }
}

fn invalid(key: &str, message: &str, remedy: &str) -> Invalid {
    Invalid::new(&format!("updater.{key}"), message, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_bounds_and_swapped_pauses_are_refused_by_name() {
        assert_eq!(Settings::default().check(), Ok(()));
        let zero = Settings { read_keys: 0, ..Settings::default() };
        assert_eq!(zero.check().unwrap_err().key, "updater.read_keys");
        let slow = Settings { pace_ms: u64::MAX, ..Settings::default() };
        assert_eq!(slow.check().unwrap_err().key, "updater.pace_ms");
        let slow = Settings { pace_ms: 9, stall_limit_ms: 9, ..Settings::default() };
        let slow = Settings { retry_limit_ms: 8, ..slow };
        assert_eq!(slow.check().unwrap_err().key, "updater.pace_ms");
        let swapped = Settings { backoff_ms_min: 9, backoff_ms_max: 8, ..Settings::default() };
        assert_eq!(swapped.check().unwrap_err().key, "updater.backoff_ms_max");
        let unseen = Settings { retry_limit_ms: 60_000, ..Settings::default() };
        assert_eq!(unseen.check().unwrap_err().key, "updater.retry_limit_ms");
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let settings = Settings { backoff_ms_min: 10, backoff_ms_max: 35, ..Settings::default() };
        let pauses: Vec<_> = (1..=4).map(|n| settings.backoff(n).as_millis()).collect();
        assert_eq!(pauses, [10, 20, 35, 35]);
        assert_eq!(settings.backoff(u32::MAX).as_millis(), 35);
    }
}
