//! Past sessions and where each item occurs in them: what session-kNN looks up.

use crate::index::Interned;

/// Sessions, the most recent first, with an inverted index.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SessionIndex {
    /// When each session ended, in microseconds since the epoch, descending.
    pub(super) end_us: Vec<i64>,
    /// One more than there are sessions: bounds into `items`.
    pub(super) bounds: Vec<u32>,
    /// Distinct items of each session, ordered by their last occurrence.
    pub(super) items: Vec<u32>,
    /// One more than there are items: bounds into `postings`.
    pub(super) posting_bounds: Vec<u32>,
    /// Sessions of each item, the most recent first, bounded.
    pub(super) postings: Vec<u32>,
    /// In how many sessions each item occurs, unbounded by the postings' limit.
    pub(super) support: Vec<u32>,
}

impl SessionIndex {
    /// Number of sessions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end_us.len()
    }

    /// Whether there is no session.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end_us.is_empty()
    }

    /// Distinct items of a session, ordered by their last occurrence in it.
    #[must_use]
    pub fn items(&self, session: u32) -> &[u32] {
        let at = session as usize;
        &self.items[self.bounds[at] as usize..self.bounds[at + 1] as usize]
    }

    /// When a session ended, in microseconds since the epoch.
    #[must_use]
    pub fn end_us(&self, session: u32) -> i64 {
        self.end_us[session as usize]
    }

    /// The most recent sessions with an item, the most recent first.
    #[must_use]
    pub fn with_item(&self, item: u32) -> &[u32] {
        let at = item as usize;
        match (self.posting_bounds.get(at), self.posting_bounds.get(at + 1)) {
            (Some(from), Some(to)) => &self.postings[*from as usize..*to as usize],
            _ => &[],
        }
    }

    /// In how many sessions an item occurs.
    #[must_use]
    pub fn support(&self, item: u32) -> u32 {
        self.support.get(item as usize).copied().unwrap_or(0)
    }

    /// Keeps sessions of two items or more: a lone item tells nothing of others.
    pub(super) fn build(
        sessions: &Interned,
        sessions_max: usize,
        items_max: usize,
        postings_max: usize,
    ) -> Self {
        let count = sessions.catalogue.len();
        let mut this = Self { bounds: vec![0], support: vec![0; count], ..Self::default() };
        let mut postings: Vec<Vec<u32>> = vec![Vec::new(); count];
        for at in 0..sessions.len() {
            let items = last_occurrences(sessions.session(at), items_max);
            for item in &items {
                this.support[*item as usize] += 1;
            }
            if items.len() < 2 || this.end_us.len() == sessions_max {
                continue;
            }
            let session = this.end_us.len() as u32;
            for item in &items {
                let posting = &mut postings[*item as usize];
                if posting.len() < postings_max {
                    posting.push(session);
                }
            }
            this.items.extend(items);
            this.bounds.push(this.items.len() as u32);
            this.end_us.push(sessions.end_us[at]);
        }
        this.posting_bounds.push(0);
        for posting in postings {
            this.postings.extend(posting);
            this.posting_bounds.push(this.postings.len() as u32);
        }
        this
    }
}

/// Distinct items ordered by last occurrence, at most the last `items_max` of them.
fn last_occurrences(items: &[u32], items_max: usize) -> Vec<u32> {
    let mut distinct: Vec<u32> = Vec::with_capacity(items.len().min(items_max));
    for item in items.iter().rev() {
        if distinct.len() == items_max {
            break;
        }
        if !distinct.contains(item) {
            distinct.push(*item);
        }
    }
    distinct.reverse();
    distinct
}

#[cfg(test)]
mod tests {
    use super::last_occurrences;

    #[test]
    fn a_session_keeps_its_last_distinct_items_in_order() {
        assert_eq!(last_occurrences(&[1, 2, 1, 3], 9), [2, 1, 3]);
        assert_eq!(last_occurrences(&[1, 2, 1, 3], 2), [1, 3]);
    }
}
