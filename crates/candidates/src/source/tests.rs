use std::collections::BTreeMap;

use fold::Embedding;
use proptest::prelude::*;
use record::EventTime;

use super::*;
use crate::index::Session;
use crate::pool;

fn indexes() -> Indexes {
    let session =
        |items: &str| Session { items: items.split(' ').map(Into::into).collect(), end_us: 0 };
    let sessions = ["shoe sock lace", "shoe sock", "hat scarf", "hat scarf glove", "shoe hat"];
    Indexes::build(1, BTreeMap::new(), sessions.map(session))
}

fn query(items: &str) -> Query {
    let seen = |(at, item): (usize, &str)| Seen {
        item: item.into(),
        at: EventTime(at as i64 * 1_000_000),
        tag: "view".into(),
    };
    let sequence = items.split_whitespace().enumerate().map(seen).collect();
    Query { sequence, as_of_us: 100_000_000, ..Query::default() }
}

fn names(indexes: &Indexes, hits: &[Hit]) -> String {
    hits.iter().map(|hit| &**indexes.catalogue.id(hit.item)).collect::<Vec<_>>().join(" ")
}

fn run(source: &str, query: &Query) -> String {
    let indexes = indexes();
    names(&indexes, &candidates(source, &indexes, None, query, 10))
}

struct OneHot(Vec<(&'static str, [f32; 3])>);

impl Embedding for OneHot {
    fn digest(&self) -> [u8; 32] {
        [7; 32]
    }
    fn dimension(&self) -> usize {
        3
    }
    fn vector(&self, item: &str) -> Option<&[f32]> {
        self.0.iter().find(|(name, _)| *name == item).map(|(_, vector)| &vector[..])
    }
}

#[test]
fn covisit_gives_what_is_seen_together() {
    assert_eq!(run("covisit", &query("shoe")), "sock hat lace");
    assert_eq!(run("covisit", &query("nothing known")), "");
}

#[test]
fn sequential_gives_what_comes_next() {
    assert_eq!(run("sequential", &query("hat")), "scarf glove");
    assert_eq!(run("sequential", &query("hat shoe")), "sock hat scarf lace glove");
}

#[test]
fn sessions_give_what_neighbours_looked_at() {
    assert_eq!(run("sessions", &query("scarf")), "scarf hat glove");
}

#[test]
fn recent_is_newest_first_without_repetition() {
    assert_eq!(run("recent", &query("hat shoe hat ghost")), "hat shoe");
}

#[test]
fn trending_needs_no_visitor() {
    assert_eq!(run("trending", &query("")), "hat shoe scarf sock glove lace");
}

#[test]
fn context_items_count_as_the_newest() {
    let mut query = query("shoe");
    query.context_items = vec!["scarf".into()];
    assert_eq!(run("sequential", &query).split(' ').next(), Some("glove"));
}

#[test]
fn interest_gives_the_nearest_vectors() {
    let indexes = indexes();
    let embedding = OneHot(vec![
        ("hat", [1.0, 0.0, 0.0]),
        ("sock", [0.5, 0.5, 0.0]),
        ("lace", [0.0, 1.0, 0.0]),
        ("scarf", [0.5, 0.5, 0.0]),
    ]);
    let vectors = Vectors::align(&indexes.catalogue, &embedding);
    let mut query = query("");
    query.interest = Some(vec![1.0, 0.1, 0.0]);
    for limit in 1..6 {
        let hits = candidates("interest", &indexes, Some(&vectors), &query, limit);
        let expected = ["hat", "scarf", "sock", "lace"];
        assert_eq!(names(&indexes, &hits), expected[..limit.min(4)].join(" "), "limit {limit}");
    }
    query.interest = Some(vec![1.0]);
    assert!(candidates("interest", &indexes, Some(&vectors), &query, 5).is_empty());
}

#[test]
fn unknown_sources_are_refused_with_the_names_there_are() {
    let error = check(["covisit", "covisits"]).unwrap_err().to_string();
    assert!(error.contains("`covisits`") && error.contains("sequential"), "{error}");
    assert_eq!(check(NAMES), Ok(()));
}

/// What a model file may name is what there is.
#[test]
fn every_name_that_a_model_may_write_is_a_source() {
    let sources = [
        covisit::NAME,
        sequential::NAME,
        sessions::NAME,
        interest::NAME,
        trending::NAME,
        recent::NAME,
    ];
    assert_eq!(NAMES, sources);
}

proptest! {
    #[test]
    fn hits_are_ranked_bounded_and_distinct(
        items in prop::collection::vec(prop::sample::select(vec!["shoe", "hat", "sock", "ghost"]), 0..20),
        limit in 0usize..8,
    ) {
        let indexes = indexes();
        let query = query(&items.join(" "));
        for source in NAMES {
            let hits = candidates(source, &indexes, None, &query, limit);
            prop_assert!(hits.len() <= limit);
            for (at, hit) in hits.iter().enumerate() {
                prop_assert_eq!(hit.rank as usize, at + 1);
                prop_assert!(hit.share <= 1.0 && hit.share > 0.0);
                prop_assert!(hits[..at].iter().all(|other| other.item != hit.item));
            }
            let sorted = hits.windows(2).all(|pair| {
                (-pair[0].score, pair[0].item) < (-pair[1].score, pair[1].item)
            });
            prop_assert!(sorted, "{:?}", hits);
            // A shorter list is the head of a longer one.
            let longer = candidates(source, &indexes, None, &query, limit + 3);
            prop_assert_eq!(&longer[..hits.len()], &hits[..]);
        }
    }

    #[test]
    fn a_pool_holds_each_candidate_once_with_all_its_hits(
        items in prop::collection::vec(prop::sample::select(vec!["shoe", "hat", "sock"]), 0..6),
        limit in 0usize..8,
    ) {
        let indexes = indexes();
        let query = query(&items.join(" "));
        let sources: Vec<String> = NAMES.iter().map(ToString::to_string).collect();
        let mut pool = pool::gather(&sources, &indexes, None, &query, 5, limit).unwrap();
        prop_assert!(pool.len() <= limit);
        for (column, name) in pool.hits.iter().zip(&pool.sources) {
            let hits = candidates(name, &indexes, None, &query, 5);
            for (row, item) in pool.items.iter().enumerate() {
                prop_assert_eq!(column[row], hits.iter().find(|hit| hit.item == *item).copied());
            }
        }
        let kept: Vec<u32> = pool.items.iter().copied().filter(|item| item % 2 == 0).collect();
        pool.retain(|_, item| item % 2 == 0);
        prop_assert_eq!(&pool.items, &kept);
        for column in &pool.hits {
            prop_assert_eq!(column.len(), kept.len());
            let right = column.iter().zip(&kept).all(|(hit, item)| hit.is_none_or(|h| h.item == *item));
            prop_assert!(right);
        }
    }
}
