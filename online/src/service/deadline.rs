//! How long a call may take: what the client sends as `grpc-timeout`, at most the service's own.

use std::time::Duration;

use tonic::metadata::MetadataMap;

/// The client's timeout, if it sent one that can be read: up to 8 digits and a unit.
pub(super) fn client_timeout(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Time to work: the lesser of the client's timeout and the service's limit, less the margin. Of a
/// timeout that the margin would eat up, half is left.
pub(super) fn budget(client: Option<Duration>, limit: Duration, margin: Duration) -> Duration {
    let total = client.map_or(limit, |client| client.min(limit));
    total.checked_sub(margin).filter(|left| !left.is_zero()).unwrap_or(total / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Duration> {
        let mut metadata = MetadataMap::new();
        metadata.insert("grpc-timeout", text.parse().unwrap());
        client_timeout(&metadata)
    }

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        assert_eq!(read("50m"), Some(Duration::from_millis(50)));
        assert_eq!(read("2S"), Some(Duration::from_secs(2)));
        assert_eq!(read("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for wrong in ["", "m", "5", "123456789m", "-1m", "5x"] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
        assert_eq!(client_timeout(&MetadataMap::new()), None);
    }

    #[test]
    fn the_shorter_limit_counts_less_the_margin() {
        let ms = Duration::from_millis;
        assert_eq!(budget(None, ms(100), ms(10)), ms(90));
        assert_eq!(budget(Some(ms(40)), ms(100), ms(10)), ms(30));
        assert_eq!(budget(Some(ms(500)), ms(100), ms(10)), ms(90));
        assert_eq!(budget(Some(ms(6)), ms(100), ms(10)), ms(3));
    }
}
