//! Expressions: what may be said, what it gives, and what becomes of rows that fail.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, MapBuilder, RecordBatch,
    StringArray, StringBuilder, StructArray,
};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type};
use datafusion::common::{DFSchema, TableReference};
use definitions::expression::{Expression, map_type};
use proptest::prelude::*;

fn schema() -> Arc<DFSchema> {
    let field = |qualifier: &str, name: &str, data_type: DataType| {
        let field = Arc::new(Field::new(name, data_type, true));
        ((!qualifier.is_empty()).then(|| TableReference::bare(qualifier)), field)
    };
    let mut fields = vec![
        field("", "a", DataType::Int64),
        field("", "b", DataType::Int64),
        field("", "x", DataType::Float64),
        field("", "kind", DataType::Utf8),
        field("activity", "by_category", map_type()),
        field("item", "category", DataType::Utf8),
    ];
    let share = Arc::new(Field::new("share", DataType::Float64, true));
    fields.push((Some(TableReference::partial("source", "covisit")), share));
    Arc::new(DFSchema::new_with_metadata(fields, HashMap::new()).expect("unique names"))
}

type Row = (Option<i64>, Option<i64>, Option<f64>, Option<&'static str>);

fn rows(rows: &[Row]) -> RecordBatch {
    let mut maps = MapBuilder::new(
        Some(arrow::array::MapFieldNames {
            entry: "entries".into(),
            key: "keys".into(),
            value: "values".into(),
        }),
        StringBuilder::new(),
        arrow::array::Int64Builder::new(),
    );
    for (row, _) in rows.iter().enumerate() {
        if row % 3 != 1 {
            maps.keys().append_value("shoes");
            maps.values().append_value(row as i64 + 7);
        }
        maps.append(true).expect("as many keys as values");
    }
    let complete: BooleanArray = (0..rows.len()).map(|row| Some(row % 3 != 2)).collect();
    let DataType::Struct(fields) = map_type() else { panic!("a map feature is a struct") };
    let maps = StructArray::new(fields, vec![Arc::new(maps.finish()), Arc::new(complete)], None);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|r| r.0).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|r| r.1).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|r| r.2).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|r| r.3).collect::<StringArray>()),
        Arc::new(maps),
        Arc::new(rows.iter().map(|r| r.3).collect::<StringArray>()),
        Arc::new(rows.iter().map(|r| r.2).collect::<Float64Array>()),
    ];
    RecordBatch::try_new(Arc::new(schema().as_arrow().clone()), columns).expect("by the schema")
}

