//! From checked groups to lanes: distinct expressions, resolved features, the id.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use record::LaneId;

use super::{Conversion, Lane, LaneExpression, LaneFeature, Operation};
use crate::expression::{Error, Expression};
use crate::{AggregateSpec, Feature, Group, Source, hash};

/// A group whose expressions are compiled.
#[derive(Debug, Clone)]
pub(crate) struct CompiledGroup {
    pub(crate) group: Arc<Group>,
    pub(crate) source: Arc<Source>,
    pub(crate) features: Vec<CompiledFeature>,
}

/// The compiled expressions of a feature.
#[derive(Debug, Clone, Default)]
pub(crate) struct CompiledFeature {
    pub(crate) filter: Option<LaneExpression>,
    /// `value` or `by`.
    pub(crate) value: Option<LaneExpression>,
    pub(crate) tag: Option<LaneExpression>,
}

/// The part of a feature that an expression stands in; its name in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part(pub(crate) &'static str);

impl CompiledFeature {
    /// Compiles a feature's expressions over its source's columns; every part that is wrong is named.
    pub(crate) fn compile(
        feature: &Feature,
        schema: &Arc<DFSchema>,
    ) -> Result<Self, Vec<(Part, Error)>> {
        let mut errors = Vec::new();
        let mut part = |name: &'static str, sql: &str, conversion: Conversion, text: bool| {
            match LaneExpression::compile(sql, schema, conversion, text) {
                Ok(expression) => Some(expression),
                Err(error) => {
                    errors.push((Part(name), error));
                    None
                }
            }
        };
        let filter =
            feature.filter.as_ref().and_then(|sql| part("where", sql, Conversion::Filter, false));
        let (value, tag) = match &feature.aggregate {
            AggregateSpec::Count { .. } | AggregateSpec::InterestVector { .. } => (None, None),
            AggregateSpec::Sum { value, scale, .. } => {
                (part("value", value, Conversion::Scaled(*scale), false), None)
            }
            AggregateSpec::DecayedSum { value, scale, .. } => {
                let scaled = Conversion::Scaled(*scale);
                (value.as_ref().and_then(|sql| part("value", sql, scaled, false)), None)
            }
            AggregateSpec::Last { value } => (part("value", value, Conversion::Plain, false), None),
            AggregateSpec::CountBy { by, .. } => (part("by", by, Conversion::Plain, true), None),
            AggregateSpec::Sequence { value, tag, .. } => (
                part("value", value, Conversion::Plain, true),
                tag.as_ref().and_then(|sql| part("tag", sql, Conversion::Plain, true)),
            ),
        };
        if errors.is_empty() { Ok(Self { filter, value, tag }) } else { Err(errors) }
    }

    /// The expressions, with the part that each stands in.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&'static str, &LaneExpression)> {
        [("where", &self.filter), ("value", &self.value), ("tag", &self.tag)]
            .into_iter()
            .filter_map(|(name, expression)| Some((name, expression.as_ref()?)))
    }
}

impl LaneExpression {
    fn compile(
        sql: &str,
        schema: &Arc<DFSchema>,
        conversion: Conversion,
        text: bool,
    ) -> Result<Self, Error> {
        let expression = Expression::compile(sql, schema)?;
        let found = expression.data_type();
        let (good, expected) = match conversion {
            Conversion::Filter => (found == &DataType::Boolean, "true or false"),
            Conversion::Scaled(_) => (is_number(found), "a number"),
            Conversion::Plain if text => {
                (found == &DataType::Utf8, "text (write CAST(… AS VARCHAR) if that is meant)")
            }
            Conversion::Plain => (
                matches!(
                    found,
                    DataType::Utf8 | DataType::Int64 | DataType::Float64 | DataType::Boolean
                ),
                "text, an integer, a float, or true or false",
            ),
        };
        if !good {
            return Err(Error::new(format!("`{sql}` is of type {found}; expected {expected}")));
        }
        Ok(Self { sql: sql.to_owned(), expression, conversion })
    }
}

