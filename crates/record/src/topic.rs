//! What a topic may be called.

/// The longest name of a topic.
const BYTES_MAX: usize = 249;

/// The rule of [`is_topic_name`], for messages.
pub const TOPIC_NAME: &str = "1 to 249 of a-z A-Z 0-9 . _ - (not . or ..)";

/// Whether a topic can be called that: the rule of Apache Kafka, kept by every log, so that a topic that
/// one log has can be created in the other.
#[must_use]
pub fn is_topic_name(topic: &str) -> bool {
    (1..=BYTES_MAX).contains(&topic.len())
        && topic.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        && topic != "."
        && topic != ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_kafka_takes() {
        for good in ["a", "Shop_1.clicks-v2", "...", &"t".repeat(249)] {
            assert!(is_topic_name(good), "{good}");
        }
        for wrong in ["", ".", "..", "a b", "a/b", "é", "a\n", &"t".repeat(250)] {
            assert!(!is_topic_name(wrong), "{wrong}");
        }
    }
}
