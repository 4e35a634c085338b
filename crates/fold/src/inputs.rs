//! A lane's evaluated columns, typed once per batch so that the row loops need no casts.

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray, BooleanArray, Float64Array, Int64Array, StringArray},
    datatypes::{DataType, Float64Type, Int64Type},
};
use definitions::Columns;
use hashbrown::HashMap;

use crate::plan::{Plan, Slot, SlotKind};

/// A lane's columns over one batch, ready to be folded.
#[derive(Debug)]
pub struct Inputs<'a>(pub(crate) Vec<Input<'a>>);

/// What one slot reads.
#[derive(Debug)]
pub(crate) struct Input<'a> {
    /// Whether it admits each row, a byte each: every slot asks for every row.
    filter: Option<Arc<[bool]>>,
    pub(crate) values: Values<'a>,
}

#[derive(Debug)]
pub(crate) enum Values<'a> {
    /// The rows themselves.
    Rows,
    Int(&'a Int64Array),
    Float(&'a Float64Array),
    Bool(&'a BooleanArray),
    Text {
        text: &'a StringArray,
        tag: Option<&'a StringArray>,
    },
}

impl<'a> Inputs<'a> {
    /// Types the columns of a batch.
    ///
    /// # Panics
    /// When a column is not of the type that its operation declares: filters are `Boolean`, keys and
    /// items `Utf8`, sums `Int64`.
    #[must_use]
    pub fn new(plan: &Plan, columns: &'a Columns) -> Self {
        let mut filters: HashMap<usize, Arc<[bool]>> = HashMap::new();
        let mut filter = |index: usize| {
            let made = filters.entry(index).or_insert_with(|| {
                let column = columns.columns[index].as_boolean();
                let mut rows: Vec<bool> = column.values().iter().collect();
                // A null does not admit.
                let valid = column.nulls().into_iter().flatten();
                rows.iter_mut().zip(valid).for_each(|(row, valid)| *row &= valid);
                rows.into()
            });
            Arc::clone(made)
        };
        let input = |slot: &Slot| Input::new(slot, slot.filter.map(&mut filter), columns);
        Self(plan.slots.iter().map(input).collect())
    }
}

impl<'a> Input<'a> {
    fn new(slot: &Slot, filter: Option<Arc<[bool]>>, columns: &'a Columns) -> Self {
        let array = |index: usize| &columns.columns[index];
        let int = |index: usize| Values::Int(array(index).as_primitive::<Int64Type>());
        let values = match &slot.kind {
            SlotKind::Count { .. } | SlotKind::Decayed { value: None, .. } => Values::Rows,
            SlotKind::Sum { value, .. } | SlotKind::Decayed { value: Some(value), .. } => {
                int(*value)
            }
            SlotKind::Last { value, .. } => match array(*value).data_type() {
                DataType::Int64 => int(*value),
                DataType::Float64 => Values::Float(array(*value).as_primitive::<Float64Type>()),
                DataType::Boolean => Values::Bool(array(*value).as_boolean()),
                _ => Values::Text { text: array(*value).as_string(), tag: None },
            },
            SlotKind::Keyed { by, .. } => Values::Text { text: array(*by).as_string(), tag: None },
            SlotKind::Sequence { value, tag, .. } => Values::Text {
                text: array(*value).as_string(),
                tag: tag.map(|tag| array(tag).as_string()),
            },
        };
        Self { filter, values }
    }

    /// Whether the filter admits the row.
    #[inline]
    pub(crate) fn admits(&self, row: usize) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter[row])
    }
}
