//! What shapes answers, and the bounds of everything that waits.

use std::time::Duration;

use candidate_pipeline::Caps;
use documented::Documented;
use runtime::settings::Invalid;
use serde::{Deserialize, Serialize};

/// Settings of the service, section `service`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Documented)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Model definition whose sources and inputs are used.
    pub model: String,
    /// Longest time for an answer, in milliseconds; a caller's `grpc-timeout` may only shorten it.
    pub deadline_ms: u64,
    /// What is kept of the deadline for the way back, in milliseconds.
    pub margin_ms: u64,
    /// Time for reading the visitor's state, in milliseconds.
    pub hydrate_ms: u64,
    /// Time for all sources, in milliseconds.
    pub source_ms: u64,
    /// Time for scoring, in milliseconds.
    pub score_ms: u64,
    /// Longest wait for positions that a caller wants covered, in milliseconds.
    pub wait_positions_ms: u64,
    /// Hits that each source gives at most.
    pub per_source: usize,
    /// Candidates that are scored at most.
    pub pool_max: usize,
    /// Items of an answer at most.
    pub k_max: u32,
    /// Whether filters run. Only an evaluation may turn them off.
    pub filters: bool,
    /// Surfaces on which items that the visitor has seen are kept.
    pub keep_seen_surfaces: Vec<String>,
    /// Accepts `as_of_us` and arm overrides and lifts the 100 ms: for evaluations in a realm of their
    /// own, never for shoppers.
    pub evaluation: bool,
    /// Key that cursors are signed with; the same on every replica.
    pub cursor_key: String,
    /// Topic of what was served.
    pub served_topic: String,
    /// Responses that wait to be written to it; beyond that they are dropped and counted.
    pub served_queue_max: usize,
    /// How long a response is tried to be written to it while the log is unavailable, in milliseconds;
    /// then it is given up and counted. Meanwhile others wait.
    pub served_retry_limit_ms: u64,
    /// Candidates that were not served, in each record.
    pub unserved_sample: usize,
    /// Requests at once: the least that the adaptive limit goes down to.
    pub concurrency_min: u32,
    /// Requests at once: the most that the adaptive limit goes up to.
    pub concurrency_max: u32,
    /// Latency above which the adaptive limit goes down, in milliseconds.
    pub latency_target_ms: u64,
    /// Requests per second of one client address.
    pub client_per_s: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: "ranker".to_owned(),
            deadline_ms: 100,
            margin_ms: 10,
            hydrate_ms: 25,
            source_ms: 25,
            score_ms: 40,
            wait_positions_ms: 20,
            per_source: 100,
            pool_max: 200,
            k_max: 200,
            filters: true,
            keep_seen_surfaces: vec!["history".to_owned()],
            evaluation: false,
            cursor_key: "twofold".to_owned(),
            served_topic: "served".to_owned(),
            served_queue_max: 4096,
            served_retry_limit_ms: 60_000,
            unserved_sample: 20,
            concurrency_min: 4,
            concurrency_max: 512,
            latency_target_ms: 50,
            client_per_s: 5_000,
        }
    }
}

/// What an evaluation waits at most for anything, in milliseconds.
const EVALUATION_MS: u64 = 60_000;
const KEY: &str = "service";

impl Settings {
    /// The settings of an evaluation: no filter, no hurry, `as_of_us` accepted.
    #[must_use]
    pub fn evaluation(self) -> Self {
        Self {
            evaluation: true,
            filters: false,
            deadline_ms: EVALUATION_MS,
            hydrate_ms: EVALUATION_MS,
            source_ms: EVALUATION_MS,
            score_ms: EVALUATION_MS,
            wait_positions_ms: EVALUATION_MS / 2,
            latency_target_ms: EVALUATION_MS,
            client_per_s: u32::MAX,
            ..self
        }
    }

