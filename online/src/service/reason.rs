//! Why an item is in the answer, for a person: after its strongest source.

use std::sync::Arc;

use candidates::index::Indexes;
use candidates::pool::strength;
use fold::Value;

use super::query::{Candidate, Query};

/// A short text, such as "because you viewed Trail Shoe". `name` is where the item table has names.
pub(super) fn reason(query: &Query, candidate: &Candidate, name: Option<(usize, usize)>) -> String {
    let hits = query.sources.iter().zip(&candidate.hits);
    let hits = hits.filter_map(|(source, hit)| hit.map(|hit| (source, strength(source, &hit))));
    let strongest = hits.fold(None::<(&String, f64)>, |best, hit| {
        if best.is_some_and(|best| best.1 >= hit.1) { best } else { Some(hit) }
    });
    match strongest.map(|(source, _)| source.as_str()) {
        Some("trending") => "popular now".to_owned(),
        Some("recent") => "you viewed this lately".to_owned(),
        Some(_) => because(query, candidate, name),
        None => "popular".to_owned(),
    }
}

/// Names the item that led here: the newest one that the candidate is linked with, else the newest.
fn because(query: &Query, candidate: &Candidate, name: Option<(usize, usize)>) -> String {
    let indexes = query.snapshot.indexes.as_ref().expect("candidates come from indexes");
    let context = query.asked.context_items.iter();
    let viewed = query.asked.sequence.iter().rev().map(|seen| &seen.item);
    let mut items = context.chain(viewed).filter(|item| **item != *query.id(candidate));
    let linked = items.clone().find(|item| is_linked(indexes, item, candidate.item));
    let Some(item) = linked.or_else(|| items.next()) else { return "popular".to_owned() };
    let verb = if query.asked.context_items.contains(item) {
        "similar to"
    } else {
        let seen = query.asked.sequence.iter().rev().find(|seen| seen.item == *item);
        match seen.map_or("view", |seen| &*seen.tag) {
            "purchase" => "because you bought",
            "cart" => "because you put in the cart",
            "favourite" => "because you like",
            _ => "because you viewed",
        }
    };
    format!("{verb} {}", label(query, item, name))
}

fn is_linked(indexes: &Indexes, from: &str, to: u32) -> bool {
    let from = indexes.catalogue.ordinal(from);
    from.is_some_and(|from| {
        let rules = [indexes.covisit.of(from), indexes.sequential.of(from)];
        rules.iter().any(|rules| rules.iter().any(|rule| rule.item == to))
    })
}

fn label(query: &Query, item: &Arc<str>, name: Option<(usize, usize)>) -> String {
    let ordinal = query.items.ordinal(item);
    match name.zip(ordinal).map(|((lane, at), row)| &query.items.values(lane, row)[at]) {
        Some(Value::Text(name)) => name.to_string(),
        _ => item.to_string(),
    }
}
