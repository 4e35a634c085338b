//! The recommenders that twofold is compared with, as session-rec defines them.
//!
//! Popularity (`pop.py`), association rules (`ar.py`) and sequential rules (`sr.py`: 10 steps,
//! weighting `div`), 20 kept per item, self-pairs kept, no recency, no padding. Only the last item of
//! a session counts. Ties by item id.

use std::sync::Arc;

use crate::index::{Adjacency, Catalogue, Interned, Session, association_rules, sequential_rules};

/// Rules kept per item, and the length of every list.
pub const KEPT: usize = 20;

/// A fitted baseline.
#[derive(Debug, Clone)]
pub struct Baseline {
    catalogue: Arc<Catalogue>,
    lists: Lists,
}

#[derive(Debug, Clone)]
enum Lists {
    Popular(Vec<u32>),
    Rules(Adjacency),
}

/// Items by the number of their events.
#[must_use]
pub fn popularity(training: &[Session]) -> Baseline {
    let sessions = Interned::new(training.iter().cloned(), usize::MAX);
    let mut counts = vec![0u64; sessions.catalogue.len()];
    sessions.items.iter().for_each(|item| counts[*item as usize] += 1);
    let mut items: Vec<u32> = (0..counts.len() as u32).collect();
    items.sort_by_key(|item| std::cmp::Reverse(counts[*item as usize]));
    items.truncate(KEPT);
    Baseline { catalogue: sessions.catalogue, lists: Lists::Popular(items) }
}

/// Sequential rules.
#[must_use]
pub fn sr(training: &[Session]) -> Baseline {
    rules(training, sequential_rules)
}

/// Association rules.
#[must_use]
pub fn ar(training: &[Session]) -> Baseline {
    rules(training, association_rules)
}

fn rules(training: &[Session], count: impl Fn(&Interned, &[u64], usize) -> Adjacency) -> Baseline {
    let sessions = Interned::new(training.iter().cloned(), usize::MAX);
    let rules = count(&sessions, &vec![1; sessions.len()], KEPT);
    Baseline { catalogue: sessions.catalogue, lists: Lists::Rules(rules) }
}

impl Baseline {
    /// At most [`KEPT`] items for a session so far, best first.
    #[must_use]
    pub fn recommend(&self, prefix: &[Arc<str>]) -> Vec<Arc<str>> {
        let id = |item: &u32| self.catalogue.id(*item).clone();
        match &self.lists {
            Lists::Popular(items) => items.iter().map(id).collect(),
            Lists::Rules(rules) => {
                let last = prefix.last().and_then(|item| self.catalogue.ordinal(item));
                let rules = last.map_or(&[][..], |item| rules.of(item));
                rules.iter().map(|rule| id(&rule.item)).collect()
            }
        }
    }

    /// Items known in training.
    #[must_use]
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(items: &str) -> Session {
        Session { items: items.split(' ').map(Into::into).collect(), end_us: 1 }
    }

    fn lists(baseline: &Baseline, prefix: &str) -> String {
        let prefix: Vec<Arc<str>> = prefix.split(' ').map(Into::into).collect();
        let items = baseline.recommend(&prefix);
        items.iter().map(|item| &**item).collect::<Vec<_>>().join(" ")
    }

    /// Worked by hand with the loops of session-rec: a pair of different items counts 1 each way, a
    /// pair of equal items 2, sequential rules 1 / distance.
    #[test]
    fn rules_count_as_session_rec_counts() {
        let training = [session("a b a c"), session("a c")];
        // AR of a: b 2, a 2, c 3.
        assert_eq!(lists(&ar(&training), "b a"), "c a b");
        // SR of a: b 1, a 1/2, c 1/3 + 1 + 1.
        assert_eq!(lists(&sr(&training), "a"), "c b a");
        assert_eq!(lists(&sr(&training), "c"), "");
        assert_eq!(lists(&ar(&training), "unknown"), "");
        assert_eq!(lists(&popularity(&training), "c"), "a c b");
    }

    #[test]
    fn sequential_rules_look_ten_steps_ahead() {
        let training = [session("a 1 2 3 4 5 6 7 8 9 x y")];
        let list = lists(&sr(&training), "a");
        assert_eq!(list, "1 2 3 4 5 6 7 8 9 x");
    }
}
