//! A seeded load for benchmarks: a shop's clickstream as JSON records, Zipf over visitors and items, with
//! disorder, copies and the odd late event. The same seed gives the same bytes on every machine; who
//! measures brings the clock.

mod bench;
mod zipf;

pub use bench::{Bench, single_feature_lanes};

use std::{collections::VecDeque, fmt::Write};

use record::{AppendTime, Offset, Partition, Record};
use zipf::{Random, Zipf};

/// Where the load's time begins, in microseconds since the epoch: 2025-01-01T00:00:00Z.
pub const START_US: i64 = 1_735_689_600_000_000;

/// How large a load is and how skewed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Seed of everything.
    pub seed: u64,
    /// Distinct visitors that may occur.
    pub visitors: usize,
    /// Distinct items that may occur.
    pub items: usize,
    /// Exponent of Zipf's law over both.
    pub exponent: f64,
    /// Mean time between events, in microseconds.
    pub step_us: u64,
    /// One event in so many is sent again a little later.
    pub copy_one_in: u64,
    /// One event in so many is older than the demo's allowed lateness.
    pub late_one_in: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            visitors: 200_000,
            items: 20_000,
            exponent: 1.1,
            // Slow enough that the first visitor of Zipf's law stays below the cap on identities.
            step_us: 100_000,
            copy_one_in: 100,
            late_one_in: 1000,
        }
    }
}

/// A stream of records of the demo's `clickstream`, in one partition.
#[derive(Debug)]
pub struct Workload {
    settings: Settings,
    random: Random,
    visitors: Zipf,
    items: Zipf,
    now_us: i64,
    next: Offset,
    /// Recent records that may come again.
    recent: VecDeque<(Vec<u8>, Vec<u8>)>,
}

const RECENT_MAX: usize = 256;
const DISORDER_US_MAX: u64 = 30_000_000;
const LATE_US: i64 = 3_600_000_000;
const KINDS: [&str; 8] = ["view", "view", "view", "view", "view", "favourite", "cart", "purchase"];

impl Workload {
    /// A load that starts at offset 0.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            random: Random::new(settings.seed),
            visitors: Zipf::new(settings.visitors, settings.exponent),
            items: Zipf::new(settings.items, settings.exponent),
            now_us: START_US,
            next: Offset(0),
            recent: VecDeque::with_capacity(RECENT_MAX),
        }
    }

    /// The next `count` records, of about 200 bytes each.
    pub fn records(&mut self, count: usize) -> Vec<Record> {
        (0..count).map(|_| self.record()).collect()
    }

    fn record(&mut self) -> Record {
        self.now_us += self.random.below(2 * self.settings.step_us) as i64;
        let (key, value) =
            if self.random.one_in(self.settings.copy_one_in) && !self.recent.is_empty() {
                self.recent[self.random.below(self.recent.len() as u64) as usize].clone()
            } else {
                self.event()
            };
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((key.clone(), value.clone()));
        let offset = self.next;
        self.next = offset.next();
        let append_time = AppendTime(self.now_us / 1000 + 1);
        Record { partition: Partition(0), offset, append_time, key, value, trace: None }
    }

    fn event(&mut self) -> (Vec<u8>, Vec<u8>) {
        let visitor = self.visitors.draw(&mut self.random);
        let item = self.items.draw(&mut self.random);
        let late = if self.random.one_in(self.settings.late_one_in) { LATE_US } else { 0 };
        let at = self.now_us - self.random.below(DISORDER_US_MAX) as i64 - late;
        let kind = KINDS[self.random.below(KINDS.len() as u64) as usize];
        let key = format!("v{visitor:07}");
        let mut json = String::with_capacity(224);
        write!(
            json,
            r#"{{"event_id":"{:016x}-{:08}","event_time":{at},"visitor_id":"{key}","session_id":"{key}-{}","kind":"{kind}","item_id":"item-{item:06}","category":"category-{:02}","price_cents":{},"quantity":1}}"#,
            self.random.next(),
            self.next,
            at / 3_600_000_000,
            item % 24,
            100 + (item * 7919) % 20_000,
        )
        .expect("a string takes everything");
        (key.into_bytes(), json.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_records_and_another_seed_others() {
        let small = Settings { visitors: 100, items: 50, ..Settings::default() };
        let records = Workload::new(small).records(2000);
        assert_eq!(records, Workload::new(small).records(2000));
        assert_ne!(records, Workload::new(Settings { seed: 2, ..small }).records(2000));
        let first = records.iter().filter(|record| record.key == b"v0000000").count();
        assert!((300..700).contains(&first), "Zipf: {first} of 2000 are the first visitor's");
        let distinct: std::collections::BTreeSet<_> = records.iter().map(|r| &r.value).collect();
        assert!((1900..2000).contains(&distinct.len()), "some copies: {}", distinct.len());
    }
}
