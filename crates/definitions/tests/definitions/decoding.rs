//! The decoder against what a log may hold.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int64Type};
use definitions::Reason;
use definitions::decode::{Decoder, KEY_BYTES_MAX, RECORD_BYTES_MAX};
use definitions::parse::{File, parse};
use proptest::prelude::*;
use record::{Offset, Partition, partition_for_key};

use crate::support::{decode, demo, record};

/// Reason and detail of the only record, or nothing if it was read.
fn judge(json: &str) -> Option<(Reason, String)> {
    let batch = decode(&demo(), "clickstream", &[json]);
    assert_eq!(batch.columns.num_rows(), 1);
    batch.rejections.into_iter().next().map(|rejection| (rejection.reason, rejection.detail))
}

fn event(more: &str) -> String {
    format!(
        r#"{{"event_id":"e","event_time":1700000000000000,"visitor_id":"v","kind":"view","item_id":"i"{more}}}"#
    )
}

#[test]
fn what_is_wrong_with_a_record_is_said_with_its_reason() {
    let without = |member: &str| event("").replace(member, "");
    let torn = event("");
    for (json, reason, part) in [
        (String::new(), Reason::Malformed, "byte 0: expected an object"),
        ("[]".into(), Reason::Malformed, "an object"),
        ("null".into(), Reason::Malformed, "an object"),
        (torn[..torn.len() - 1].into(), Reason::Malformed, "`,` or `}`"),
        (torn[..30].into(), Reason::Malformed, "byte 30"),
        (event("}"), Reason::Malformed, "the end of the record"),
        (event(","), Reason::Malformed, "a member's name"),
        (event(r#","kind":"view""#), Reason::Malformed, "`kind` stands there twice"),
        (event(r#","\u006bind":"cart""#), Reason::Malformed, "`kind` stands there twice"),
        (event(r#","x":[1,{"y":[]},]"#), Reason::Malformed, "a value"),
        (event(r#","x":{"a":1,}"#), Reason::Malformed, "a member's name"),
        (event(r#","x":[1}"#), Reason::Malformed, "a closing bracket"),
        (event(r#","x":01"#), Reason::Malformed, "`,` or `}`"),
        (event(r#","x":1."#), Reason::Malformed, "a digit"),
        (event(r#","x":.5"#), Reason::Malformed, "a value"),
        (event(r#","x":+1"#), Reason::Malformed, "a value"),
        (event(r#","x":-"#), Reason::Malformed, "a digit"),
        (event(r#","x":1e"#), Reason::Malformed, "a digit"),
        (event(r#","x":NaN"#), Reason::Malformed, "a value"),
        (event(r#","x":nul"#), Reason::Malformed, "true, false or null"),
        (event(r#","x":"\x""#), Reason::Malformed, "an escape"),
        (event(r#","x":"\ud800""#), Reason::Malformed, "surrogates"),
        (event(r#","x":"\ud800\u0041""#), Reason::Malformed, "a low surrogate"),
        (event(r#","x":"\udc00""#), Reason::Malformed, "surrogates"),
        (event(r#","x":"\u12g4""#), Reason::Malformed, "hexadecimal"),
        (event(",\"x\":\"a\u{1}b\""), Reason::Malformed, "control character"),
        (
            event(&format!(r#","x":{}1{}"#, "[".repeat(65), "]".repeat(65))),
            Reason::Malformed,
            "less nesting",
        ),
        (
            event(&format!(r#","x":"{}""#, "y".repeat(RECORD_BYTES_MAX))),
            Reason::Malformed,
            "at most 1048576",
        ),
        (
            without(r#""kind":"view","#),
            Reason::MissingColumn,
            "`kind` is absent; expected a string",
        ),
        (event("").replace(r#""view""#, "null"), Reason::MissingColumn, "`kind` is null"),
        (
            event("").replace(r#""view""#, "7"),
            Reason::WrongType,
            "`kind` is the number 7; expected a string",
        ),
        (event("").replace(r#""view""#, "[]"), Reason::WrongType, "an array"),
        (
            event(r#","quantity":1.0"#),
            Reason::WrongType,
            "`quantity` is the number 1.0; expected an integer",
        ),
        (event(r#","quantity":9223372036854775808"#), Reason::WrongType, "an integer of 64 bits"),
        (event(r#","quantity":"3""#), Reason::WrongType, "`quantity` is the text \"3\""),
        (event(r#","quantity":true"#), Reason::WrongType, "`quantity` is true"),
        (event("").replace("1700000000000000", "\"yesterday\""), Reason::WrongType, "RFC 3339"),
        (event("").replace("1700000000000000", "1.7e15"), Reason::WrongType, "microseconds"),
        (event("").replace("1700000000000000", "15"), Reason::TooEarly, "`event_time` is 15"),
        (
            event("").replace("1700000000000000", "-9223372036854775808"),
            Reason::TooEarly,
            "at least",
        ),
        (event("").replace("\"v\"", "\"\""), Reason::MissingKey, "`visitor_id` is empty"),
        (event("").replace("\"e\"", "\"\""), Reason::MissingKey, "`event_id` is empty"),
        (event("").replace("\"v\"", "\"w\""), Reason::Misrouted, "not its `visitor_id`"),
        (
            event("").replace("\"v\"", &format!("{:?}", "k".repeat(KEY_BYTES_MAX + 1))),
            Reason::WrongType,
            "at most 512",
        ),
    ] {
        let Some((found, detail)) = judge(&json) else { panic!("{json} was read") };
        assert_eq!(found, reason, "{json}: {detail}");
        assert!(detail.contains(part), "{json}: {detail}");
    }
    let mut bytes = record(0, "v", &event(""));
    bytes.value[3] = 0xff;
    let batch = decoder(0, 1).decode(&[bytes]);
    assert_eq!(batch.rejections[0].detail, "not UTF-8 at byte 3");
}

fn decoder(partition: u32, partitions: u32) -> Decoder {
    let source = demo().sources.into_iter().find(|s| s.name == "clickstream").expect("a source");
    Decoder::new(source, Partition(partition), partitions)
}

#[test]
fn what_is_right_is_read_exactly() {
    for json in [
        event(""),
        event(r#","session_id":null"#),
        event(
            r#", "unknown" : {"a":[1,2.5e-3,"\ud83d\ude00",true,{}],"b":{"c":[]}} , "other":[] "#,
        ),
        format!(" \t\r\n{} \n", event("")),
        event("").replace("1700000000000000", "\"2023-11-14T22:13:20Z\""),
        event("").replace("\"v\"", r#""\u0076""#),
    ] {
        assert_eq!(judge(&json), None, "{json}");
    }
    let values = [
        event(r#","quantity":-9223372036854775808,"price_cents":9223372036854775807"#),
        event(r#","category":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 plain text behind it""#),
        event(r#","quantity":-0"#),
    ];
    let batch = decode(&demo(), "clickstream", &values.each_ref().map(String::as_str));
    assert_eq!(batch.rejections, []);
    let column = |name: &str| batch.columns.column_by_name(name).expect("a column").clone();
    let quantities: Vec<_> = column("quantity").as_primitive::<Int64Type>().iter().collect();
    assert_eq!(quantities, [Some(i64::MIN), None, Some(0)]);
    assert_eq!(column("price_cents").as_primitive::<Int64Type>().value(0), i64::MAX);
    assert_eq!(
        column("category").as_string::<i32>().value(1),
        "\"\\/\u{8}\u{c}\n\r\té😀 plain text behind it"
    );
    assert_eq!(batch.event_times[0].0, 1_700_000_000_000_000);
}

#[test]
fn floats_are_rounded_correctly_and_finite() {
    let source = "[source]\nname='s'\ntopic='s'\nformat='json'\nkey='k'\nevent_id='i'\nevent_time='t'\n\
        allowed_lateness='0s'\nmax_future='0s'\nearliest='1970-01-01T00:00:00Z'\n\
        [columns]\nk='string'\ni='string'\nt='timestamp'\nx='float64'\nb={type='boolean',optional=true}\n";
    let files = [File { path: "sources/s.toml".into(), text: source.into() }];
    let definitions = parse(&files).unwrap_or_else(|e| panic!("{e}"));
    let json = |x: &str| format!(r#"{{"k":"v","i":"1","t":0,"b":true,"x":{x}}}"#);
    let values =
        ["0.1", "5", "-0.0", "9007199254740993", "2.2250738585072011e-308", "1e309", "\"1\""];
    let rows: Vec<String> = values.iter().map(|x| json(x)).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let batch = decode(&definitions, "s", &rows);
    let rejected: Vec<_> = batch.rejections.iter().map(|r| (r.row, r.reason)).collect();
    assert_eq!(rejected, [(5, Reason::WrongType), (6, Reason::WrongType)]);
    let read = batch.columns.column_by_name("x").expect("a column");
    let read = read.as_primitive::<Float64Type>();
    assert_eq!(read.value(0).to_bits(), 0.1_f64.to_bits());
    assert_eq!(read.value(2).to_bits(), 0.0_f64.to_bits());
    assert_eq!(read.value(3), 9_007_199_254_740_992.0);
    assert_eq!(read.value(4).to_bits(), 2.225_073_858_507_201e-308_f64.to_bits());
    assert!(read.is_null(5));
}

#[test]
fn a_record_in_a_partition_that_is_not_its_keys_is_misrouted() {
    let home = partition_for_key(b"v", 4);
    for partition in 0..4 {
        let batch = decoder(partition, 4).decode(&[record(0, "v", &event(""))]);
        assert_eq!(batch.rejections.is_empty(), Partition(partition) == home);
        assert!(batch.rejections.iter().all(|r| r.reason == Reason::Misrouted));
    }
}

#[test]
fn rejected_rows_keep_their_place_and_are_null() {
    let good = event(r#","quantity":2"#);
    let batch = decode(&demo(), "clickstream", &[&good, "{", &good, ""]);
    assert_eq!(batch.columns.num_rows(), 4);
    assert_eq!(batch.offsets, [Offset(0), Offset(1), Offset(2), Offset(3)]);
    assert_eq!(batch.rejections.iter().map(|r| r.row).collect::<Vec<_>>(), [1, 3]);
    for column in batch.columns.columns() {
        assert!(column.is_null(1) && column.is_null(3));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_rejected(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut value = record(0, "v", "");
        value.value = bytes;
        let batch = decoder(0, 1).decode(&[value]);
        prop_assert_eq!(batch.columns.num_rows(), 1);
    }

    /// A good record with one byte changed or cut off behind it: read or rejected, and whenever a
    /// second reader of JSON refuses it, we do.
    #[test]
    fn a_damaged_record_is_not_taken_for_json(at in 0_usize..150, byte in any::<u8>(), cut in any::<bool>()) {
        let good = event(r#","session_id":"s\n1","price_cents":12,"x":[1.5e3,{"a":null}]"#);
        let mut value = record(0, "v", &good);
        let at = at % value.value.len();
        value.value[at] = byte;
        if cut {
            value.value.truncate(at);
        }
        let is_json = serde_json::from_slice::<serde_json::Value>(&value.value).is_ok();
        let batch = decoder(0, 1).decode(&[value]);
        let malformed = batch.rejections.iter().any(|r| {
            r.reason == Reason::Malformed && !r.detail.contains("twice")
        });
        prop_assert_eq!(!is_json, malformed);
    }

    /// Any text of JSON comes back as it was, escapes and all.
    #[test]
    fn any_text_survives(text in "\\PC*", more in any::<String>()) {
        let text = text + &more;
        let json = event(&format!(",\"category\":{}", serde_json::Value::from(text.clone())));
        let batch = decode(&demo(), "clickstream", &[&json]);
        prop_assert_eq!(&batch.rejections, &[]);
        let column = batch.columns.column_by_name("category").expect("a column");
        prop_assert_eq!(column.as_string::<i32>().value(0), text);
    }
}

#[test]
fn the_order_of_members_does_not_matter() {
    let one = r#"{"item_id":"i","event_id":"e","kind":"view","visitor_id":"v","event_time":1700000000000000}"#;
    let batch = decode(&demo(), "clickstream", &[&event(""), one, &event(r#","x":1"#), one]);
    assert_eq!(batch.rejections, []);
    let kinds = batch.columns.column_by_name("kind").expect("a column");
    assert!(kinds.as_string::<i32>().iter().all(|kind| kind == Some("view")));
    let source = demo().sources.into_iter().find(|s| s.name == "clickstream").expect("a source");
    assert_eq!(batch.columns.schema(), Arc::clone(&source.schema));
}
