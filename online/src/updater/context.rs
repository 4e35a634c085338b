use std::sync::Arc;

use event_log::EventLog;
use online_store::OnlineStore;
use runtime::clock::Clock;
use runtime::entropy::Entropy;

use super::Settings;
use super::shared::Shared;

/// What every task of an updater works with.
pub(super) struct Context {
    pub(super) settings: Settings,
    pub(super) log: Arc<dyn EventLog>,
    pub(super) store: Arc<dyn OnlineStore>,
    pub(super) entropy: Entropy,
    pub(super) clock: Clock,
    pub(super) shared: Arc<Shared>,
    /// What one (lane, partition) may hold in memory, in bytes.
    pub(super) memory_bytes_each: usize,
}
