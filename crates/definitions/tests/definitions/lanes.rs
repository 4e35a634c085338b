//! Lanes and models over batches: what is rejected, what is scaled, what reaches the model.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, new_null_array,
};
use arrow::datatypes::{DataType, Int64Type};
use definitions::expression::map_type;
use definitions::parse::{File, parse};
use definitions::{Definitions, Lane, Reason};

use crate::support::{changed, click, decode, demo};

fn definitions(files: &[File]) -> Definitions {
    parse(files).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn lane(definitions: &Definitions, entity: &str) -> Arc<Lane> {
    let lanes = definitions.lanes();
    let lane = lanes.iter().find(|l| l.source.name == "clickstream" && l.entity == entity);
    Arc::clone(lane.expect("a lane of clicks"))
}

/// The visitor lane's rejections and scaled spend, with another `value` of `spend_30d`.
fn spend(value: &str, events: &[&str]) -> (Vec<Option<i64>>, Vec<(usize, Reason)>) {
    let files =
        changed("groups/user_activity.toml", "price_cents * coalesce(quantity, 1) / 100.0", value);
    let definitions = definitions(&files);
    let batch = decode(&definitions, "clickstream", events);
    assert_eq!(batch.rejections, []);
    let lane = lane(&definitions, "visitor");
    let columns = lane.evaluate(&batch);
    let index = lane.expressions.iter().position(|e| e.sql == value).expect("the value");
    let values = columns.columns[index].as_primitive::<Int64Type>();
    (values.iter().collect(), columns.rejections.iter().map(|r| (r.row, r.reason)).collect())
}

#[test]
fn sums_are_scaled_half_to_even_and_bounded() {
    let paid = |cents: i64| click(1, &format!(r#","kind":"purchase","price_cents":{cents}"#));
    let run = |value: &str, cents: &[i64]| {
        let events: Vec<String> = cents.iter().map(|cents| paid(*cents)).collect();
        spend(value, &events.iter().map(String::as_str).collect::<Vec<_>>())
    };
    // Scale 2 of eighths: 0.125 → 12, 0.375 → 38 (both lie half way), −0.125 → −12.
    let eighths = run("price_cents / 8.0", &[1, 3, -1, -3, 5]);
    assert_eq!(eighths.0, [Some(12), Some(38), Some(-12), Some(-38), Some(62)]);
    let decimals = run("CAST(price_cents AS DECIMAL(20, 3)) / 8", &[1, 3, -1, -3, 5]);
    assert_eq!(decimals.0, eighths.0);
    let decimals = run("CAST(price_cents AS DECIMAL(20, 1))", &[1, -7]);
    assert_eq!(decimals.0, [Some(100), Some(-700)]);
    // The bound is 2^53 after scaling.
    let (bound, over) = ((1_i64 << 53) / 100, (1_i64 << 53) / 100 + 1);
    let (values, rejected) = run("price_cents", &[bound, over, -bound, -over, i64::MIN]);
    assert_eq!(values, [Some(bound * 100), None, Some(-bound * 100), None, None]);
    let out = |row: usize| (row, Reason::OutOfRange);
    assert_eq!(rejected, [out(1), out(3), out(4)]);
    let (_, rejected) = run("exp(price_cents * 1.0)", &[1, 1000]);
    assert_eq!(rejected, [out(1)]);
    let (_, rejected) = run("CAST(price_cents AS DECIMAL(38, 0)) * 1000000000", &[1, i64::MAX]);
    assert_eq!(rejected, [out(1)]);
    // What is not a number adds nothing, and is no fault.
    let (values, rejected) = run("sqrt(price_cents * 1.0)", &[-4, 4]);
    assert_eq!((values, rejected), (vec![None, Some(200)], vec![]));
}

#[test]
fn a_row_is_rejected_only_where_its_failure_is_asked_for() {
    let event = |kind: &str, quantity: i64| {
        click(1, &format!(r#","kind":"{kind}","price_cents":100,"quantity":{quantity}"#))
    };
    let events = [event("purchase", 2), event("purchase", 0), event("view", 0), event("view", 1)];
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let (values, rejected) = spend("price_cents / quantity", &events);
    assert_eq!(rejected, [(1, Reason::Expression)]);
    assert_eq!((values[0], values[1], values[3]), (Some(5000), None, Some(10000)));
    // A filter that fails is asked for in every row.
    let files = changed("groups/user_activity.toml", "kind = 'purchase'", "100 / quantity > 1");
    let definitions = definitions(&files);
    let batch = decode(&definitions, "clickstream", &events);
    let columns = lane(&definitions, "visitor").evaluate(&batch);
    let rows: Vec<_> = columns.rejections.iter().map(|r| r.row).collect();
    assert_eq!(rows, [1, 2]);
    assert!(columns.rejections[0].detail.starts_with("`100 / quantity > 1`: "));
    // No other lane is touched.
    assert_eq!(lane(&definitions, "item").evaluate(&batch).rejections, []);
}

/// What reads one text column is evaluated once per text; nobody may see that.
#[test]
fn equal_texts_have_the_value_or_the_failure_that_each_has_alone() {
    let few = ["7", "x", "", "00000000000007", "00000000000008", "7", "null", "0000000", "x", "é"];
    let many: Vec<String> = (0..40).map(|i| format!("{}", i % 23)).collect();
    for texts in [few.map(String::from).to_vec(), many] {
        let event = |text: &String| {
            let category = match text.as_str() {
                "null" => "null".to_owned(),
                text => format!("\"{text}\""),
            };
            click(1, &format!(r#","kind":"purchase","category":{category}"#))
        };
        let events: Vec<String> = texts.iter().map(event).collect();
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        let value = "CASE WHEN category = '13' THEN 0 ELSE CAST(category AS BIGINT) END";
        let (values, rejected) = spend(value, &events);
        let alone = events.iter().map(|event| spend(value, &[event]));
        let alone: (Vec<_>, Vec<_>) = alone.unzip();
        assert_eq!(values, alone.0.concat(), "{texts:?}");
        let failed = |row: &usize| !alone.1[*row].is_empty();
        let rows: Vec<usize> = rejected.iter().map(|rejected| rejected.0).collect();
        assert_eq!(rows, (0..texts.len()).filter(failed).collect::<Vec<_>>(), "{texts:?}");
    }
}

#[test]
fn filters_take_null_for_no() {
    let files = changed("groups/user_activity.toml", "kind = 'purchase'", "quantity > 1");
    let definitions = definitions(&files);
    let events = [
        click(1, r#","kind":"view","quantity":2"#),
        click(2, r#","kind":"view""#),
        click(3, r#","kind":"view","quantity":1"#),
    ];
    let batch = decode(&definitions, "clickstream", &events.each_ref().map(String::as_str));
    let lane = lane(&definitions, "visitor");
    let index = lane.expressions.iter().position(|e| e.sql == "quantity > 1").expect("the filter");
    let columns = lane.evaluate(&batch);
    let filter = columns.columns[index].as_boolean();
    assert_eq!(filter.null_count(), 0);
    assert_eq!(filter.iter().collect::<Vec<_>>(), [Some(true), Some(false), Some(false)]);
}

#[test]
fn an_empty_entity_key_is_a_dead_letter_of_that_lane_alone() {
    let definitions = demo();
    let empty = click(1, r#","kind":"view""#).replace("\"i1\"", "\"\"");
    let long = click(2, r#","kind":"view""#).replace("i2", &"i".repeat(600));
    let torn = "{".to_owned();
    let good = click(3, r#","kind":"view""#);
    let events = [empty, long, torn, good];
    let batch = decode(&definitions, "clickstream", &events.each_ref().map(String::as_str));
    let rejected = |entity: &str| {
        let columns = lane(&definitions, entity).evaluate(&batch);
        columns.rejections.iter().map(|r| (r.row, r.reason)).collect::<Vec<_>>()
    };
    // The torn record is the decoder's, and is not repeated.
    assert_eq!(rejected("item"), [(0, Reason::MissingKey), (1, Reason::WrongType)]);
    // An id that is too long for a key is too long for a sequence as well.
    assert_eq!(rejected("visitor"), [(1, Reason::OutOfRange)]);
}

#[test]
fn a_text_that_is_longer_than_a_feature_keeps_is_a_dead_letter_where_it_is_asked_for() {
    let definitions = demo();
    let of = |id: u32, kind: &str, bytes: usize| {
        click(id, &format!(r#","kind":"{kind}","category":"{}""#, "c".repeat(bytes)))
    };
    // `by` keeps 256 bytes, of views only; `last` keeps 4096.
    let events = [of(1, "view", 256), of(2, "view", 257), of(3, "cart", 4096), of(4, "cart", 4097)];
    let batch = decode(&definitions, "clickstream", &events.each_ref().map(String::as_str));
    assert_eq!(batch.rejections, []);
    let rejections = lane(&definitions, "visitor").evaluate(&batch).rejections;
    let rows: Vec<_> = rejections.iter().map(|r| (r.row, r.reason)).collect();
    assert_eq!(rows, [(1, Reason::OutOfRange), (3, Reason::OutOfRange)]);
    let details: Vec<_> = rejections.iter().map(|r| r.detail.as_str()).collect();
    assert_eq!(
        details,
        [
            "`category`: text of 257 bytes; `views_by_category` keeps at most 256",
            "`category`: text of 4097 bytes; `last_category` keeps at most 4096",
        ]
    );
    assert_eq!(lane(&definitions, "item").evaluate(&batch).rejections, []);
}

#[test]
fn a_model_sees_finite_numbers_and_hears_of_the_rest() {
    let mut files = changed(
        "models/ranker.toml",
        "ln(1 + item_popularity.trend)",
        "100 / item_popularity.views_24h",
    );
    files[4].text += "[[inputs]]\nname = \"bad\"\nexpr = \"1.0 / user_activity.views_30m\"\n";
    let definitions = definitions(&files);
    let ranker = definitions.compile_model("ranker").expect("the model");
    let schema = definitions.joined_schema(&ranker.model);
    let rows = 3;
    let columns: Vec<ArrayRef> = schema
        .iter()
        .map(|(qualifier, field)| {
            let name = format!("{}.{}", qualifier.expect("all are qualified"), field.name());
            match name.as_str() {
                "item_popularity.views_24h" => {
                    Arc::new(Int64Array::from(vec![50, 0, 1])) as ArrayRef
                }
                "user_activity.views_30m" => Arc::new(Int64Array::from(vec![0, 1, 4])),
                "source.covisit.rank" => Arc::new(Int64Array::from(vec![Some(4), None, Some(1)])),
                "user_interest.last_category" => Arc::new(StringArray::from(vec!["a", "b", "c"])),
                "item_attributes.category" => {
                    Arc::new(StringArray::from(vec![Some("a"), Some("x"), None]))
                }
                _ => new_null_array(field.data_type(), rows),
            }
        })
        .collect();
    let batch =
        RecordBatch::try_new(Arc::new(schema.as_arrow().clone()), columns).expect("by schema");
    let (values, failures) = ranker.evaluate(&batch);
    let width = ranker.model.inputs.len();
    assert_eq!(values.len(), rows * width);
    let input = |name: &str| {
        let column = ranker.model.inputs.iter().position(|i| i.name == name).expect("an input");
        (0..rows).map(|row| values[row * width + column]).collect::<Vec<_>>()
    };
    assert_eq!(input("covisit_rank"), [0.25, 0.0, 1.0]);
    assert_eq!(input("item_trend"), [2.0, 0.0, 100.0]);
    assert_eq!(input("same_category_as_last"), [1.0, 0.0, 0.0]);
    assert_eq!(input("bad"), [0.0, 1.0, 0.25]);
    let rows: Vec<_> = failures.iter().map(|(row, why)| (*row, &why[..12])).collect();
    assert_eq!(rows, [(0, "`bad`: inf i"), (1, "`item_trend`")]);

    let error = definitions.compile_model("rankr").expect_err("there is no such model");
    assert_eq!(error.to_string(), "no model \"rankr\"; expected one of ranker");
    assert_eq!(error.suggestion.as_deref(), Some("did you mean `ranker`?"));
}

#[test]
fn the_joined_row_has_a_column_for_everything_a_model_may_name() {
    let definitions = demo();
    let ranker = &definitions.models[0];
    let schema = definitions.joined_schema(ranker);
    let names: Vec<String> =
        schema.iter().map(|(q, f)| format!("{}.{}", q.expect("qualified"), f.name())).collect();
    assert_eq!(names.len(), 18 + 3 * 6 + 3);
    assert_eq!(names[0], "item_attributes.name");
    assert_eq!(names[18], "source.covisit.score");
    assert_eq!(names.last().map(String::as_str), Some("request.position_count"));
    let field = |name: &str| {
        let index = names.iter().position(|n| n == name).expect(name);
        schema.field(index).data_type().clone()
    };
    assert_eq!(field("item_attributes.stock"), DataType::Int64);
    assert_eq!(field("user_activity.views_by_category"), map_type());
    assert_eq!(field("user_activity.spend_30d"), DataType::Float64);
    assert_eq!(field("user_interest.recent_items"), definitions::lane::sequence_type());
    assert_eq!(field("user_interest.interest"), definitions::lane::vector_type());
}

#[test]
fn an_input_cannot_read_what_the_joined_row_does_not_carry() {
    for expr in ["user_interest.recent_items IS NULL", "user_interest.interest[1]"] {
        let files = changed("models/ranker.toml", "ln(1 + item_popularity.trend)", expr);
        let found = parse(&files).expect_err(expr).to_string();
        assert!(found.contains("models/ranker.toml:52: the input `item_trend`: `"), "{found}");
    }
}

#[test]
fn costs_are_explained() {
    let explanation = demo().explain();
    let text = explanation.to_string();
    assert!(text.contains("lane clickstream → visitor ("), "{text}");
    assert!(text.contains("    1 pass  kind = 'view'  (in 3 features)"), "{text}");
    assert!(text.contains("  a column  item_id"), "{text}");
    assert!(text.contains("   derived  user_interest.interest"), "{text}");
    assert!(text.contains("per event: 2 keys"), "{text}");
    assert!(text.contains("model ranker: 15 inputs, hash "), "{text}");
    let visitor = &explanation.lanes[2];
    assert_eq!(visitor.keys_per_event, 1);
    // 7 tiles × 64 keys × (32 + 5) bytes.
    assert!(visitor.features.contains(&("user_activity.views_by_category".into(), 16_576)));
    // 7 tiles × 64 keys × (256 + 10) bytes, 50 × 550 and 4096 × 18 are most of it.
    assert!((220_000..250_000).contains(&visitor.state_bytes_max), "{}", visitor.state_bytes_max);
    assert!(text.contains("  per key, whatever comes: 2"), "{text}");
    assert!(text.contains("  keys may be swept 90d 10m after their last event"), "{text}");
    assert_eq!(visitor.kept_by, None);
}

#[test]
fn a_lane_that_keeps_its_keys_for_ever_says_why() {
    let path = "groups/user_activity.toml";
    let explained = |from: &str, to: &str| {
        let text = definitions(&changed(path, from, to)).explain().to_string();
        let line = text.lines().find(|line| line.contains("for ever"));
        line.unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    assert_eq!(
        explained("window = \"30m\"\nhop = \"1m\"\n", ""),
        "  keys are kept for ever: user_activity.views_30m counts all there ever was; give it a window"
    );
    let mut files = changed(path, "window = \"30d\"", "window = \"91d\"");
    assert_eq!(
        definitions(&files).explain().lanes[2].kept_by,
        Some(("user_activity.spend_30d".into(), Some(91 * 86_400_000_000)))
    );
    // The lane's greatest TTL counts, not the group's own.
    let interest = files.iter_mut().find(|file| file.path == "groups/user_interest.toml");
    let interest = interest.expect("a demo file");
    interest.text = interest.text.replace("ttl = \"90d\"", "ttl = \"91d\"");
    let lane = lane(&definitions(&files), "visitor");
    assert_eq!(lane.sweep_after_us(), Some((91 * 144 + 1) * 600_000_000));
    assert_eq!(
        explained("window = \"30d\"", "window = \"120d\""),
        "  keys are kept for ever: user_activity.spend_30d reaches back 120d, past every ttl"
    );
}
