//! One record's members, brought into the order and types of the source's columns.

use std::borrow::Cow;

use super::json::{Malformed, Reader, Token};
use super::{Reason, parse_rfc3339};
use crate::{Column, ColumnType, Source};

/// A column's value in one row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell<'a> {
    /// Not seen, or null.
    Nothing,
    Text(Cow<'a, str>),
    Int(i64),
    Float(f64),
    Bool(bool),
}

/// Why a row is refused.
pub(super) type Refusal = (Reason, String);

/// The cells of a row, reused from row to row, with the order of names that the last row had: producers
/// write the same order again and again, so the first guess is nearly always right.
#[derive(Debug, Default)]
pub(super) struct RowReader {
    order: Vec<usize>,
}

impl RowReader {
    /// Reads a record's bytes into `cells`, one per column.
    pub(super) fn read<'a>(
        &mut self,
        source: &Source,
        bytes: &'a [u8],
        cells: &mut Vec<Cell<'a>>,
    ) -> Result<(), Refusal> {
        cells.clear();
        cells.resize(source.columns.len(), Cell::Nothing);
        let text = std::str::from_utf8(bytes).map_err(|error| {
            (Reason::Malformed, format!("not UTF-8 at byte {}", error.valid_up_to()))
        })?;
        self.members(source, text, cells)?;
        for (column, cell) in source.columns.iter().zip(cells.iter()) {
            if !column.optional && *cell == Cell::Nothing {
                return Err((
                    Reason::MissingColumn,
                    format!("`{}` is absent; expected {}", column.name, expected(column)),
                ));
            }
        }
        Ok(())
    }

    fn members<'a>(
        &mut self,
        source: &Source,
        text: &'a str,
        cells: &mut [Cell<'a>],
    ) -> Result<(), Refusal> {
        let mut reader = Reader::new(text);
        // A value of a wrong type is told only if the record as a whole is well formed.
        let mut wrong = None;
        let mut seen = 0_u128;
        let mut place = 0;
        let mut more = reader.open().map_err(malformed)?;
        while more {
            let name = reader.name().map_err(malformed)?;
            let index = self.column(source, &name, place);
            place += 1;
            let token = reader.value().map_err(malformed)?;
            if let Some(index) = index {
                let column = &source.columns[index];
                if seen & (1 << index) != 0 {
                    return Err((Reason::Malformed, format!("`{name}` stands there twice")));
                }
                seen |= 1 << index;
                match cell(column, token) {
                    Ok(cell) => cells[index] = cell,
                    Err(refusal) => wrong = wrong.or(Some(refusal)),
                }
            }
            more = reader.more().map_err(malformed)?;
        }
        reader.end().map_err(malformed)?;
        wrong.map_or(Ok(()), Err)
    }

    /// The column of this name; names that the source does not have are ignored.
    fn column(&mut self, source: &Source, name: &str, place: usize) -> Option<usize> {
        if let Some(guess) = self.order.get(place)
            && source.columns.get(*guess).is_some_and(|column| column.name == name)
        {
            return Some(*guess);
        }
        let found = source.columns.iter().position(|column| column.name == name);
        if place < 2 * source.columns.len() {
            self.order.resize(self.order.len().max(place + 1), usize::MAX);
            self.order[place] = found.unwrap_or(usize::MAX);
        }
        found
    }
}

fn malformed(error: Malformed) -> Refusal {
    (Reason::Malformed, format!("not JSON at byte {}: expected {}", error.at, error.expected))
}

fn expected(column: &Column) -> &'static str {
    match column.column_type {
        ColumnType::String => "a string",
        ColumnType::Int64 => "an integer of 64 bits",
        ColumnType::Float64 => "a finite number",
        ColumnType::Boolean => "true or false",
        ColumnType::Timestamp => "microseconds since the epoch or an RFC 3339 time",
    }
}

fn cell<'a>(column: &Column, token: Token<'a>) -> Result<Cell<'a>, Refusal> {
    let read = match (column.column_type, &token) {
        (_, Token::Null) if column.optional => return Ok(Cell::Nothing),
        (_, Token::Null) => {
            return Err((
                Reason::MissingColumn,
                format!("`{}` is null; expected {}", column.name, expected(column)),
            ));
        }
        (ColumnType::String, Token::Text(_)) => {
            let Token::Text(text) = token else { unreachable!("matched above") };
            return Ok(Cell::Text(text));
        }
        (ColumnType::Int64, Token::Number(text)) => text.parse().ok().map(Cell::Int),
        (ColumnType::Float64, Token::Number(text)) => {
            text.parse().ok().filter(|v: &f64| v.is_finite()).map(|v| Cell::Float(v + 0.0))
        }
        (ColumnType::Boolean, Token::Bool(value)) => Some(Cell::Bool(*value)),
        (ColumnType::Timestamp, Token::Number(text)) => text.parse().ok().map(Cell::Int),
        (ColumnType::Timestamp, Token::Text(text)) => parse_rfc3339(text).map(Cell::Int),
        _ => None,
    };
    read.ok_or_else(|| {
        let found = token.describe();
        (Reason::WrongType, format!("`{}` is {found}; expected {}", column.name, expected(column)))
    })
}
