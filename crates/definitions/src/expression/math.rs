//! Mathematical functions over `Float64`, from `libm`, so that two machines agree in every bit.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, PrimitiveArray};
use arrow::compute::{binary, try_unary};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::error::ArrowError;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::canonical;

/// What a function of this module computes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Function {
    /// One argument.
    Unary(fn(f64) -> f64),
    /// Two arguments.
    Binary(fn(f64, f64) -> f64),
    /// Absolute value, of integers or floats.
    Abs,
    /// NaN becomes null, −0 becomes 0; the planner puts it around arithmetic.
    Canonical,
}

/// A function with its name; equal names are equal functions.
#[derive(Debug)]
pub(super) struct Math {
    name: &'static str,
    function: Function,
    signature: Signature,
}

/// The functions that SQL may call, by name.
pub(super) const MATH: &[(&str, Function)] = &[
    ("abs", Function::Abs),
    ("acos", Function::Unary(libm::acos)),
    ("asin", Function::Unary(libm::asin)),
    ("atan", Function::Unary(libm::atan)),
    ("atan2", Function::Binary(libm::atan2)),
    ("cbrt", Function::Unary(libm::cbrt)),
    ("ceil", Function::Unary(libm::ceil)),
    ("cos", Function::Unary(libm::cos)),
    ("cosh", Function::Unary(libm::cosh)),
    ("exp", Function::Unary(libm::exp)),
    ("exp2", Function::Unary(libm::exp2)),
    ("floor", Function::Unary(libm::floor)),
    ("ln", Function::Unary(libm::log)),
    ("log10", Function::Unary(libm::log10)),
    ("log2", Function::Unary(libm::log2)),
    ("pow", Function::Binary(libm::pow)),
    ("power", Function::Binary(libm::pow)),
    ("round", Function::Unary(libm::round)),
    ("sin", Function::Unary(libm::sin)),
    ("sinh", Function::Unary(libm::sinh)),
    ("sqrt", Function::Unary(libm::sqrt)),
    ("tan", Function::Unary(libm::tan)),
    ("tanh", Function::Unary(libm::tanh)),
    ("trunc", Function::Unary(libm::trunc)),
];

impl Math {
    pub(super) fn new(name: &'static str, function: Function) -> Self {
        let float = || DataType::Float64;
        let signature = match function {
            Function::Unary(_) | Function::Canonical => {
                Signature::exact(vec![float()], Volatility::Immutable)
            }
            Function::Binary(_) => Signature::exact(vec![float(), float()], Volatility::Immutable),
            Function::Abs => {
                Signature::uniform(1, vec![DataType::Int64, float()], Volatility::Immutable)
            }
        };
        Self { name, function, signature }
    }
}

impl PartialEq for Math {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Math {}

impl std::hash::Hash for Math {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Math {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(match (self.function, arg_types) {
            (Function::Abs, [DataType::Int64]) => DataType::Int64,
            _ => DataType::Float64,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let out = self.compute(&arrays)?;
        if scalar {
            return datafusion::common::ScalarValue::try_from_array(&out, 0)
                .map(ColumnarValue::Scalar);
        }
        Ok(ColumnarValue::Array(out))
    }
}

impl Math {
    fn compute(&self, args: &[ArrayRef]) -> Result<ArrayRef> {
        let argument = |i: usize| {
            args.get(i)
                .and_then(|a| a.as_primitive_opt::<Float64Type>())
                .ok_or_else(|| exec_datafusion_err!("{} takes numbers", self.name))
        };
        let out: Float64Array = match self.function {
            Function::Unary(f) => argument(0)?.unary(f),
            Function::Binary(f) => binary(argument(0)?, argument(1)?, f)?,
            Function::Canonical => return Ok(canonical::floats(&args[0])),
            Function::Abs => {
                if let Some(ints) = args.first().and_then(|a| a.as_primitive_opt::<Int64Type>()) {
                    let absolute: PrimitiveArray<Int64Type> = try_unary(ints, |v| {
                        v.checked_abs().ok_or_else(|| {
                            ArrowError::ArithmeticOverflow(format!("abs({v}) overflows"))
                        })
                    })?;
                    return Ok(Arc::new(absolute));
                }
                argument(0)?.unary(f64::abs)
            }
        };
        Ok(canonical::floats(&(Arc::new(out) as ArrayRef)))
    }
}
