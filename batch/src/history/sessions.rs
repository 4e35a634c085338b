use std::sync::Arc;

use candidates::index::Session;
use record::EventTime;

use super::{Event, History};

/// A session that was sent without an id ends after this pause; one with an id counts as closed after
/// it. 30 minutes, in microseconds.
pub const IDLE_US: i64 = 30 * 60 * 1_000_000;

/// Sessions as they were known at a cut.
pub struct Sessions<'a> {
    history: &'a History,
    at: usize,
    cut: EventTime,
    idle_us: i64,
}

impl History {
    /// Sessions of the events before `cut` that had been quiet for `idle_us` by then. Nothing after the
    /// cut has a say in it, so a session that went on later is here as it was, if it was quiet.
    #[must_use]
    pub fn sessions(&self, cut: EventTime, idle_us: i64) -> Sessions<'_> {
        Sessions { history: self, at: 0, cut, idle_us }
    }
}

impl Iterator for Sessions<'_> {
    type Item = Session;

    fn next(&mut self) -> Option<Session> {
        loop {
            let events = &self.history.events[self.at..];
            let first = events.first()?;
            let mut last = first;
            let together = events.iter().take_while(|event| {
                let goes_on = is_one_session(last, event);
                last = event;
                goes_on
            });
            let count = together.count().max(1);
            self.at += count;
            let known = events[..count].iter().take_while(|event| event.at < self.cut);
            let known: Vec<&Event> = known.collect();
            let Some(end) = known.last().map(|event| event.at) else { continue };
            if end.plus(self.idle_us) > self.cut {
                continue;
            }
            let items =
                known.iter().map(|event| Arc::clone(&self.history.items[event.item as usize]));
            return Some(Session { items: items.collect(), end_us: end.0 });
        }
    }
}

fn is_one_session(before: &Event, after: &Event) -> bool {
    before.visitor == after.visitor
        && match (before.session, after.session) {
            (Some(before), Some(after)) => before == after,
            (None, None) => after.at.0 - before.at.0 <= IDLE_US,
            _ => false,
        }
}

#[cfg(test)]
pub(super) mod tests;
