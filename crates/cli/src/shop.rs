//! A simulated shop: a catalogue, visitors with tastes, and days of what they did.
//!
//! Everything comes from one seed and one end time, so the same arguments give the same shop. What a
//! visitor does next depends on the last item (items of one category lie on a line of styles, and
//! neighbours are looked at together), on the visitor's taste for categories and on an item's
//! popularity, which drifts from day to day. The events are as untidy as real ones: out of order, a
//! few sent twice, a few far too late.

mod catalogue;
mod visitors;

pub(crate) use catalogue::{CATEGORIES, Item, catalogue};
pub(crate) use visitors::{Shopper, simulate};

/// How large the shop is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    pub(crate) items_per_category: usize,
    pub(crate) visitors: usize,
    pub(crate) sessions: usize,
    pub(crate) days: i64,
    /// When the last event happened, in microseconds since the epoch.
    pub(crate) end_us: i64,
}

impl Settings {
    /// The demo's shop.
    pub(crate) fn demo(seed: u64, end_us: i64) -> Self {
        Self { seed, items_per_category: 75, visitors: 1500, sessions: 4500, days: 5, end_us }
    }

    fn start_us(&self) -> i64 {
        self.end_us - self.days * 86_400_000_000
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn small() -> Settings {
        let end_us = 1_700_000_000_000_000;
        Settings { seed: 1, items_per_category: 20, visitors: 50, sessions: 300, days: 3, end_us }
    }

    #[test]
    fn the_same_seed_is_the_same_shop_and_another_is_not() {
        let shop = |seed| {
            let settings = Settings { seed, ..small() };
            let items = catalogue(&settings);
            let simulated = simulate(&settings, &items);
            simulated.events.into_iter().map(|record| record.value).collect::<Vec<_>>()
        };
        assert_eq!(shop(1), shop(1));
        assert_ne!(shop(1), shop(2));
    }

    #[test]
    fn the_history_is_untidy_in_small_doses() {
        let simulated = simulate(&small(), &catalogue(&small()));
        assert!(simulated.events.len() > 1000, "{} events", simulated.events.len());
        let (mut seen, mut copies) = (BTreeMap::new(), 0);
        let mut disordered = 0;
        let mut last_us = i64::MIN;
        for record in &simulated.events {
            let event: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
            let at_us = event["event_time"].as_i64().unwrap();
            assert!((small().start_us()..=small().end_us).contains(&at_us));
            assert_eq!(event["visitor_id"].as_str().unwrap().as_bytes(), record.key);
            disordered += usize::from(at_us < last_us);
            last_us = at_us;
            copies += seen.insert(event["event_id"].to_string(), ()).map_or(0, |()| 1);
        }
        let events = simulated.events.len();
        assert!(disordered > events / 20, "{disordered} of {events} out of order");
        assert!((1..events / 20).contains(&copies), "{copies} of {events} sent twice");
    }

    /// Half of the steps or more stay in the category: something can be learned.
    #[test]
    fn sessions_hang_together() {
        let items = catalogue(&small());
        let category: BTreeMap<&str, &str> =
            items.iter().map(|item| (item.id.as_str(), item.category)).collect();
        let mut last: BTreeMap<String, String> = BTreeMap::new();
        let (mut same, mut all) = (0, 0);
        for record in simulate(&small(), &items).events {
            let event: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
            let item = event["item_id"].as_str().unwrap().to_owned();
            if let Some(before) = last.insert(event["session_id"].to_string(), item.clone()) {
                all += 1;
                same += usize::from(category[&*before] == category[&*item]);
            }
        }
        assert!(same * 2 > all, "{same} of {all}");
    }
}
