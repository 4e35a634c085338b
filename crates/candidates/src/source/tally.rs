//! Sums per item in the order they come in: a fixed order, hence the same bits everywhere.

use hashbrown::HashMap;

use crate::index::Scored;

/// Score sums by item.
#[derive(Debug, Default)]
pub(super) struct Tally {
    places: HashMap<u32, u32>,
    sums: Vec<Scored>,
}

impl Tally {
    pub(super) fn add(&mut self, item: u32, score: f64) {
        let next = self.sums.len() as u32;
        let place = *self.places.entry(item).or_insert(next);
        if place == next {
            self.sums.push(Scored { item, score });
        } else {
            self.sums[place as usize].score += score;
        }
    }

    pub(super) fn into_scored(self) -> Vec<Scored> {
        self.sums
    }
}
