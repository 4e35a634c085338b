//! YooChoose as session-rec prepares it: `SessionId  ItemId  Time`, tab-separated, with a header.

use super::{Refusal, Row, time};

/// Whether a file's first line is the header.
pub(super) fn is_header(line: &str) -> bool {
    line.trim_end() == "SessionId\tItemId\tTime"
}

/// A session is its own visitor: the data set knows no more.
pub(super) fn parse(line: &str) -> Result<Row<'_>, Refusal> {
    let mut fields = line.split('\t');
    let (Some(session), Some(item), Some(at), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        let found = line.split('\t').count();
        return Err((
            "malformed",
            format!("{found} fields; expected session, item and time, tab-separated"),
        ));
    };
    for (name, text) in [("session", session), ("item", item)] {
        if text.is_empty() {
            return Err(("missing_key", format!("the {name} is empty; expected an identifier")));
        }
    }
    let at_us = time::micros(at);
    let at_us =
        at_us.ok_or_else(|| ("wrong_type", format!("time {at:?}; expected decimal seconds")))?;
    Ok(Row { at_us, visitor: session, session: Some(session), kind: "view", item, category: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_view_of_its_session() {
        let row = parse("3\t214716935\t1396437466.94").unwrap();
        assert_eq!((row.visitor, row.item, row.kind), ("3", "214716935", "view"));
        assert_eq!(row.at_us, 1_396_437_466_940_000);
        assert!(is_header("SessionId\tItemId\tTime"));
    }

    #[test]
    fn wrong_lines_say_what_was_expected() {
        assert_eq!(parse("3\t214").unwrap_err().0, "malformed");
        assert_eq!(parse("3\t\t1").unwrap_err().0, "missing_key");
        let (reason, detail) = parse("3\t4\tyesterday").unwrap_err();
        assert_eq!(reason, "wrong_type");
        assert!(detail.contains("yesterday"), "{detail}");
    }
}