fn is_number(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int64 | DataType::Float64 | DataType::Decimal128(..))
}

/// Builds the lanes of groups that are sorted by name; groups of one lane share their key column.
pub(crate) fn build(groups: &[CompiledGroup]) -> Vec<Arc<Lane>> {
    let mut identities: Vec<(&str, &str)> =
        groups.iter().map(|g| (g.group.source.as_str(), g.group.entity.as_str())).collect();
    identities.sort_unstable();
    identities.dedup();
    identities
        .into_iter()
        .map(|(source, entity)| {
            let of_lane: Vec<&CompiledGroup> = groups
                .iter()
                .filter(|g| g.group.source == source && g.group.entity == entity)
                .collect();
            Arc::new(lane(entity, &of_lane))
        })
        .collect()
}

fn lane(entity: &str, groups: &[&CompiledGroup]) -> Lane {
    let source = Arc::clone(&groups[0].source);
    let entity_column = source
        .column(&groups[0].group.entity_column)
        .expect("the parser has found the key column of every group");
    let mut expressions: Vec<LaneExpression> = Vec::new();
    let mut intern = |expression: &LaneExpression| {
        let same = |known: &LaneExpression| {
            known.conversion == expression.conversion
                && known.expression.canonical() == expression.expression.canonical()
        };
        expressions.iter().position(same).unwrap_or_else(|| {
            expressions.push(expression.clone());
            expressions.len() - 1
        })
    };
    let mut features = Vec::new();
    for (index, compiled) in groups.iter().enumerate() {
        let first = features.len();
        for (feature, parts) in compiled.group.features.iter().zip(&compiled.features) {
            let over = |name: &str| {
                let place = compiled.group.features.iter().position(|f| f.name == name);
                first + place.expect("the parser has found the sequence")
            };
            let filter = parts.filter.as_ref().map(&mut intern);
            let value = parts.value.as_ref().map(&mut intern);
            let tag = parts.tag.as_ref().map(&mut intern);
            features.push(LaneFeature {
                group: index,
                name: feature.name.clone(),
                operation: operation(&feature.aggregate, value, tag, over),
                filter,
                default: feature.default,
            });
        }
    }
    Lane {
        id: id(&source.name, entity, groups),
        source,
        entity: entity.to_owned(),
        entity_column,
        groups: groups.iter().map(|g| Arc::clone(&g.group)).collect(),
        features,
        expressions,
    }
}

fn operation(
    aggregate: &AggregateSpec,
    value: Option<usize>,
    tag: Option<usize>,
    over: impl Fn(&str) -> usize,
) -> Operation {
    let column = || value.expect("this aggregate's value was compiled");
    match *aggregate {
        AggregateSpec::Count { window } => Operation::Count { window },
        AggregateSpec::Sum { scale, window, .. } => {
            Operation::Sum { value: column(), scale, window }
        }
        AggregateSpec::Last { .. } => Operation::Last { value: column() },
        AggregateSpec::CountBy { limit, window, .. } => {
            Operation::CountBy { by: column(), limit, window }
        }
        AggregateSpec::Sequence { limit, .. } => {
            Operation::Sequence { value: column(), tag, limit }
        }
        AggregateSpec::DecayedSum { scale, half_life_us, .. } => {
            Operation::DecayedSum { value, scale, half_life_us }
        }
        AggregateSpec::InterestVector { over: ref name, half_life_us } => {
            Operation::InterestVector { over: over(name), half_life_us }
        }
    }
}

fn id(source: &str, entity: &str, groups: &[&CompiledGroup]) -> LaneId {
    let mut hashes: Vec<[u8; 32]> = groups.iter().map(|g| g.group.hash).collect();
    hashes.sort_unstable();
    let mut hasher = hash::Hasher::new("lane");
    hasher.text(source).text(entity);
    for group in &hashes {
        hasher.bytes(group);
    }
    let digest = hasher.finish();
    let mut id = [0; 8];
    id.copy_from_slice(&digest[..8]);
    LaneId(id)
}
