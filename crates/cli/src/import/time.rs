//! Decimal seconds to microseconds, exactly.

/// Microseconds of a decimal number of seconds such as `1396437466.94`; digits beyond the sixth are
/// cut off. `None`: not such a number, or too large.
pub(super) fn micros(text: &str) -> Option<i64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let kept = &fraction[..fraction.len().min(6)];
    let scale = 10_i64.pow(6 - kept.len() as u32);
    let micros = whole
        .parse::<i64>()
        .ok()?
        .checked_mul(1_000_000)?
        .checked_add(kept.parse::<i64>().ok()? * scale)?;
    Some(if negative { -micros } else { micros })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        assert_eq!(micros("1396437466.94"), Some(1_396_437_466_940_000));
        assert_eq!(micros("1396437466"), Some(1_396_437_466_000_000));
        assert_eq!(micros("0.1234567"), Some(123_456));
        assert_eq!(micros("-1.5"), Some(-1_500_000));
        assert_eq!(micros("1396438212.318"), Some(1_396_438_212_318_000));
    }

    #[test]
    fn what_is_no_decimal_is_refused() {
        for wrong in ["", ".", "1.", ".5", "1e9", " 1", "1,5", "+1", "--1", "99999999999999999"] {
            assert_eq!(micros(wrong), None, "{wrong:?}");
        }
    }
}
