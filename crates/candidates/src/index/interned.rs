//! Sessions with items as ordinals, in one order whatever order they came in.

use std::sync::Arc;

use crate::index::{Catalogue, Session};

/// Sessions, the most recent first, in one array.
pub(crate) struct Interned {
    pub(crate) catalogue: Arc<Catalogue>,
    /// `len + 1` bounds into `items`.
    pub(crate) bounds: Vec<usize>,
    pub(crate) items: Vec<u32>,
    pub(crate) end_us: Vec<i64>,
}

impl Interned {
    /// Interns sessions; each keeps its last `items_max` items.
    pub(crate) fn new(sessions: impl IntoIterator<Item = Session>, items_max: usize) -> Self {
        let sessions: Vec<Session> = sessions.into_iter().filter(|s| !s.items.is_empty()).collect();
        let catalogue = Catalogue::new(sessions.iter().flat_map(|s| s.items.iter().cloned()));
        let mut rows: Vec<(i64, Vec<u32>)> = sessions
            .iter()
            .map(|session| {
                let from = session.items.len().saturating_sub(items_max);
                let items = session.items[from..].iter();
                let ordinal = |id: &Arc<str>| {
                    catalogue.ordinal(id).expect("the catalogue was made of these sessions")
                };
                (session.end_us, items.map(ordinal).collect())
            })
            .collect();
        // Most recent first; sessions that end together are ordered by what they hold, so that the
        // order they came in cannot show.
        rows.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let mut this = Self {
            catalogue: Arc::new(catalogue),
            bounds: Vec::with_capacity(rows.len() + 1),
            items: Vec::with_capacity(rows.iter().map(|row| row.1.len()).sum()),
            end_us: Vec::with_capacity(rows.len()),
        };
        this.bounds.push(0);
        for (end_us, items) in rows {
            this.items.extend(items);
            this.bounds.push(this.items.len());
            this.end_us.push(end_us);
        }
        this
    }

    pub(crate) fn len(&self) -> usize {
        self.end_us.len()
    }

    pub(crate) fn session(&self, at: usize) -> &[u32] {
        &self.items[self.bounds[at]..self.bounds[at + 1]]
    }

    /// Where each item occurs: for item `i`, `places[bounds[i]..bounds[i + 1]]` are (session, place).
    pub(crate) fn places(&self) -> (Vec<usize>, Vec<(u32, u32)>) {
        let mut bounds = vec![0usize; self.catalogue.len() + 1];
        for item in &self.items {
            bounds[*item as usize + 1] += 1;
        }
        for at in 1..bounds.len() {
            bounds[at] += bounds[at - 1];
        }
        let mut next = bounds.clone();
        let mut places = vec![(0, 0); self.items.len()];
        for session in 0..self.len() {
            for (place, item) in self.session(session).iter().enumerate() {
                let slot = &mut next[*item as usize];
                places[*slot] = (session as u32, place as u32);
                *slot += 1;
            }
        }
        (bounds, places)
    }
}
