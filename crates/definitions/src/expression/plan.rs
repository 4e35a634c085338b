//! From SQL text to a physical expression, by DataFusion's planner.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use arrow::error::ArrowError;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, DataFusionError, ExprSchema, SchemaError};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::expressions::CastExpr;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use datafusion::sql::parser::DFParserBuilder;
use datafusion::sql::planner::{PlannerContext, SqlToRel};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::context::Context;
use super::{Error, SQL_BYTES_MAX, arithmetic, check, functions, mixture};
use crate::suggest;

/// Parses, resolves names and types, and refuses what is not allowed.
pub(super) fn logical(sql: &str, schema: &Arc<DFSchema>) -> Result<Expr, Error> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(Error::new(format!("an expression has at most {SQL_BYTES_MAX} bytes")));
    }
    if sql.trim().is_empty() {
        return Err(Error::new("expected an SQL expression, found nothing"));
    }
    one_expression(sql)?;
    let syntax =
        |error: DataFusionError| Error::new(format!("not an SQL expression: {}", reason(&error)));
    let parsed = DFParserBuilder::new(sql)
        .build()
        .and_then(|mut parser| parser.parse_into_expr())
        .map_err(syntax)?;
    if let Some(alias) = parsed.alias {
        return Err(Error::new(format!("an expression has no alias, found `AS {alias}`")));
    }
    let context = Context::new();
    let planned =
        SqlToRel::new(&context).sql_to_expr(parsed.expr, schema, &mut PlannerContext::new());
    let planned = match (planned, context.refused_function()) {
        (_, Some(name)) => return Err(refused_function(&name)),
        (planned, None) => planned.map_err(|error| describe(&error, schema))?,
    };
    check::allowed(&planned)?;
    no_lists(&planned, schema)?;
    mixture::refuse(&planned, schema)?;
    let coerced =
        simplifier(schema).coerce(planned, schema).map_err(|error| describe(&error, schema))?;
    Ok(coerced)
}

/// Sequences and vectors are for candidate sources and models' own inputs; in an expression they would
/// be nothing but null or not null, and the joined row does not even carry them.
fn no_lists(expr: &Expr, schema: &DFSchema) -> Result<(), Error> {
    for column in expr.column_refs() {
        let found = schema.data_type(column).map_err(|error| describe(&error, schema))?;
        if matches!(found, DataType::List(_)) {
            let name = column.flat_name();
            let message = format!("`{name}` is a sequence or a vector: expressions cannot read it");
            return Err(Error::new(message));
        }
    }
    Ok(())
}

/// A second statement behind a semicolon, or a comment that swallows the rest, must not pass unseen.
fn one_expression(sql: &str) -> Result<(), Error> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql)
        .tokenize()
        .map_err(|error| Error::new(format!("not an SQL expression: {error}")))?;
    if tokens.contains(&Token::SemiColon) {
        return Err(Error::new("expected one SQL expression, found `;`"));
    }
    Ok(())
}

/// Folds constants, makes float arithmetic canonical and integer arithmetic checked, and compiles.
pub(super) fn physical(
    expr: Expr,
    schema: &Arc<DFSchema>,
) -> Result<(Arc<dyn PhysicalExpr>, DataType), Error> {
    let plan = || -> datafusion::common::Result<(Arc<dyn PhysicalExpr>, DataType)> {
        // Before the simplifier, which computes what is constant with the machine's own NaN and −0; and
        // after it, for what it made.
        let clean = |node| arithmetic::canonical(node, schema);
        let guarded = expr.transform_up(clean).map(|t| t.data)?;
        let folded = guarded.transform_up(arithmetic::fold_integers).map(|t| t.data)?;
        let simplified = simplifier(schema).simplify(folded)?;
        let data_type = simplified.get_type(schema)?;
        let canonical = simplified.transform_up(clean).map(|t| t.data)?;
        let physical =
            create_physical_expr(&canonical, schema, &ExecutionProps::new(), &Default::default())?;
        let physical = physical.transform_up(arithmetic::checked).map(|t| t.data)?;
        let target = plain(&data_type);
        if target == data_type {
            return Ok((physical, data_type));
        }
        let cast: Arc<dyn PhysicalExpr> = Arc::new(CastExpr::new(physical, target.clone(), None));
        Ok((cast, target))
    };
    plan().map_err(|error| describe(&error, schema))
}

/// The few types that values have outside of expressions.
fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 => DataType::Int64,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 | DataType::Float32 => DataType::Float64,
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::Timestamp(_, _) => DataType::Timestamp(TimeUnit::Microsecond, None),
        other => other.clone(),
    }
}

fn simplifier(schema: &Arc<DFSchema>) -> ExprSimplifier {
    // No start time is given, so nothing can fold a clock into a constant.
    ExprSimplifier::new(SimplifyContext::builder().with_schema(Arc::clone(schema)).build())
}

/// One line for a person, without DataFusion's backtrace.
pub(super) fn reason(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::SQL(error, _) => match error.as_ref() {
            ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
                message.clone()
            }
            ParserError::RecursionLimitExceeded => "nested too deeply".into(),
        },
        DataFusionError::Plan(message) | DataFusionError::Execution(message) => message.clone(),
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::DivideByZero => "division by zero".to_owned(),
            ArrowError::ArithmeticOverflow(message)
            | ArrowError::CastError(message)
            | ArrowError::ComputeError(message)
            | ArrowError::InvalidArgumentError(message)
            | ArrowError::ParseError(message) => message.clone(),
            other => other.to_string(),
        },
        DataFusionError::External(error) => error.to_string(),
        other => other.strip_backtrace(),
    }
}

fn refused_function(name: &str) -> Error {
    let suggestion = suggest::nearest(name, functions::names());
    let message = match functions::why_refused(name) {
        Some(why) => format!("the function `{name}` is not allowed: {why}"),
        None => format!("unknown function `{name}`; allowed are {}", functions::names().join(", ")),
    };
    Error { message, suggestion, unknown_column: None }
}

/// An error of the planner in our words, with the nearest name for a column that does not exist.
pub(super) fn describe(error: &DataFusionError, schema: &DFSchema) -> Error {
    let DataFusionError::SchemaError(schema_error, _) = error.find_root() else {
        return Error::new(reason(error));
    };
    match schema_error.as_ref() {
        SchemaError::FieldNotFound { field, .. } => {
            let name = field.flat_name();
            let known: Vec<String> = schema
                .iter()
                .map(|(qualifier, field)| match qualifier {
                    Some(qualifier) => format!("{qualifier}.{}", field.name()),
                    None => field.name().clone(),
                })
                .collect();
            Error {
                message: format!("unknown column `{name}`; expected one of {}", known.join(", ")),
                suggestion: suggest::nearest(&name, known.iter().map(String::as_str)),
                unknown_column: Some(name),
            }
        }
        other => Error::new(other.to_string()),
    }
}
