//! What a topic may be, in every adapter.

pub(crate) use record::is_topic_name as is_name;

use crate::Error;

/// The most partitions of a topic.
const PARTITIONS_MAX: u32 = 1024;

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
