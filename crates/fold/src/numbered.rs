//! Texts that differ from one before them by the number at their end only, as ids and categories do
//! (`item-004711`, `4711`): the canonical encoding writes the number alone.

use crate::{
    Error,
    codec::{Reader, put_text, put_u64},
};

/// A text's own bytes.
pub(crate) const LITERAL: u8 = 0;
/// A number with as many digits as the text before had: leading zeros belong to it.
pub(crate) const PADDED: u8 = 1;
/// A number with as many digits as it takes, which are more or fewer than before.
pub(crate) const PLAIN: u8 = 2;

/// Digits that a number has at most: any such number fits 64 bits.
const DIGITS_MAX: usize = 18;

/// What the texts before had in common: how they begin and how many digits follow. A literal text sets
/// both, a number the digits.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Numbered<'a> {
    beginning: &'a [u8],
    /// 0: no text, or one that ends in no digit.
    digits: usize,
}

impl<'a> Numbered<'a> {
    /// How `text` is written here: its form, and its number unless it is [`LITERAL`].
    #[inline]
    pub(crate) fn form(&self, text: &[u8]) -> (u8, u64) {
        let start = self.beginning.len();
        if self.digits == 0
            || text.len() <= start
            || text.len() > start + DIGITS_MAX
            || text[..start] != *self.beginning
        {
            return (LITERAL, 0);
        }
        let digits = &text[start..];
        let mut number = 0;
        for digit in digits {
            let digit = digit.wrapping_sub(b'0');
            if digit > 9 {
                return (LITERAL, 0);
            }
            number = number * 10 + u64::from(digit);
        }
        match digits {
            _ if digits.len() == self.digits => (PADDED, number),
            [b'0', _, ..] => (LITERAL, 0),
            _ => (PLAIN, number),
        }
    }

    /// Appends `text` in the form that [`Numbered::form`] gave.
    #[inline]
    pub(crate) fn put(&mut self, text: &'a [u8], (form, number): (u8, u64), out: &mut Vec<u8>) {
        if form == LITERAL {
            put_text(out, text);
            self.begin(text);
        } else {
            put_u64(out, number);
            self.digits = text.len() - self.beginning.len();
        }
    }

    fn begin(&mut self, text: &'a [u8]) {
        let digits = text.iter().rev().take(DIGITS_MAX).take_while(|byte| byte.is_ascii_digit());
        self.digits = digits.count();
        self.beginning = &text[..text.len() - self.digits];
    }

    /// Reads what [`Numbered::put`] wrote; `scratch` is room for a text that is put together.
    pub(crate) fn get<'b>(
        &mut self,
        reader: &mut Reader<'a>,
        form: u8,
        bytes_max: usize,
        scratch: &'b mut String,
    ) -> Result<&'b str, Error>
    where
        'a: 'b,
    {
        if form == LITERAL {
            let text = reader.text()?;
            reader.ensure(text.len() <= bytes_max, "a text longer than the limit")?;
            reader.ensure(self.form(text.as_bytes()).0 == LITERAL, "a text that is a number")?;
            self.begin(text.as_bytes());
            return Ok(text);
        }
        let number = reader.u64()?;
        let (mut buffer, mut at) = ([b'0'; DIGITS_MAX], DIGITS_MAX);
        let mut rest = number;
        while rest > 0 && at > 0 {
            at -= 1;
            buffer[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let own = (DIGITS_MAX - at).max(1);
        let width = if form == PADDED { self.digits } else { own };
        let fits = rest == 0 && self.digits > 0 && own <= width;
        reader.ensure(fits && (form == PADDED) == (width == self.digits), "no such number")?;
        reader.ensure(self.beginning.len() + width <= bytes_max, "a text longer than the limit")?;
        scratch.clear();
        let text = |bytes| std::str::from_utf8(bytes).expect("cut from a text before its digits");
        scratch.push_str(text(self.beginning));
        scratch.push_str(text(&buffer[DIGITS_MAX - width..]));
        self.digits = width;
        Ok(scratch)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn round_trip(texts: &[String]) -> Vec<u8> {
        let (mut out, mut numbered) = (Vec::new(), Numbered::default());
        for text in texts {
            let form = numbered.form(text.as_bytes());
            out.push(form.0);
            numbered.put(text.as_bytes(), form, &mut out);
        }
        let (mut reader, mut numbered) = (Reader::new(&out), Numbered::default());
        let mut scratch = String::new();
        for text in texts {
            let form = reader.u8().unwrap();
            assert_eq!(numbered.get(&mut reader, form, 99, &mut scratch), Ok(text.as_str()));
        }
        assert_eq!(reader.finish(), Ok(()));
        out
    }

    #[test]
    fn numbers_are_written_instead_of_texts() {
        let forms = |texts: [&str; 2]| {
            let out = round_trip(&texts.map(String::from));
            out[2 + texts[0].len()..].to_vec()
        };
        assert_eq!(forms(["item-0007", "item-0012"]), [PADDED, 12]);
        assert_eq!(forms(["7", "12"]), [PLAIN, 12]);
        assert_eq!(forms(["17", "0"]), [PLAIN, 0]);
        assert_eq!(forms(["é9", "é99"]), [PLAIN, 99]);
        assert_eq!(forms(["07", "7"]), [PLAIN, 7]);
        assert_eq!(
            forms(["7", "07"])[0],
            LITERAL,
            "no number of its own width has a zero before it"
        );
        assert_eq!(forms(["item", "item7"])[0], LITERAL);
        assert_eq!(forms(["item7", "item"])[0], LITERAL);
        assert_eq!(forms(["item7", "items7"])[0], LITERAL);
        let nines = ["9".repeat(18), "9".repeat(19)];
        assert_eq!(forms(["1", &nines[0]])[0], PLAIN);
        assert_eq!(forms(["1", &nines[1]])[0], LITERAL);
        assert_eq!(forms([&nines[1], "98"]), [PLAIN, 8], "the first of 19 digits stays");
    }

    #[test]
    fn each_text_has_one_spelling() {
        let get = |before: &str, form: u8, bytes: &[u8]| {
            let mut numbered = Numbered::default();
            numbered.begin(before.as_bytes());
            let mut scratch = String::new();
            numbered.get(&mut Reader::new(bytes), form, 99, &mut scratch).is_ok()
        };
        assert!(get("a1", PADDED, &[9]));
        assert!(!get("a1", PADDED, &[10]), "a digit too many");
        assert!(!get("a1", PLAIN, &[9]), "as many digits as before");
        assert!(!get("a", PADDED, &[9]) && !get("a", PLAIN, &[9]), "no number before");
        assert!(!get("a1", LITERAL, b"\x02a2"), "a number");
        let mut beyond = Vec::new();
        put_u64(&mut beyond, 10u64.pow(18));
        assert!(!get("a1", PLAIN, &beyond), "more digits than are read");
        let longest = format!("{}1", "x".repeat(98));
        assert!(get(&longest, PADDED, &[9]));
        assert!(!get(&longest, PLAIN, &[10]), "longer than the limit of 99 bytes");
    }

    proptest! {
        #[test]
        fn texts_round_trip(texts in vec("[ab]{0,2}0{0,3}[0-9]{0,20}|.{0,5}", 0..20)) {
            round_trip(&texts);
        }
    }
}
