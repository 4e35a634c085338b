//! The suite that every adapter of the port passes.
//!
//! It asks only for what the port promises: scans in any order that may have to be tried again,
//! removals that may take a moment, lanes of others beside its own. An adapter's tests give it a
//! [`Harness`] and call [`online_store_conformance!`](crate::online_store_conformance).

pub mod commit;
pub mod durability;
mod helpers;
pub mod isolation;
pub mod page;
pub mod read;
pub mod scan;

use std::sync::Arc;

use async_trait::async_trait;
use record::LaneId;

use crate::OnlineStore;

/// How the suite gets at an adapter.
#[async_trait]
pub trait Harness: Send + Sync {
    /// Opens the store; called again, after the first one was dropped, it is what a restarted
    /// process would see.
    async fn open(&self) -> Arc<dyn OnlineStore>;

    /// A lane that nobody has used.
    fn lane(&self) -> LaneId;
}

/// One test per case of the suite: `online_store_conformance!(EXPRESSION)`, where the expression
/// makes a [`Harness`](crate::conformance::Harness). Attributes behind the expression,
/// such as `#[ignore = "needs a server"]`, are put on every test. The caller has `tokio` with its macros.
#[macro_export]
macro_rules! online_store_conformance {
    ($harness:expr $(, #[$attribute:meta])*) => {
        $crate::online_store_conformance!(@cases [$(#[$attribute])*] $harness,
            commit: the_first_commit_expects_nothing, commits_follow_each_other,
                a_lost_reply_is_recognised, gaps_and_replays_are_refused,
                a_commit_may_stay_where_it_is, unclaimed_commits_are_fenced,
                a_claim_fences_the_one_before, a_claim_returns_the_head,
                a_refused_commit_writes_nothing, the_last_of_equal_keys_counts,
                too_large_is_refused_whole, one_of_racing_commits_wins,
                claims_and_commits_may_race;
            read: what_was_never_committed_is_nothing, absent_keys_have_the_heads_position,
                keys_and_values_are_any_bytes, values_stand_in_the_order_of_the_keys,
                none_removes_a_key, many_keys_at_once, derived_values_are_apart,
                reads_see_one_commit, derived_reads_see_one_commit;
            scan: a_scan_shows_every_state_once, an_empty_scan_has_no_head,
                racing_scans_see_one_commit_or_say_so;
            page: a_walk_shows_every_state, an_empty_walk_has_no_head,
                a_walk_goes_on_while_states_come_and_go;
            isolation: lanes_and_partitions_are_apart, lanes_lists_what_has_a_head,
                removal_takes_one_lane_whole, a_removed_lane_can_come_back;
            durability: commits_and_owners_survive_reopening, removals_survive_reopening;
        );
    };
    (@cases $attributes:tt $harness:expr, $($module:ident: $($case:ident),+;)+) => {
        $(mod $module {
            use super::*;
            $($crate::online_store_conformance!(@case $attributes $harness, $module, $case);)+
        })+
    };
    (@case [$($attribute:tt)*] $harness:expr, $module:ident, $case:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        $($attribute)*
        async fn $case() {
            $crate::conformance::$module::$case(&$harness).await;
        }
    };
}
