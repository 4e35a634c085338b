//! Two lists side by side, within 100 columns.

use std::collections::HashMap;

use wire::v1;

use crate::output::{Ink, Output};
use crate::shop::Item;

/// Width of one list.
const WIDTH: usize = 48;

/// The two answers, item by item, each with its reason below.
pub(crate) fn side_by_side(
    output: Output,
    items: &[Item],
    titles: [&str; 2],
    lists: [&v1::RecommendResponse; 2],
    highlight: &str,
) -> String {
    let by_id: HashMap<&str, &Item> = items.iter().map(|item| (item.id.as_str(), item)).collect();
    let mut lines = vec![titles.map(|title| output.ink(Ink::Bold, &fit(title, WIDTH))).join("  ")];
    let longest = lists.iter().map(|list| list.items.len()).max().unwrap_or(0);
    for row in 0..longest {
        let cells = lists.map(|list| list.items.get(row));
        let head = cells.map(|cell| {
            let text = cell.map_or_else(String::new, |cell| {
                let item = by_id.get(cell.item_id.as_str());
                let (name, category, price) = item.map_or((cell.item_id.as_str(), "", 0), |item| {
                    (item.name.as_str(), item.category, item.price_cents)
                });
                let price = format!("{}.{:02}", price / 100, price % 100);
                format!("{:>2} {} {:<8}{price:>8}", cell.position, fit(name, 27), category)
            });
            let ours = cell
                .and_then(|cell| by_id.get(cell.item_id.as_str()))
                .is_some_and(|item| item.category == highlight);
            output.ink(if ours { Ink::Green } else { Ink::Cyan }, &fit(&text, WIDTH))
        });
        let why = cells.map(|cell| {
            let reason = cell.map_or("", |cell| cell.reason.as_str());
            output.ink(Ink::Dim, &fit(&format!("   {reason}"), WIDTH))
        });
        lines.push(head.join("  "));
        lines.push(why.join("  "));
    }
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

/// Cut or filled to `width` characters.
fn fit(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => text.chars().take(width - 1).chain(['…']).collect(),
        false => format!("{text:<width$}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_different_lengths_stand_side_by_side() {
        let item = |id: &str| Item {
            id: id.to_owned(),
            name: "A name that is certainly much too long for its column".to_owned(),
            category: "Camping",
            price_cents: 12_399,
            stock: 1,
        };
        let list = |ids: &[&str]| v1::RecommendResponse {
            items: (1..)
                .zip(ids)
                .map(|(position, id)| v1::RecommendedItem {
                    item_id: (*id).to_owned(),
                    position,
                    reason: "popular now".to_owned(),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        };
        let output = Output { json: false, colour: false };
        let lists = [&list(&["a"]), &list(&["a", "unknown"])];
        let text = side_by_side(output, &[item("a")], ["before", "after"], lists, "Camping");
        assert_eq!(text.lines().count(), 5);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert!(text.contains("123.99") && text.contains("unknown") && text.contains('…'));
    }
}
