//! The benchmark measures what it says: everything is drained, every probe becomes visible.

use online::updater::bench::{Load, bench};
use record::EventTime;
use runtime::clock::Clock;

use crate::events::view;
use crate::replay::{digests, fresh_digests};
use crate::world::{World, block_on, settings};

#[test]
fn everything_is_drained_and_every_probe_is_seen() {
    block_on(async {
        let world = World::new(61).await;
        let at = world.clock.now();
        let record = |n: i64| {
            let (visitor, item) = (format!("v{}", n % 40), format!("i{}", n % 7));
            view(&format!("b{n}"), &visitor, &item, EventTime(at.0 + n))
        };
        let load = Load {
            topic: "clickstream".to_owned(),
            records: (0..2000).map(record).collect(),
            probes: (2000..2020).map(record).collect(),
        };
        let report = bench(settings(), world.parts(), &Clock::system(), load).await.unwrap();
        assert_eq!((report.records, report.invisible), (2000, 0));
        assert!(report.events_per_s > 0.0 && report.visible_ms_p99 >= report.visible_ms_p50);
        assert!(report.visible_ms_p50 > 0.0, "{report:?}");
        let stored = digests(world.store.as_ref(), &world.lanes).await;
        assert_eq!(stored, fresh_digests(&world, 500).await);
    });
}
