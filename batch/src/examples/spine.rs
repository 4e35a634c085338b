use record::EventTime;

use super::Settings;
use crate::history::{Event, History, day_of};

/// A position of the spine: an event of a visitor who was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The event; its item is the label.
    pub event: Event,
}

impl Position {
    /// First microsecond of its day.
    pub(super) fn day(&self) -> i64 {
        day_of(self.event.at)
    }

    fn hash(&self) -> u64 {
        // splitmix64's finaliser: a sample must not follow partitions or offsets.
        let place = (u64::from(self.event.partition.0) << 48) ^ self.event.offset.0;
        let mut z = place.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The spine in the order of time, and how many positions a sample left out.
pub(super) fn positions(history: &History, settings: &Settings) -> (Vec<Position>, u64) {
    let first_day = history.span().map_or(i64::MIN, |(first, _)| day_of(first));
    let mut positions = Vec::new();
    let mut before: Option<&Event> = None;
    for event in &history.events {
        let was_seen = before.is_some_and(|before| before.visitor == event.visitor);
        before = Some(event);
        // No cut can precede the first day.
        let cut = day_of(event.at).saturating_sub(settings.publish_lag_us);
        if was_seen && event.at >= settings.spine_from && cut > first_day {
            positions.push(Position { event: *event });
        }
    }
    let all = positions.len();
    if all > settings.positions_max {
        positions.sort_unstable_by_key(|p| (p.hash(), p.event.partition, p.event.offset));
        positions.truncate(settings.positions_max);
    }
    positions.sort_unstable_by_key(|p| (p.event.at, p.event.partition, p.event.offset));
    let left_out = (all - positions.len()) as u64;
    (positions, left_out)
}

/// The whole second that lies strictly before an event: when its candidates' features are read.
pub(super) fn second_before(at: EventTime) -> EventTime {
    const SECOND_US: i64 = 1_000_000;
    EventTime(at.0.saturating_sub(1).div_euclid(SECOND_US) * SECOND_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_read_at_a_second_that_does_not_hold_the_label() {
        let before = |at| second_before(EventTime(at)).0;
        assert_eq!(
            [before(5_000_000), before(5_000_001), before(4_999_999)],
            [4_000_000, 5_000_000, 4_000_000]
        );
        assert_eq!(before(0), -1_000_000);
    }
}
