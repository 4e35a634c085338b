//! What makes equal meanings equal: one text per planned expression, one bit pattern per float.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::Expr;

/// The planned expression printed again, literals apart: inside the print a literal could imitate an
/// operator, and two expressions would share a text.
pub(super) fn text(expr: &Expr) -> Result<String> {
    let mut literals = String::new();
    let mut count = 0_usize;
    let shape = expr.clone().transform(|node| {
        let Expr::Literal(value, _) = &node else { return Ok(Transformed::no(node)) };
        let printed = format!("{}:{value}", value.data_type());
        literals.push_str(&format!("|{}:{printed}", printed.len()));
        count += 1;
        Ok(Transformed::yes(Expr::Column(Column::new_unqualified(format!("${count}")))))
    })?;
    Ok(format!("{}{literals}", shape.data))
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
