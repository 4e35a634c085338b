//! How far an updater's partitions are covered, for those who watch the group's lag.

use std::collections::BTreeMap;
use std::sync::Arc;

use event_log::Share;
use record::Offset;

use super::SourceLanes;
use super::shared::Shared;

/// Where every lane of a share is at least, for those that the updater works on.
pub(super) fn covered(shared: &Shared, sources: &[Arc<SourceLanes>]) -> Vec<(Share, Offset)> {
    let mut covered: BTreeMap<Share, Offset> = BTreeMap::new();
    for source in sources {
        let topic: Arc<str> = source.source.topic.as_str().into();
        for (lane, partition, _) in source.each() {
            let progress = shared.slot(lane.id, partition).borrow();
            if progress.held && progress.head.is_some() {
                let share = Share { topic: Arc::clone(&topic), partition };
                let next = covered.entry(share).or_insert(Offset(u64::MAX));
                *next = (*next).min(progress.next());
            }
        }
    }
    covered.into_iter().collect()
}
