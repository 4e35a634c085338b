//! Whether the shop says what its stock is: whether the topic that says so ever held a record. A lane
//! cannot tell: a new one is empty, too, and one whose every record was refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use event_log::EventLog;

/// How often an empty topic is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// The topic, until it is not empty.
pub(super) struct Catalogue {
    log: Arc<dyn EventLog>,
    topic: String,
    exists: AtomicBool,
}

impl Catalogue {
    /// Looks for the first time.
    pub(super) async fn open(
        log: Arc<dyn EventLog>,
        topic: String,
    ) -> Result<Arc<Self>, event_log::Error> {
        let this = Self { log, topic, exists: AtomicBool::new(false) };
        this.look().await?;
        Ok(Arc::new(this))
    }

    /// Whether it was seen to hold, or to have held, a record.
    pub(super) fn exists(&self) -> bool {
        self.exists.load(Ordering::Relaxed)
    }

    /// Looks until there is one.
    pub(super) async fn follow(self: Arc<Self>) {
        while !self.exists() {
            tokio::time::sleep(EVERY).await;
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "whether there is a catalogue cannot be said");
            }
        }
    }

    async fn look(&self) -> Result<(), event_log::Error> {
        let bounds = self.log.bounds(&self.topic).await?;
        if bounds.iter().any(|bounds| bounds.next.0 > 0) {
            self.exists.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}
