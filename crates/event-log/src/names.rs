//! What a topic may be called: the rules of Apache Kafka, kept by every adapter, so that a topic that
//! one log has can be created in the other.

use crate::Error;

/// The most partitions of a topic.
const PARTITIONS_MAX: u32 = 1024;
/// The longest name of a topic, as in Apache Kafka.
const NAME_BYTES_MAX: usize = 249;

/// Whether a topic can be called `topic` and have so many partitions.
pub(crate) fn check_topic(topic: &str, partitions: u32) -> Result<(), Error> {
    if is_name(topic) && (1..=PARTITIONS_MAX).contains(&partitions) {
        return Ok(());
    }
    Err(Error::BadTopic {
        topic: topic.to_owned(),
        partitions,
        expected: "expected a name of 1 to 249 of a-z A-Z 0-9 . _ - (not . or ..) and 1 to 1024 \
                   partitions",
    })
}

/// Whether a topic can be called that.
pub(crate) fn is_name(topic: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&topic.len())
        && topic.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        && topic != "."
        && topic != ".."
}
