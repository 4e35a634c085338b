//! What an expression may be made of: everything else is named and refused.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, Operator};

use super::Error;

/// Walks a planned expression and refuses what is not deterministic, not per row, or not UTC.
pub(super) fn allowed(expr: &Expr) -> Result<(), Error> {
    let mut refused = None;
    // The closure never fails, so neither does the walk.
    let _ = expr.apply(|node| {
        refused = refusal(node);
        Ok(if refused.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    refused.map_or(Ok(()), |message| Err(Error::new(message)))
}

fn refusal(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Column(_)
        | Expr::Literal(..)
        | Expr::Like(_)
        | Expr::Not(_)
        | Expr::IsNotNull(_)
        | Expr::IsNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_)
        | Expr::Negative(_)
        | Expr::Between(_)
        | Expr::Case(_)
        | Expr::InList(_)
        // What can be called was looked up in the list of functions.
        | Expr::ScalarFunction(_) => None,
        Expr::BinaryExpr(binary) => operator(binary.op),
        Expr::Cast(cast) => cast_to(cast.field.data_type()),
        Expr::TryCast(cast) => cast_to(cast.field.data_type()),
        Expr::AggregateFunction(_) | Expr::WindowFunction(_) => {
            Some("an expression sees one row: aggregates and windows are not allowed in it".into())
        }
        Expr::Exists(_)
        | Expr::InSubquery(_)
        | Expr::SetComparison(_)
        | Expr::ScalarSubquery(_) => {
            Some("an expression sees one row: subqueries are not allowed in it".into())
        }
        other => Some(format!("{} is not allowed in an expression", other.variant_name())),
    }
}

fn operator(op: Operator) -> Option<String> {
    match op {
        Operator::Eq
        | Operator::NotEq
        | Operator::Lt
        | Operator::LtEq
        | Operator::Gt
        | Operator::GtEq
        | Operator::Plus
        | Operator::Minus
        | Operator::Multiply
        | Operator::Divide
        | Operator::Modulo
        | Operator::And
        | Operator::Or
        | Operator::IsDistinctFrom
        | Operator::IsNotDistinctFrom
        | Operator::StringConcat => None,
        other => Some(format!("the operator `{other}` is not allowed in an expression")),
    }
}

fn cast_to(target: &DataType) -> Option<String> {
    match target {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Float64
        | DataType::Decimal128(..)
        | DataType::Utf8
        | DataType::Utf8View
        | DataType::LargeUtf8
        | DataType::Date32
        | DataType::Interval(_)
        | DataType::Timestamp(_, None) => None,
        // Its NaN and −0 would slip past what cleans doubles, and the sign of a NaN is the machine's.
        DataType::Float32 | DataType::Float16 => {
            Some(format!("a cast to {target} is not allowed in an expression: write DOUBLE"))
        }
        DataType::Timestamp(_, Some(_)) => {
            Some("time zones are not allowed in an expression: every time is UTC".into())
        }
        other => Some(format!("a cast to {other} is not allowed in an expression")),
    }
}
