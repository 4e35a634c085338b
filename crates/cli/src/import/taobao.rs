//! Taobao's UserBehavior: `user,item,category,type,seconds`, no header.

use super::{Refusal, Row, time};

/// A user is a visitor; sessions are not given.
pub(super) fn parse(line: &str) -> Result<Row<'_>, Refusal> {
    let mut fields = line.split(',');
    let mut next = || fields.next();
    let (Some(user), Some(item), Some(category), Some(kind), Some(at), None) =
        (next(), next(), next(), next(), next(), next())
    else {
        let found = line.split(',').count();
        return Err((
            "malformed",
            format!("{found} fields; expected user, item, category, type and seconds"),
        ));
    };
    for (name, text) in [("user", user), ("item", item)] {
        if text.is_empty() {
            return Err(("missing_key", format!("the {name} is empty; expected an identifier")));
        }
    }
    let kind = match kind {
        "pv" => "view",
        "cart" => "cart",
        "fav" => "favourite",
        "buy" => "purchase",
        other => {
            return Err(("wrong_type", format!("type {other:?}; expected pv, cart, fav or buy")));
        }
    };
    let at_us = time::micros(at);
    let at_us = at_us.ok_or_else(|| ("wrong_type", format!("time {at:?}; expected seconds")))?;
    let category = (!category.is_empty()).then_some(category);
    Ok(Row { at_us, visitor: user, session: None, kind, item, category })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaviours_become_kinds() {
        let row = parse("543462,1715,1464116,buy,1511658000").unwrap();
        assert_eq!((row.visitor, row.item, row.kind), ("543462", "1715", "purchase"));
        assert_eq!((row.category, row.at_us), (Some("1464116"), 1_511_658_000_000_000));
    }

    #[test]
    fn wrong_lines_say_what_was_expected() {
        assert_eq!(parse("1,2,3,pv").unwrap_err().0, "malformed");
        assert_eq!(parse("1,,3,pv,4").unwrap_err().0, "missing_key");
        assert!(parse("1,2,3,look,4").unwrap_err().1.contains("expected pv"));
    }
}