    /// Checks what types cannot say.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn check(&self) -> Result<(), Invalid> {
        let wrong = |key: &str, what: &str, remedy: &str| {
            Err(Invalid::new(&format!("{KEY}.{key}"), what, remedy))
        };
        if !self.evaluation && !(2..=100).contains(&self.deadline_ms) {
            return wrong("deadline_ms", "is out of range", "give 2 to 100");
        }
        if self.margin_ms >= self.deadline_ms {
            return wrong("margin_ms", "leaves no time", "give less than deadline_ms");
        }
        if !self.evaluation && !self.filters {
            return wrong("filters", "is off outside an evaluation", "remove it");
        }
        if !(1..=10_000).contains(&self.pool_max) || self.per_source == 0 {
            return wrong("pool_max", "is out of range", "give 1 to 10000, per_source at least 1");
        }
        if self.k_max == 0 || self.k_max as usize > self.pool_max {
            return wrong("k_max", "is out of range", "give 1 to pool_max");
        }
        if self.served_queue_max == 0 {
            return wrong("served_queue_max", "is 0", "give at least 1");
        }
        if self.concurrency_min == 0 || self.concurrency_min > self.concurrency_max {
            return wrong("concurrency_min", "is out of range", "give 1 to concurrency_max");
        }
        if self.cursor_key.is_empty() {
            return wrong("cursor_key", "is empty", "give a secret, the same on every replica");
        }
        if self.client_per_s == 0 {
            return wrong("client_per_s", "is 0", "give at least 1");
        }
        Ok(())
    }

    /// BLAKE3 of what shapes answers, lower-case hex: recorded with every answer, and answers of another
    /// hash are not searched again by a replay. It shapes answers if, changed between two answers that
    /// were not degraded, it can change values, candidates or the list. What decides when and to whom an
    /// answer is given, and what is kept of it, does not: a degraded answer and a record say that
    /// themselves.
    #[must_use]
    pub fn hash(&self) -> String {
        #[derive(Serialize)]
        struct Shaping<'a> {
            model: &'a str,
            per_source: usize,
            pool_max: usize,
            /// An absent `k` means at most this.
            k_max: u32,
            filters: bool,
            keep_seen_surfaces: &'a [String],
        }
        let shaping = Shaping {
            model: &self.model,
            per_source: self.per_source,
            pool_max: self.pool_max,
            k_max: self.k_max,
            filters: self.filters,
            keep_seen_surfaces: &self.keep_seen_surfaces,
        };
        let json = serde_json::to_vec(&shaping).expect("settings are plain data");
        blake3::hash(&json).to_hex().to_string()
    }

    pub(super) fn caps(&self) -> Caps {
        let ms = Duration::from_millis;
        Caps { hydrate: ms(self.hydrate_ms), source: ms(self.source_ms), score: ms(self.score_ms) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Change what is answered.
    const SHAPING: [&str; 6] =
        ["model", "per_source", "pool_max", "k_max", "filters", "keep_seen_surfaces"];
    /// Change when, to whom and whether at all, or what is kept of it.
    const OTHERS: [&str; 16] = [
        "deadline_ms",
        "margin_ms",
        "hydrate_ms",
        "source_ms",
        "score_ms",
        "wait_positions_ms",
        "evaluation",
        "cursor_key",
        "served_topic",
        "served_queue_max",
        "served_retry_limit_ms",
        "unserved_sample",
        "concurrency_min",
        "concurrency_max",
        "latency_target_ms",
        "client_per_s",
    ];

    fn changed(value: &Value) -> Value {
        match value {
            Value::Bool(value) => json!(!value),
            Value::Number(value) => json!(value.as_u64().unwrap() + 1),
            Value::String(value) => json!(format!("{value}x")),
            Value::Array(values) => json!([values.clone(), vec![json!("x")]].concat()),
            other => panic!("no setting is {other}"),
        }
    }

    /// A new setting has to be put into one of the groups.
    #[test]
    fn only_what_shapes_answers_is_in_the_hash() {
        let settings = serde_json::to_value(Settings::default()).unwrap();
        let settings = settings.as_object().unwrap();
        let mut grouped: Vec<&str> = SHAPING.into_iter().chain(OTHERS).collect();
        grouped.sort_unstable();
        let mut fields: Vec<&str> = settings.keys().map(String::as_str).collect();
        fields.sort_unstable();
        assert_eq!(fields, grouped, "each setting is in one group");
        for (key, value) in settings {
            let mut other = settings.clone();
            other[key] = changed(value);
            let other: Settings = serde_json::from_value(other.into()).unwrap();
            let differs = other.hash() != Settings::default().hash();
            assert_eq!(differs, SHAPING.contains(&key.as_str()), "{key}");
        }
    }
}
