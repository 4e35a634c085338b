//! Rows that are alike to an expression. What reads one text column only gives equal texts equal values, so
//! where a batch has few distinct ones, as of an event's kind, it is evaluated once for each and not once a row.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{take, take_record_batch};

use crate::expression::Expression;
use crate::{ColumnType, Source};

/// More distinct texts than this are not looked for: grouping would cost more than it spares.
const TEXTS_MAX: usize = 16;

/// A batch, and its rows grouped by the text columns that expressions have asked for.
pub(super) struct Rows<'a> {
    source: &'a Source,
    batch: &'a RecordBatch,
    /// By column: not asked for yet, or too many texts, or the groups.
    groups: Vec<Option<Option<Groups>>>,
}

/// A column's distinct texts.
struct Groups {
    /// A row for each: the first that has it.
    firsts: RecordBatch,
    /// Index into `firsts`, by row.
    of_row: UInt32Array,
}

impl<'a> Rows<'a> {
    pub(super) fn new(source: &'a Source, batch: &'a RecordBatch) -> Self {
        Self { source, batch, groups: batch.columns().iter().map(|_| None).collect() }
    }

    /// [`Expression::evaluate`] over the batch.
    pub(super) fn evaluate(&mut self, expression: &Expression) -> (ArrayRef, Vec<(usize, String)>) {
        let of_groups = self.groups_of(expression).and_then(|groups| groups.evaluate(expression));
        of_groups.unwrap_or_else(|| expression.evaluate(self.batch))
    }

    /// The groups of the one text column that an expression computes with.
    fn groups_of(&mut self, expression: &Expression) -> Option<&Groups> {
        let [name] = expression.columns() else { return None };
        let column = self.source.column(name)?;
        let is_text = self.source.columns[column].column_type == ColumnType::String;
        if !is_text || expression.kernels() == 0 {
            return None;
        }
        let batch = self.batch;
        let groups = self.groups[column].get_or_insert_with(|| Groups::of(batch, column));
        groups.as_ref()
    }
}

impl Groups {
    fn of(batch: &RecordBatch, column: usize) -> Option<Self> {
        let texts: &StringArray = batch.column(column).as_string();
        let mut firsts: Vec<(Text<'_>, u32)> = Vec::with_capacity(TEXTS_MAX);
        let mut of_row = Vec::with_capacity(texts.len());
        for row in 0..texts.len() {
            let text = Text::of(texts, row);
            let index = match firsts.iter().position(|first| first.0 == text) {
                Some(index) => index,
                None if firsts.len() == TEXTS_MAX => return None,
                None => {
                    firsts.push((text, row as u32));
                    firsts.len() - 1
                }
            };
            of_row.push(index as u32);
        }
        let firsts = UInt32Array::from_iter_values(firsts.into_iter().map(|first| first.1));
        // It fails for an index beyond the rows only.
        let firsts = take_record_batch(batch, &firsts).ok()?;
        Some(Self { firsts, of_row: of_row.into() })
    }

    /// `None` where the rows' values are more than an array holds; by itself the expression tells which.
    fn evaluate(&self, expression: &Expression) -> Option<(ArrayRef, Vec<(usize, String)>)> {
        let (values, failed) = expression.evaluate(&self.firsts);
        let values = take(&values, &self.of_row, None).ok()?;
        if failed.is_empty() {
            return Some((values, Vec::new()));
        }
        let reason = |index: usize| failed.iter().find(|failure| failure.0 == index);
        let rows = self.of_row.values().iter().enumerate();
        let failed =
            rows.filter_map(|(row, index)| Some((row, reason(*index as usize)?.1.clone())));
        Some((values, failed.collect()))
    }
}

/// A row's text in a form that is quickly told from others.
#[derive(Clone, Copy)]
struct Text<'a> {
    /// Its first [`WORD`] bytes, or what there is of them and zeros.
    word: u64,
    /// All of it; `None` for null.
    bytes: Option<&'a [u8]>,
}

const WORD: usize = 8;

impl<'a> Text<'a> {
    #[inline]
    fn of(texts: &'a StringArray, row: usize) -> Self {
        if texts.is_null(row) {
            return Self { word: 0, bytes: None };
        }
        let (all, offsets) = (texts.value_data(), texts.value_offsets());
        let (from, until) = (offsets[row] as usize, offsets[row + 1] as usize);
        let bytes = &all[from..until];
        let word = match all.get(from..from + WORD) {
            // A copy of a fixed size, since one of a variable size is a call.
            Some(word) => {
                let word = u64::from_le_bytes(word.try_into().expect("a word"));
                if bytes.len() < WORD { word & !(u64::MAX << (8 * bytes.len())) } else { word }
            }
            None => {
                let mut word = [0; WORD];
                let length = bytes.len().min(WORD);
                word[..length].copy_from_slice(&bytes[..length]);
                u64::from_le_bytes(word)
            }
        };
        Self { word, bytes: Some(bytes) }
    }
}

impl PartialEq for Text<'_> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.word == other.word
            && match (self.bytes, other.bytes) {
                (Some(mine), Some(theirs)) => {
                    mine.len() == theirs.len() && (mine.len() <= WORD || mine == theirs)
                }
                (mine, theirs) => mine.is_none() && theirs.is_none(),
            }
    }
}
