use serde::{Deserialize, Serialize};

/// When something happened, in microseconds since the Unix epoch, UTC.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct EventTime(pub i64);

/// When the log took a record, in milliseconds since the Unix epoch, by the log's own clock.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct AppendTime(pub i64);

impl EventTime {
    /// The earliest time that can be written; the watermark of a partition that has seen nothing.
    pub const MIN: Self = Self(i64::MIN);

    /// This time moved by `micros`, clamped to the range of the type.
    #[must_use]
    pub fn plus(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Effective time of an event: the log cannot have taken it before it happened.
    #[must_use]
    pub fn effective(self, append: AppendTime) -> Self {
        self.min(append.as_event_time())
    }
}

impl AppendTime {
    /// The same instant in the finer unit of event times.
    #[must_use]
    pub fn as_event_time(self) -> EventTime {
        EventTime(self.0.saturating_mul(1000))
    }
}
