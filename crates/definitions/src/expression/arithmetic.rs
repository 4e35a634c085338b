//! Arithmetic that neither wraps nor depends on the machine, where DataFusion's own would.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, lit};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::BinaryExpr;

use super::functions;

/// Integer arithmetic of constants, checked: the simplifier's own would wrap.
pub(super) fn fold_integers(node: Expr) -> Result<Transformed<Expr>> {
    let Expr::BinaryExpr(binary) = &node else { return Ok(Transformed::no(node)) };
    let (
        Expr::Literal(ScalarValue::Int64(Some(left)), _),
        Expr::Literal(ScalarValue::Int64(Some(right)), _),
    ) = (binary.left.as_ref(), binary.right.as_ref())
    else {
        return Ok(Transformed::no(node));
    };
    let folded = match binary.op {
        Operator::Plus => left.checked_add(*right),
        Operator::Minus => left.checked_sub(*right),
        Operator::Multiply => left.checked_mul(*right),
        _ => return Ok(Transformed::no(node)),
    };
    match folded {
        Some(value) => Ok(Transformed::yes(lit(value))),
        None => plan_err!("`{left} {} {right}` overflows an integer of 64 bits", binary.op),
    }
}

/// Rewrites a node after its children: floats that are made here are cleaned, integers are not negated
/// (DataFusion's negation wraps) but subtracted from zero.
pub(super) fn canonical(node: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let made_here = match &node {
        // Its argument was wrapped a second time: once is enough.
        Expr::ScalarFunction(outer) if outer.func == functions::canonical() => {
            return Ok(match outer.args.first() {
                Some(Expr::ScalarFunction(inner)) if inner.func == outer.func => {
                    Transformed::yes(Expr::ScalarFunction(inner.clone()))
                }
                _ => Transformed::no(node),
            });
        }
        Expr::Literal(ScalarValue::Float64(Some(value)), metadata) => {
            let clean = (!value.is_nan()).then_some(value + 0.0);
            return Ok(Transformed::yes(Expr::Literal(
                ScalarValue::Float64(clean),
                metadata.clone(),
            )));
        }
        Expr::Negative(inner) if inner.get_type(schema)?.is_signed_integer() => {
            let zero = lit(ScalarValue::new_zero(&inner.get_type(schema)?)?);
            return Ok(Transformed::yes(zero - inner.as_ref().clone()));
        }
        Expr::BinaryExpr(_) | Expr::Negative(_) => true,
        Expr::Cast(cast) => !cast.expr.get_type(schema)?.is_integer(),
        Expr::TryCast(cast) => !cast.expr.get_type(schema)?.is_integer(),
        _ => false,
    };
    if made_here && node.get_type(schema)? == DataType::Float64 {
        return Ok(Transformed::yes(functions::canonical().call(vec![node])));
    }
    Ok(Transformed::no(node))
}

/// Lets sums, differences and products fail on overflow instead of wrapping.
pub(super) fn checked(node: Arc<dyn PhysicalExpr>) -> Result<Transformed<Arc<dyn PhysicalExpr>>> {
    let Some(binary) = node.downcast_ref::<BinaryExpr>() else {
        return Ok(Transformed::no(node));
    };
    if !matches!(binary.op(), Operator::Plus | Operator::Minus | Operator::Multiply) {
        return Ok(Transformed::no(node));
    }
    Ok(Transformed::yes(Arc::new(binary.clone().with_fail_on_overflow(true))))
}
