//! Files as they are read: their text, their lines, and the mistakes found in them.

use std::cell::RefCell;

use toml::de::DeTable;

use crate::Diagnostic;
pub(super) use crate::parse::section::{Found, Section, integer, number};

/// Mistakes found so far, over all files.
#[derive(Debug, Default)]
pub(super) struct Report(RefCell<Vec<Diagnostic>>);

impl Report {
    pub(super) fn add(&self, diagnostic: Diagnostic) {
        self.0.borrow_mut().push(diagnostic);
    }

    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// The mistakes by file and line, each once.
    pub(super) fn into_sorted(self) -> Vec<Diagnostic> {
        let mut all = self.0.into_inner();
        all.sort_by(|a, b| (&a.file, a.line, &a.message).cmp(&(&b.file, b.line, &b.message)));
        all.dedup();
        all
    }
}

/// A file with the offsets of its lines.
#[derive(Debug)]
pub(super) struct Document<'r> {
    path: String,
    starts: Vec<usize>,
    report: &'r Report,
}

impl<'r> Document<'r> {
    pub(super) fn new(path: &str, text: &str, report: &'r Report) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        Self { path: path.to_owned(), starts, report }
    }

    /// Parses the text; syntax errors are reported, and what could be read comes back.
    pub(super) fn parse<'i>(&self, text: &'i str) -> DeTable<'i> {
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let line = error.span().map_or(1, |span| self.line(span.start));
            self.mistake(line, format!("not TOML: {}", error.message()), None);
        }
        table.into_inner()
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).max(1)
    }

    pub(super) fn mistake(
        &self,
        line: usize,
        message: impl Into<String>,
        suggestion: Option<String>,
    ) {
        let (file, message) = (self.path.clone(), message.into());
        self.report.add(Diagnostic { file, line, message, suggestion });
    }
}
