//! The suite that every adapter of the port passes.
//!
//! It asks only for what the port promises: offsets rise but may have gaps, what was appended may
//! become visible a little later, topics of one suite share a cluster with others. An adapter's
//! tests give it a [`Harness`] and call [`event_log_conformance!`](crate::event_log_conformance).

pub mod append;
pub mod durability;
mod helpers;
pub mod membership;
pub mod read;
pub mod topics;

use std::sync::Arc;

use async_trait::async_trait;

use crate::EventLog;

/// How the suite gets at an adapter.
#[async_trait]
pub trait Harness: Send + Sync {
    /// Opens the log; called again, after the first one was dropped, it is what a restarted process
    /// would see.
    async fn open(&self) -> Arc<dyn EventLog>;

    /// Deletes a topic, by whatever means the log has; returns when it is gone.
    async fn delete(&self, topic: &str);

    /// A name that no other test uses; nor does another test join the group of the logs that are opened.
    fn topic(&self, of: &str) -> String;
}

/// One test per case of the suite: `event_log_conformance!(EXPRESSION)`, where the expression makes
/// a [`Harness`](crate::conformance::Harness); `event_log_conformance!(EXPRESSION, ignore = "why")`
/// gives each test that attribute. The caller has `tokio` with its macros.
#[macro_export]
macro_rules! event_log_conformance {
    ($harness:expr) => {
        $crate::event_log_conformance!(@suite [] $harness);
    };
    ($harness:expr, $attribute:meta) => {
        $crate::event_log_conformance!(@suite [#[$attribute]] $harness);
    };
    (@suite $attributes:tt $harness:expr) => {
        $crate::event_log_conformance!(@cases $attributes $harness,
            topics: create_returns_what_exists, unknown_topics_are_errors, partitions_are_fixed,
                bad_topics_are_refused, a_recreated_topic_is_another_log;
            append: one_outcome_per_record_in_order, the_key_chooses_the_partition,
                keys_and_values_are_any_bytes, traces_come_back_with_their_records,
                too_large_records_are_refused_alone,
                append_times_never_go_back, concurrent_appenders_lose_nothing,
                an_empty_append_is_nothing;
            read: readers_start_anywhere, readers_take_at_most_what_they_ask_for,
                positions_outside_are_errors, an_empty_partition_waits, an_append_wakes_readers,
                a_dropped_read_loses_nothing, large_batches_arrive_whole,
                partitions_do_not_mix, readers_after_others_start_where_they_are_told,
                readers_reach_the_end_of_the_bounds;
            durability: what_was_acknowledged_is_there_after_reopening,
                offsets_go_on_after_reopening, log_ids_survive_reopening;
            membership: who_is_alone_has_every_partition,
                who_comes_after_one_that_left_has_every_partition, hints_move_no_reader,
                unknown_topics_have_no_members;
        );
    };
    (@cases $attributes:tt $harness:expr, $($module:ident: $($case:ident),+;)+) => {
        $(mod $module {
            use super::*;
            $($crate::event_log_conformance!(@case $attributes $harness, $module, $case);)+
        })+
    };
    (@case [$($attribute:tt)*] $harness:expr, $module:ident, $case:ident) => {
        $($attribute)*
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            $crate::conformance::$module::$case(&$harness).await;
        }
    };
}
