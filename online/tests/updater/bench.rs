//! The benchmark measures what it says: everything is drained, everything that is offered becomes visible.

use online::updater::bench::{Live, Paced, drain};
use record::EventTime;
use runtime::clock::Clock;

use crate::events::view;
use crate::replay::{digests, fresh_digests};
use crate::world::{World, block_on, settings};

const TOPIC: &str = "clickstream";

#[test]
fn everything_is_drained_and_everything_offered_is_seen() {
    block_on(async {
        let world = World::new(61).await;
        let at = world.clock.now();
        let record = |n: i64| {
            let (visitor, item) = (format!("v{}", n % 40), format!("i{}", n % 7));
            view(&format!("b{n}"), &visitor, &item, EventTime(at.0 + n))
        };
        let clock = Clock::system();
        let records = (0..2000).map(record).collect();
        let drained = drain(settings(), world.parts(), &clock, TOPIC, records).await.unwrap();
        assert_eq!(drained.counters.records, 2000);
        assert!(drained.events_per_s > 0.0 && drained.appended_per_s > 0.0);
        assert!(drained.counters.state_bytes_written > 10 * drained.counters.states_written);

        let mut live = Live::start(settings(), world.parts(), &clock, TOPIC).await.unwrap();
        let start = clock.monotonic();
        let sustained = live.sustained((2000..4500).map(record).collect()).await.unwrap();
        let took_s = (clock.monotonic() - start).as_secs_f64();
        assert!(sustained >= 2500.0 / took_s, "{sustained} in {took_s} s");

        let records = (4500..4800).map(record).collect();
        let start = clock.monotonic();
        let visible = live.visible(Paced { records, per_second: 1000.0 }).await.unwrap();
        let took_ms = (clock.monotonic() - start).as_secs_f64() * 1000.0;
        live.stop().await.unwrap();
        assert!(took_ms >= 299.0, "as fast as was asked, no faster: {took_ms}");
        assert_eq!(visible.invisible, 0);
        for times in [visible.since_due, visible.appended] {
            assert!(times.ms_p50 > 0.0 && times.ms_p50 <= times.ms_p99, "{visible:?}");
            assert!(times.ms_p99 <= times.ms_max && times.ms_max < took_ms, "{visible:?}");
        }
        assert!(visible.since_appended.ms_max <= visible.since_due.ms_max, "{visible:?}");
        let stored = digests(world.store.as_ref(), &world.lanes).await;
        assert_eq!(stored, fresh_digests(&world, 500).await);
    });
}
