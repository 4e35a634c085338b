use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use async_trait::async_trait;
use embedded::{Database, Options};
use event_log::conformance::Harness;
use event_log::{Embedded, EventLog, Settings};
use record::AppendTime;

/// A data directory that is thrown away.
pub(crate) struct Directory {
    directory: tempfile::TempDir,
    settings: Settings,
}

impl Directory {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), settings: settings() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn open(&self) -> Embedded {
        Embedded::open(&Database::open(self.path()).unwrap(), self.settings.clone()).unwrap()
    }
}

/// A clock that goes back now and then, and ids that count.
pub(crate) fn settings() -> Settings {
    let ticks = AtomicI64::new(0);
    let ids = AtomicU64::new(1);
    Settings {
        clock: Arc::new(move || {
            let tick = ticks.fetch_add(1, Ordering::SeqCst);
            AppendTime(1_700_000_000_000 + tick - if tick % 5 == 4 { 60_000 } else { 0 })
        }),
        entropy: Arc::new(move || u128::from(ids.fetch_add(1, Ordering::SeqCst)).to_be_bytes()),
    }
}

/// Opens an embedded log in `directory`.
pub(crate) fn open(directory: &Path, options: Options) -> Embedded {
    Embedded::open(&Database::open_with(directory, options).unwrap(), settings()).unwrap()
}

#[async_trait]
impl Harness for Directory {
    async fn open(&self) -> Arc<dyn EventLog> {
        Arc::new(self.open())
    }

    async fn delete(&self, topic: &str) {
        self.open().delete(topic).await.unwrap();
    }

    fn topic(&self, of: &str) -> String {
        of.to_owned()
    }
}