fn compile(sql: &str) -> Expression {
    Expression::compile(sql, &schema()).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn refusal(sql: &str) -> definitions::expression::Error {
    match Expression::compile(sql, &schema()) {
        Ok(_) => panic!("{sql} was let through"),
        Err(error) => error,
    }
}

#[test]
fn only_the_listed_functions_and_forms_pass() {
    for (sql, part) in [
        ("now()", "reads no clock"),
        ("current_timestamp", "current_timestamp"),
        ("current_date()", "reads no clock"),
        ("random()", "same value whenever"),
        ("uuid()", "same value whenever"),
        ("sum(a)", "one row"),
        ("count(*)", "one row"),
        ("row_number() OVER (ORDER BY a)", "one row"),
        ("(SELECT 1)", ""),
        ("a IN (SELECT 1)", ""),
        ("EXISTS (SELECT 1)", ""),
        ("regexp_match(kind, 'v')", "unknown function `regexp_match`"),
        ("kind ~ 'v'", "not allowed"),
        ("kind SIMILAR TO 'v'", "not allowed"),
        ("a & b", "not allowed"),
        ("$1 + a", ""),
        ("@a", ""),
        ("*", ""),
        ("a AS b", "no alias"),
        ("a; b", "`;`"),
        ("a b", "end of expression"),
        ("", "found nothing"),
        ("a +", "not an SQL expression"),
        ("[a, b]", ""),
        ("{x: a}", ""),
        ("a + kind * DATE '2026-01-01'", ""),
        ("9223372036854775807 + 1 + a", "overflows"),
        ("a * (4611686018427387904 * 2)", "overflows"),
        ("log(x)", "ln, log2 or log10"),
        ("kind[1]", "not a map"),
        ("x AT TIME ZONE 'Europe/Berlin'", ""),
        ("CAST(x AS REAL) > 1", "write DOUBLE"),
        ("CAST(x AS FLOAT)", "write DOUBLE"),
        ("TRY_CAST(kind AS REAL) IS NULL", "write DOUBLE"),
        ("x::FLOAT4", ""),
    ] {
        let error = refusal(sql);
        assert!(error.message.contains(part), "{sql}: {error}");
        assert!(!error.message.to_lowercase().contains("internal error"), "{sql}: {error}");
        assert!(!error.message.contains("bug"), "{sql}: {error}");
    }
    let long = format!("a{}", " + a".repeat(2000));
    assert!(refusal(&long).message.contains("4096 bytes"));
    let deep = format!("{}a{}", "(".repeat(1500), ")".repeat(1500));
    assert!(refusal(&deep).message.contains("not an SQL expression"));
}

#[test]
fn a_name_that_does_not_exist_has_a_suggestion() {
    for (sql, suggestion) in [
        ("kindd = 'view'", "did you mean `kind`?"),
        ("item.categry", "did you mean `item.category`?"),
        ("source.covisits.share", "did you mean `source.covisit.share`?"),
        ("coalese(a, 1)", "did you mean `coalesce`?"),
    ] {
        assert_eq!(refusal(sql).suggestion.as_deref(), Some(suggestion), "{sql}");
    }
    assert_eq!(refusal("kindd = 'view'").unknown_column.as_deref(), Some("kindd"));
    assert_eq!(refusal("zzzzzzzz").suggestion, None);
}

/// Type coercion would cast the text, and fail for every row whose text is no number.
#[test]
fn text_and_numbers_are_mixed_by_a_cast_alone() {
    for (sql, expected) in [
        ("kind = 5", "`kind = 5` compares text with a number: write '5'"),
        ("a > 1 AND 2.5 <= item.category", "compares text with a number: write '2.5'"),
        ("kind IS DISTINCT FROM a", "compares text with a number: CAST one of them"),
        ("a = 'five'", "compares text with a number: write a number"),
        ("a IN (1, 'x')", "compares text with a number: write a number"),
        ("kind BETWEEN 'a' AND 9", "compares text with a number: write '9'"),
        ("kind NOT IN ('a', 7)", "compares text with a number: write '7'"),
        ("lower(kind) = activity.by_category['shoes']", "CAST one of them"),
        ("CASE kind WHEN 'view' THEN 1 WHEN 5 THEN 2 END", "number: write '5'"),
        ("CASE WHEN a > 1 THEN kind ELSE 0 END", "is text or a number: write '0'"),
        ("coalesce(kind, NULL, 0)", "is text or a number: write '0'"),
        ("nullif(kind, 3)", "compares text with a number: write '3'"),
        ("kind + 5", "`kind + 5` computes with text: CAST it to a number"),
        ("x * kind", "computes with text: CAST it to a number"),
        ("CASE WHEN a = 1 THEN kind = 5 ELSE FALSE END", "`kind = 5` compares text"),
    ] {
        let error = refusal(sql);
        assert!(error.message.contains(expected), "{sql}: {error}");
    }
    for sql in [
        "CAST(kind AS BIGINT) = 5",
        "TRY_CAST(kind AS DOUBLE) > a",
        "kind = CAST(a AS VARCHAR)",
        "kind = '5'",
        "kind = NULL",
        "a = NULL",
        "kind IN ('a', NULL)",
        "a > '5'",
        "x BETWEEN '1.5' AND 7",
        "a = 2.5",
        "x IN (1, 2.5, a)",
        "CAST(a AS DECIMAL(10, 2)) > x",
        "kind || '-' || a",
        "CASE WHEN a > 1 THEN kind ELSE NULL END",
        "CASE kind WHEN '5' THEN 1 ELSE 2.5 END",
        "coalesce(kind, 'none')",
        "coalesce(a, x, 1)",
        "TIMESTAMP '2026-01-01T00:00:00' > '2025-12-31'",
    ] {
        compile(sql);
    }
}

#[test]
fn spelling_does_not_show_in_the_canonical_text_and_meaning_does() {
    let text = |sql: &str| compile(sql).canonical().to_owned();
    for (one, other) in [
        ("kind = 'view'", " KIND='view' "),
        ("kind = 'view'", "(kind) = ('view') -- a comment"),
        ("coalesce(a, 1) + b", "COALESCE( a,1 )+b"),
        ("ln(1 + x)", "Ln(1+\n x)"),
    ] {
        assert_eq!(text(one), text(other));
    }
    for (one, other) in [
        ("kind = 'view'", "kind = 'View'"),
        ("kind = 'view'", "kind <> 'view'"),
        ("a - (b - 1)", "(a - b) - 1"),
        ("a + 1", "a + 1.0"),
        ("kind = 'a' OR kind = 'b'", r#"kind = 'a") OR kind = Utf8("b'"#),
        ("kind IN ('a', 'b')", "kind IN ('a, b')"),
        ("kind LIKE 'a'", "kind NOT LIKE 'a'"),
        ("CAST(x AS BIGINT)", "TRY_CAST(x AS BIGINT)"),
        ("CAST(x AS BIGINT)", "CAST(x AS INT)"),
    ] {
        assert_ne!(text(one), text(other));
    }
}

#[test]
fn maps_answer_zero_null_or_the_count() {
    let batch = rows(&[
        (None, None, None, Some("shoes")), // complete, with the key
        (None, None, None, Some("shoes")), // complete, without it
        (None, None, None, Some("hats")),  // incomplete, without it
        (None, None, None, None),          // no key
    ]);
    let counts = |sql: &str| {
        let (values, failed) = compile(sql).evaluate(&batch);
        assert_eq!(failed, []);
        values.as_primitive::<Int64Type>().iter().collect::<Vec<_>>()
    };
    assert_eq!(counts("activity.by_category[item.category]"), [Some(7), Some(0), None, None]);
    assert_eq!(counts("activity.by_category['shoes']"), [Some(7), Some(0), Some(9), Some(10)]);
    assert_eq!(counts("activity.by_category[lower('SHOES')] + 1").len(), 4);
}

#[test]
fn floats_have_one_nan_and_one_zero() {
    let batch = rows(&[
        (Some(0), None, Some(0.0), None),
        (Some(1), None, Some(-0.0), None),
        (Some(2), None, Some(f64::NAN), None),
        (Some(3), None, Some(f64::INFINITY), None),
        (Some(4), None, Some(-1.0), None),
    ]);
    let bits = |sql: &str| {
        let (values, failed) = compile(sql).evaluate(&batch);
        assert_eq!(failed, []);
        let values = values.as_primitive::<Float64Type>();
        values.iter().map(|v| v.map(f64::to_bits)).collect::<Vec<_>>()
    };
    let b = |v: f64| Some(v.to_bits());
    assert_eq!(bits("x"), [b(0.0), b(0.0), None, b(f64::INFINITY), b(-1.0)]);
    assert_eq!(bits("-x"), [b(0.0), b(0.0), None, b(f64::NEG_INFINITY), b(1.0)]);
    assert_eq!(bits("sqrt(x)")[4], None);
    assert_eq!(bits("x - x")[3], None);
    // The sign of a NaN depends on the machine, and a comparison would see it.
    let (compared, _) = compile("0.0 * x / 0.0 > 1.0").evaluate(&batch);
    assert_eq!(compared.null_count(), 5);
    let (compared, _) = compile("CAST('NaN' AS DOUBLE) > x").evaluate(&batch);
    assert_eq!(compared.null_count(), 5);
}

/// The planner computes constants itself: with the same rules as rows are computed by.
#[test]
fn a_constant_has_the_value_that_a_row_would_have() {
    let batch = rows(&[(Some(0), None, Some(0.0), None), (Some(1), None, Some(0.0), None)]);
    for (constant, of_rows) in [
        ("0.0 / 0.0 > 1.0", "x / 0.0 > 1.0"),
        ("-(0.0 / 0.0) > 1.0", "-(x / 0.0) > 1.0"),
        ("0.0 / 0.0 < 1.0", "x / 0.0 < 1.0"),
        ("CAST('NaN' AS DOUBLE) = CAST('NaN' AS DOUBLE)", "x / 0.0 = x / 0.0"),
        ("(0.0 / 0.0) IS NULL", "(x / 0.0) IS NULL"),
        (
            "CASE WHEN 0.0 / 0.0 > 1.0 THEN 1 ELSE 2 END",
            "CASE WHEN x / 0.0 > 1.0 THEN 1 ELSE 2 END",
        ),
        ("1.0 / (0.0 * -1.0) > 0.0", "1.0 / (x * -1.0) > 0.0"),
        ("1.0 / -(1.0 - 1.0)", "1.0 / -(x - 0.0)"),
        ("atan2(0.0 * -1.0, -1.0)", "atan2(x * -1.0, -1.0)"),
        ("coalesce(0.0 / 0.0, 7.0)", "coalesce(x / 0.0, 7.0)"),
    ] {
        let (of_constant, failed) = compile(constant).evaluate(&batch);
        assert_eq!(failed, [], "{constant}");
        assert_eq!(&of_constant, &compile(of_rows).evaluate(&batch).0, "{constant}");
    }
    let (nothing, _) = compile("0.0 / 0.0 > 1.0").evaluate(&batch);
    assert_eq!(nothing.null_count(), 2);
    // Beside a column the constant is computed early as well.
    let (compared, _) = compile("x > 0.0 / 0.0").evaluate(&batch);
    assert_eq!(compared.null_count(), 2);
}

#[test]
fn a_row_that_fails_alone_leaves_the_others_alone() {
    let batch = rows(&[
        (Some(10), Some(2), None, None),
        (Some(10), Some(0), None, None),
        (None, Some(0), None, None),
        (Some(i64::MAX), Some(5), None, None),
        (Some(i64::MIN), Some(-1), None, None),
    ]);
    let run = |sql: &str| {
        let (values, failed) = compile(sql).evaluate(&batch);
        let rows: Vec<_> = failed.iter().map(|(row, _)| *row).collect();
        (values.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), rows)
    };
    assert_eq!(run("a / b").0[0], Some(5));
    assert_eq!(run("a / b").1, [1, 4]);
    assert_eq!(run("a + b").1, [3, 4]);
    assert_eq!(run("a * b").1, [3, 4]);
    assert_eq!(run("a - 1").1, [4]);
    assert_eq!(run("-a").1, [4]);
    assert_eq!(run("abs(a)").1, [4]);
    assert_eq!(run("CASE WHEN b = 0 THEN 0 ELSE a / b END").1, [4]);
    assert_eq!(run("CASE WHEN b <> 0 AND a / b > 1 THEN 1 ELSE 0 END").1, [4]);
    assert_eq!(run("coalesce(b, 1 / 0)").1, Vec::<usize>::new());
    assert_eq!(
        compile("CAST(kind AS BIGINT)")
            .evaluate(&rows(&[(None, None, None, Some("7")), (None, None, None, Some("x"))]))
            .1
            .len(),
        1
    );
}

fn any_row() -> impl Strategy<Value = Row> {
    let integer = || prop::option::of(prop_oneof![-3_i64..4, Just(i64::MAX), Just(i64::MIN)]);
    let float = prop_oneof![-2.0..2.0_f64, Just(-0.0), Just(f64::NAN), Just(f64::INFINITY)];
    let text = prop_oneof![Just("view"), Just("12"), Just(""), Just("1e400")];
    (integer(), integer(), prop::option::of(float), prop::option::of(text))
}

proptest! {
    /// Row semantics: in a batch every row has the value, or the failure, that it has alone.
    #[test]
    fn a_row_is_what_it_is_alone(batch in prop::collection::vec(any_row(), 1..40)) {
        for sql in [
            "a / b",
            "a + b * a",
            "b <> 0 AND a / b > 1",
            "b = 0 OR 10 / b > a",
            "(a > 0 AND 10 / b > 1) OR 7 % b = 1",
            "CASE WHEN a > 1 THEN a / b WHEN kind = 'view' THEN CAST(kind AS BIGINT) ELSE b END",
            "CASE kind WHEN 'view' THEN 1 WHEN '12' THEN 2 ELSE a + b END",
            "CAST(kind AS DOUBLE) + x",
            "ln(x) * 2.0 > 1.0 / x",
            "coalesce(a / b, b, 7)",
            "nullif(a, b) * 3",
            "activity.by_category[item.category] / (a - b)",
            "kind IN ('view', '12') AND 1 / a = 1",
        ] {
            let expression = compile(sql);
            let whole = rows(&batch);
            let (values, failed) = expression.evaluate(&whole);
            for row in 0..whole.num_rows() {
                let (alone, failed_alone) = expression.evaluate(&whole.slice(row, 1));
                prop_assert_eq!(&values.slice(row, 1), &alone, "{} in row {}", sql, row);
                prop_assert_eq!(
                    failed.iter().any(|(r, _)| *r == row), !failed_alone.is_empty(), "{}", sql
                );
            }
        }
    }

    /// Whatever is written, planning answers with an error or an expression, and never panics.
    #[test]
    fn any_text_is_planned_or_refused(sql in "[ -~]{0,40}") {
        let _ = Expression::compile(&sql, &schema());
    }

    #[test]
    fn any_sentence_of_sql_words_is_planned_or_refused(
        words in prop::collection::vec(prop::sample::select(vec![
            "a", "x", "kind", "(", ")", "+", "-", "*", "/", "%", "=", "<", "AND", "OR", "NOT", "CASE", "WHEN",
            "THEN", "ELSE", "END", "IN", "BETWEEN", "LIKE", "IS", "NULL", "CAST", "AS", "BIGINT", "'v'", "1", "2.5",
            "ln", "coalesce", ",", "activity.by_category", "[", "]", "INTERVAL", "EXTRACT", "FROM", "||", "::", "TRUE",
        ]), 1..14),
    ) {
        let _ = Expression::compile(&words.join(" "), &schema());
    }
}
