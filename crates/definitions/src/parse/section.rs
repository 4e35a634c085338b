//! Reads TOML tables strictly: every key is asked for by name, and what nobody asked for is a mistake.

use std::cell::RefCell;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::reader::Document;
use crate::suggest;

/// A value with the line that it stands on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) line: usize,
}

/// One table of a document.
#[derive(Debug)]
pub(super) struct Section<'d, 'r, 'i> {
    pub(super) document: &'d Document<'r>,
    table: &'d DeTable<'i>,
    name: String,
    pub(super) line: usize,
    asked: RefCell<Vec<String>>,
}

type Value<'i> = Spanned<DeValue<'i>>;

impl<'d, 'r, 'i> Section<'d, 'r, 'i> {
    pub(super) fn new(
        document: &'d Document<'r>,
        table: &'d DeTable<'i>,
        name: impl Into<String>,
        line: usize,
    ) -> Self {
        Self { document, table, name: name.into(), line, asked: RefCell::default() }
    }

    /// A mistake on a line of this document.
    pub(super) fn mistake(&self, line: usize, message: impl Into<String>) {
        self.document.mistake(line, message, None);
    }

    fn get(&self, key: &str) -> Option<(&'d Spanned<DeString<'i>>, &'d Value<'i>)> {
        self.asked.borrow_mut().push(key.to_owned());
        self.table.iter().find(|(name, _)| name.get_ref() == key)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The line of a key, or of the section if it has no such key.
    pub(super) fn line_of(&self, key: &str) -> usize {
        self.get(key).map_or(self.line, |(name, _)| self.document.line(name.span().start))
    }

    fn typed<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&'d DeValue<'i>) -> Option<T>,
    ) -> Option<Found<T>> {
        let (name, value) = self.get(key)?;
        let line = self.document.line(name.span().start);
        let found = read(value.get_ref());
        if found.is_none() {
            let is = value.get_ref().type_str();
            self.mistake(
                line,
                format!("`{key}` of {} is of type {is}; expected {expected}", self.name),
            );
        }
        found.map(|value| Found { value, line })
    }

    pub(super) fn text(&self, key: &str) -> Option<Found<&'d str>> {
        self.typed(key, "a string", DeValue::as_str)
    }

    pub(super) fn integer(&self, key: &str) -> Option<Found<i64>> {
        self.typed(key, "an integer", integer)
    }

    pub(super) fn number(&self, key: &str) -> Option<Found<f64>> {
        self.typed(key, "a finite number", number)
    }

    pub(super) fn boolean(&self, key: &str) -> Option<Found<bool>> {
        self.typed(key, "true or false", DeValue::as_bool)
    }

    pub(super) fn array(&self, key: &str) -> Option<Found<&'d [Value<'i>]>> {
        self.typed(key, "an array", |value| value.as_array().map(|array| &array[..]))
    }

    pub(super) fn table(&self, key: &str) -> Option<Section<'d, 'r, 'i>> {
        let found = self.typed(key, "a table", DeValue::as_table)?;
        Some(Section::new(self.document, found.value, format!("`{key}`"), found.line))
    }

    /// An array of tables, as `[[key]]` writes it.
    pub(super) fn tables(&self, key: &str) -> Vec<Section<'d, 'r, 'i>> {
        let Some(array) = self.array(key) else { return Vec::new() };
        let mut sections = Vec::new();
        for element in array.value {
            let line = self.document.line(element.span().start);
            match element.get_ref().as_table() {
                Some(table) => {
                    sections.push(Section::new(self.document, table, format!("`{key}`"), line));
                }
                None => self.mistake(line, format!("an element of `{key}` is not a table")),
            }
        }
        sections
    }

    /// Reports a key that must be there and is not; passes on what was found.
    pub(super) fn need<T>(&self, key: &str, expected: &str, found: Option<T>) -> Option<T> {
        if found.is_none() && !self.has(key) {
            self.mistake(self.line, format!("{} lacks `{key}`; expected {expected}", self.name));
        }
        found
    }

    pub(super) fn need_text(&self, key: &str) -> Option<Found<&'d str>> {
        self.need(key, "a string", self.text(key))
    }

    pub(super) fn need_table(&self, key: &str) -> Option<Section<'d, 'r, 'i>> {
        self.need(key, "a table", self.table(key))
    }

    /// Every key with its line and value, in the order of the file; all count as asked for.
    pub(super) fn entries(&self) -> Vec<(&'d str, Found<&'d DeValue<'i>>)> {
        let mut entries: Vec<_> = self.table.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        entries
            .into_iter()
            .map(|(name, value)| {
                self.asked.borrow_mut().push(name.get_ref().to_string());
                let line = self.document.line(name.span().start);
                (name.get_ref().as_ref(), Found { value: value.get_ref(), line })
            })
            .collect()
    }

    /// Reports the keys that nobody asked for, each with the nearest that was.
    pub(super) fn finish(self) {
        let mut asked = self.asked.borrow_mut();
        asked.sort();
        asked.dedup();
        for (key, _) in self.table.iter() {
            let name = key.get_ref().as_ref();
            if asked.iter().any(|asked| asked == name) {
                continue;
            }
            let line = self.document.line(key.span().start);
            let message = format!(
                "unknown key `{name}` in {}; expected one of {}",
                self.name,
                asked.join(", ")
            );
            let suggestion = suggest::nearest(name, asked.iter().map(String::as_str));
            self.document.mistake(line, message, suggestion);
        }
    }
}

/// An integer of 64 bits.
pub(super) fn integer(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A finite number, written as an integer or as a float.
pub(super) fn number(value: &DeValue<'_>) -> Option<f64> {
    let float = value.as_float().and_then(|float| float.as_str().parse::<f64>().ok());
    float.or_else(|| integer(value).map(|v| v as f64)).filter(|v| v.is_finite())
}
