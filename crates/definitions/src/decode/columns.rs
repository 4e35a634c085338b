//! Arrow arrays for a batch, one builder per column.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};

use super::row::Cell;
use crate::{Column, ColumnType};

/// Builds one column.
#[derive(Debug)]
pub(super) enum Builder {
    Text(StringBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Bool(BooleanBuilder),
    Time(TimestampMicrosecondBuilder),
}

impl Builder {
    pub(super) fn new(column: &Column, rows: usize) -> Self {
        match column.column_type {
            ColumnType::String => Self::Text(StringBuilder::with_capacity(rows, rows * 16)),
            ColumnType::Int64 => Self::Int(Int64Builder::with_capacity(rows)),
            ColumnType::Float64 => Self::Float(Float64Builder::with_capacity(rows)),
            ColumnType::Boolean => Self::Bool(BooleanBuilder::with_capacity(rows)),
            ColumnType::Timestamp => Self::Time(TimestampMicrosecondBuilder::with_capacity(rows)),
        }
    }

    /// Appends a cell; one of another type cannot come here, the row reader made it by the column.
    pub(super) fn append(&mut self, cell: &Cell<'_>) {
        match (self, cell) {
            (Self::Text(builder), Cell::Text(text)) => builder.append_value(text),
            (Self::Int(builder), Cell::Int(value)) => builder.append_value(*value),
            (Self::Float(builder), Cell::Float(value)) => builder.append_value(*value),
            (Self::Bool(builder), Cell::Bool(value)) => builder.append_value(*value),
            (Self::Time(builder), Cell::Int(value)) => builder.append_value(*value),
            (builder, _) => builder.append_null(),
        }
    }

    pub(super) fn append_null(&mut self) {
        match self {
            Self::Text(builder) => builder.append_null(),
            Self::Int(builder) => builder.append_null(),
            Self::Float(builder) => builder.append_null(),
            Self::Bool(builder) => builder.append_null(),
            Self::Time(builder) => builder.append_null(),
        }
    }

    pub(super) fn finish(mut self) -> ArrayRef {
        match &mut self {
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Int(builder) => Arc::new(builder.finish()),
            Self::Float(builder) => Arc::new(builder.finish()),
            Self::Bool(builder) => Arc::new(builder.finish()),
            Self::Time(builder) => Arc::new(builder.finish()),
        }
    }
}
