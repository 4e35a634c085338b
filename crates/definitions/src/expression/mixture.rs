//! Text beside numbers: type coercion would cast one of them unasked, which fails for the rows whose text
//! is no number.

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Case, Expr, ExprSchemable, Operator};

use super::Error;

/// Walks a planned expression before its types are coerced, and refuses text where a number is wanted and
/// numbers where text is. What the author casts is of the type that it is cast to.
pub(super) fn refuse(expr: &Expr, schema: &DFSchema) -> Result<(), Error> {
    let mut refused = None;
    // The closure never fails, so neither does the walk.
    let _ = expr.apply(|node| {
        refused = refusal(node, schema);
        Ok(if refused.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    refused.map_or(Ok(()), |message| Err(Error::new(message)))
}

fn refusal(node: &Expr, schema: &DFSchema) -> Option<String> {
    let why = match node {
        Expr::BinaryExpr(binary) => match binary.op {
            Operator::And | Operator::Or | Operator::StringConcat => None,
            Operator::Plus
            | Operator::Minus
            | Operator::Multiply
            | Operator::Divide
            | Operator::Modulo => {
                let mixed = mixture([binary.left.as_ref(), binary.right.as_ref()], schema);
                mixed.map(|_| "computes with text: CAST it to a number".to_owned())
            }
            _ => compared(&binary.left, [binary.right.as_ref()], schema),
        },
        Expr::Between(between) => {
            compared(&between.expr, [between.low.as_ref(), between.high.as_ref()], schema)
        }
        Expr::InList(list) => compared(&list.expr, &list.list, schema),
        Expr::Case(case) => in_case(case, schema),
        Expr::ScalarFunction(call) => match (call.name(), call.args.as_slice()) {
            ("nullif", [value, other]) => compared(value, [other], schema),
            ("coalesce" | "greatest" | "least" | "nvl", args) => one_of(args, schema),
            _ => None,
        },
        _ => None,
    }?;
    Some(format!("`{}` {why}", node.human_display()))
}

fn in_case(case: &Case, schema: &DFSchema) -> Option<String> {
    let whens = case.when_then_expr.iter().map(|(when, _)| when.as_ref());
    let by_operand = case.expr.as_ref().and_then(|operand| compared(operand, whens, schema));
    by_operand.or_else(|| {
        let thens = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
        one_of(thens.chain(case.else_expr.as_deref()), schema)
    })
}

/// Why a value cannot be compared with others, if it cannot.
fn compared<'e>(
    value: &'e Expr,
    others: impl IntoIterator<Item = &'e Expr>,
    schema: &DFSchema,
) -> Option<String> {
    let mut mixtures = others.into_iter().filter_map(|other| mixture([value, other], schema));
    let found = mixtures.find(|(text, number)| !is_read_as(text, number, schema))?;
    Some(format!("compares text with a number: {}", remedy(found)))
}

/// Why not all of these can be the value, if they cannot.
fn one_of<'e>(parts: impl IntoIterator<Item = &'e Expr>, schema: &DFSchema) -> Option<String> {
    let found = mixture(parts, schema)?;
    Some(format!("is text or a number: {}", remedy(found)))
}

/// The first text and the first number, where there are both.
fn mixture<'e>(
    parts: impl IntoIterator<Item = &'e Expr>,
    schema: &DFSchema,
) -> Option<(&'e Expr, &'e Expr)> {
    let (mut text, mut number) = (None, None);
    for part in parts {
        // What has no type is refused by the coercion, with its reason.
        match part.get_type(schema) {
            Ok(DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => {
                text = text.or(Some(part));
            }
            Ok(data_type) if data_type.is_numeric() => number = number.or(Some(part)),
            _ => {}
        }
    }
    text.zip(number)
}

/// Whether a text is a constant that the cast to the number's type reads: `stock > '5'` never fails.
fn is_read_as(text: &Expr, number: &Expr, schema: &DFSchema) -> bool {
    let Expr::Literal(value, _) = text else { return false };
    number.get_type(schema).is_ok_and(|data_type| value.cast_to(&data_type).is_ok())
}

fn remedy((text, number): (&Expr, &Expr)) -> String {
    match (text, number) {
        (_, Expr::Literal(value, _)) => format!("write '{value}'"),
        (Expr::Literal(..), _) => "write a number instead of the text".to_owned(),
        _ => "CAST one of them".to_owned(),
    }
}
