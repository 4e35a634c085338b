//! What makes equal meanings equal: one text per planned expression, one bit pattern per float.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Expr;

/// The planned expression in prefix order, each node with the number of its children, so that equal
/// texts are equal trees (DataFusion's own print drops parentheses that matter). Literals come behind it
/// with their lengths: inside it a text could imitate an operator.
pub(super) fn text(expr: &Expr) -> String {
    let (mut shape, mut literals) = (String::new(), String::new());
    write(expr, &mut shape, &mut literals);
    shape + &literals
}

fn write(expr: &Expr, shape: &mut String, literals: &mut String) {
    let label = match expr {
        Expr::Column(column) => column.flat_name(),
        Expr::Literal(value, _) => {
            let printed = format!("{}:{value}", value.data_type());
            literals.push_str(&format!("|{}:{printed}", printed.len()));
            "$".into()
        }
        Expr::BinaryExpr(binary) => binary.op.to_string(),
        Expr::Like(like) => {
            format!("like({},{},{:?})", like.negated, like.case_insensitive, like.escape_char)
        }
        Expr::Between(between) => format!("between({})", between.negated),
        Expr::InList(list) => format!("in({})", list.negated),
        Expr::Case(case) => format!("case({},{})", case.expr.is_some(), case.else_expr.is_some()),
        Expr::Cast(cast) => format!("cast({})", cast.field.data_type()),
        Expr::TryCast(cast) => format!("try_cast({})", cast.field.data_type()),
        Expr::ScalarFunction(call) => call.name().to_owned(),
        // All that is left of what an expression may be made of has no parts but its children.
        other => other.variant_name().to_owned(),
    };
    let mut children = Vec::new();
    // The closure never fails, so neither does the visit.
    let _ = expr.apply_children(|child| {
        children.push(child);
        Ok(TreeNodeRecursion::Continue)
    });
    shape.push_str(&format!("{label}/{} ", children.len()));
    children.into_iter().for_each(|child| write(child, shape, literals));
}

/// Nodes that compute something.
pub(super) fn kernels(expr: &Expr) -> usize {
    let mut count = 0;
    // The closure never fails, so neither does the walk.
    let _ = expr.apply(|node| {
        count += usize::from(!matches!(node, Expr::Column(_) | Expr::Literal(..)));
        Ok(TreeNodeRecursion::Continue)
    });
    count
}

/// NaN becomes null and −0 becomes 0; arrays of other types and clean arrays come back as they are.
pub(super) fn floats(array: &ArrayRef) -> ArrayRef {
    if array.data_type() != &DataType::Float64 {
        return Arc::clone(array);
    }
    let values = array.as_primitive::<Float64Type>();
    let dirty = |v: &f64| v.is_nan() || (*v == 0.0 && v.is_sign_negative());
    if !values.values().iter().any(dirty) {
        return Arc::clone(array);
    }
    let clean: Float64Array =
        values.iter().map(|v| v.filter(|v| !v.is_nan()).map(|v| v + 0.0)).collect();
    Arc::new(clean)
}
