//! A shop's definitions, from text to columns.

use crate::support::{click, decode, demo};
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;

#[test]
fn the_demo_parses_and_compiles() {
    let definitions = demo();
    let lanes = definitions.lanes();
    let names: Vec<_> = lanes
        .iter()
        .map(|l| (l.source.name.as_str(), l.entity.as_str(), l.features.len()))
        .collect();
    assert_eq!(
        names,
        [("catalog", "item", 4), ("clickstream", "item", 5), ("clickstream", "visitor", 9)]
    );
    assert!(!lanes[1].is_stream_keyed());
    assert!(lanes[2].is_stream_keyed());
    let ranker = definitions.compile_model("ranker").expect("the demo's model");
    assert_eq!(ranker.model.inputs.len(), 15);
}

#[test]
fn expressions_become_the_columns_of_the_fold() {
    let definitions = demo();
    let lanes = definitions.lanes();
    let events = [
        click(1, r#","kind":"view","category":"shoes""#),
        click(2, r#","kind":"purchase","price_cents":1999,"quantity":3"#),
        click(3, r#","kind":"purchase","price_cents":5"#),
    ];
    let batch = decode(&definitions, "clickstream", &events.each_ref().map(String::as_str));
    assert_eq!(batch.rejections, []);
    let lane = &lanes[2];
    let columns = lane.evaluate(&batch);
    assert_eq!(columns.rejections, []);
    let index = |sql: &str| {
        lane.expressions.iter().position(|e| e.sql.starts_with(sql)).expect("an expression")
    };
    let spend = columns.columns[index("price_cents")].as_primitive::<Int64Type>();
    assert_eq!(spend.iter().collect::<Vec<_>>(), [None, Some(5997), Some(5)]);
    let engagement = columns.columns[index("CASE")].as_primitive::<Int64Type>();
    assert_eq!(engagement.values(), &[1, 5, 5]);
    let views = columns.columns[index("kind = 'view'")].as_boolean();
    assert_eq!(views.iter().collect::<Vec<_>>(), [Some(true), Some(false), Some(false)]);
    // Written in four features, evaluated once.
    assert_eq!(lane.expressions.iter().filter(|e| e.sql == "kind = 'view'").count(), 1);
}
