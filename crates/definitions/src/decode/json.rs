//! A strict reader of JSON (RFC 8259) that borrows: one pass, no tree, no allocation for plain text.
//!
//! Our own, because numbers must be read exactly (integers never pass through floats, floats are rounded
//! correctly), and because this is the innermost loop of everything that starts from bytes.

mod text;

use std::borrow::Cow;

/// Nesting that a value which nobody asked for may have.
const DEPTH_MAX: usize = 64;

/// A scalar, or the fact that there was an array or object.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'a> {
    Null,
    Bool(bool),
    Text(Cow<'a, str>),
    /// Text of a number as it stands; it has the grammar of JSON.
    Number(&'a str),
    /// An array or object, skipped.
    Nested(&'static str),
}

impl Token<'_> {
    /// What was found, for a person.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Bool(value) => value.to_string(),
            Self::Text(text) => format!("the text {:?}", clip(text)),
            Self::Number(text) => format!("the number {}", clip(text)),
            Self::Nested(kind) => (*kind).into(),
        }
    }
}

/// At most 40 characters of a text, for messages.
pub(super) fn clip(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(40) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// Where reading stopped, and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) at: usize,
    pub(super) expected: &'static str,
}

type Result<T> = std::result::Result<T, Malformed>;

/// A cursor over the text of one value.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    fn fail<T>(&self, expected: &'static str) -> Result<T> {
        Err(Malformed { at: self.at, expected })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Opens the record: an object. Returns whether it has members.
    pub(super) fn open(&mut self) -> Result<bool> {
        if !self.eat(b'{') {
            return self.fail("an object `{`");
        }
        Ok(!self.eat(b'}'))
    }

    /// The next member's name; the cursor stands at its value afterwards.
    pub(super) fn name(&mut self) -> Result<Cow<'a, str>> {
        self.skip_space();
        if self.peek() != Some(b'"') {
            return self.fail("a member's name in quotes");
        }
        let name = self.string()?;
        if !self.eat(b':') {
            return self.fail("`:`");
        }
        Ok(name)
    }

    /// Whether another member follows; false closes the object.
    pub(super) fn more(&mut self) -> Result<bool> {
        if self.eat(b',') {
            return Ok(true);
        }
        if self.eat(b'}') {
            return Ok(false);
        }
        self.fail("`,` or `}`")
    }

    /// Nothing but white space may follow.
    pub(super) fn end(&mut self) -> Result<()> {
        self.skip_space();
        if self.at == self.text.len() { Ok(()) } else { self.fail("the end of the record") }
    }

    /// A value.
    pub(super) fn value(&mut self) -> Result<Token<'a>> {
        self.skip_space();
        match self.peek() {
            Some(b'"') => Ok(Token::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number().map(Token::Number),
            Some(b't') => self.word("true").map(|()| Token::Bool(true)),
            Some(b'f') => self.word("false").map(|()| Token::Bool(false)),
            Some(b'n') => self.word("null").map(|()| Token::Null),
            Some(b'[') => self.skip_nested().map(|()| Token::Nested("an array")),
            Some(b'{') => self.skip_nested().map(|()| Token::Nested("an object")),
            _ => self.fail("a value"),
        }
    }

    fn word(&mut self, word: &'static str) -> Result<()> {
        if self.bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(());
        }
        self.fail("true, false or null")
    }

    fn digits(&mut self) -> Result<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { self.fail("a digit") } else { Ok(()) }
    }

    fn number(&mut self) -> Result<&'a str> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    /// Skips an array or object, checking its grammar, without recursion.
    fn skip_nested(&mut self) -> Result<()> {
        let mut open: Vec<u8> = Vec::new();
        loop {
            self.skip_space();
            match self.peek() {
                Some(bracket @ (b'[' | b'{')) => {
                    if open.len() == DEPTH_MAX {
                        return self.fail("less nesting");
                    }
                    self.at += 1;
                    let close = bracket + 2;
                    if !self.eat(close) {
                        open.push(close);
                        if close == b'}' {
                            self.name()?;
                        }
                        continue;
                    }
                }
                _ => {
                    self.value()?;
                }
            }
            loop {
                let Some(close) = open.last().copied() else { return Ok(()) };
                if self.eat(b',') {
                    if close == b'}' {
                        self.name()?;
                    }
                    break;
                }
                if !self.eat(close) {
                    return self.fail("`,` or a closing bracket");
                }
                open.pop();
                if open.is_empty() {
                    return Ok(());
                }
            }
        }
    }
}
