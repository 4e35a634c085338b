use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use embedded::{Database, Options, SyncMode};
use online_store::conformance::Harness;
use online_store::{Embedded, OnlineStore, Settings};
use record::LaneId;

/// A data directory that is thrown away.
pub(crate) struct Directory {
    directory: tempfile::TempDir,
    options: Options,
    settings: Settings,
    lanes: AtomicU64,
}

impl Directory {
    pub(crate) fn new(sync: SyncMode, durable_commits: bool) -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            options: Options { sync, ..Options::default() },
            settings: Settings { durable_commits },
            lanes: AtomicU64::new(1),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn open(&self) -> Embedded {
        let database = Database::open_with(self.path(), self.options.clone()).unwrap();
        Embedded::open(&database, self.settings).unwrap()
    }
}

#[async_trait]
impl Harness for Directory {
    async fn open(&self) -> Arc<dyn OnlineStore> {
        Arc::new(self.open())
    }

    fn lane(&self) -> LaneId {
        LaneId(self.lanes.fetch_add(1, Ordering::SeqCst).to_be_bytes())
    }
}
