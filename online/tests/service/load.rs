//! More than can be answered is refused at once, with the time to come back.

use tonic::Code;

use crate::world::{Setup, World, ask};

#[tokio::test(flavor = "multi_thread")]
async fn too_many_at_once_are_shed() {
    let settings = online::service::Settings {
        concurrency_min: 1,
        concurrency_max: 2,
        ..Setup::default().settings
    };
    let world = World::start(Setup { settings, ..Setup::default() }).await;
    world.store_reads.hang(true);
    let calls = (0..20).map(|_| world.recommend(ask("ann")));
    let results = futures::future::join_all(calls).await;
    let refused: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert!(!refused.is_empty() && refused.len() < 20, "{} refused", refused.len());
    for status in &refused {
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(!status.details().is_empty(), "says when to come back");
    }
    assert_eq!(world.handle.metrics.snapshot().shed, refused.len() as u64);
    world.store_reads.hang(false);
    assert!(world.recommend(ask("ann")).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_has_a_quota() {
    let settings = online::service::Settings { client_per_s: 3, ..Setup::default().settings };
    let world = World::start(Setup { settings, ..Setup::default() }).await;
    let calls = (0..50).map(|_| world.recommend(ask("ann")));
    let results = futures::future::join_all(calls).await;
    let answered = results.iter().filter(|result| result.is_ok()).count();
    assert!((1..50).contains(&answered), "{answered}");
    assert_eq!(world.handle.metrics.snapshot().shed, 50 - answered as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_load_generator_counts_what_it_sent() {
    let world = World::start(Setup::default()).await;
    let load = online::service::bench::Load {
        visitors: vec!["ann".to_owned(), "bob".to_owned()],
        k: 5,
        requests: 40,
    };
    let clock = runtime::clock::Clock::system();
    let phases = online::service::bench::run(&world.channel, &world.handle, &clock, &load).await;
    let names: Vec<&str> = phases.iter().map(|phase| phase.name).collect();
    assert_eq!(names, ["one-client", "saturated", "half"]);
    for phase in &phases {
        assert_eq!(phase.tiers.values().sum::<usize>() + phase.refused, 40, "{phase:?}");
        assert!(phase.candidates >= 5.0, "{phase:?}");
        assert!(phase.p99_us >= phase.p50_us && phase.p50_us > 0.0, "{phase:?}");
        assert!(phase.stages.contains_key("total") && phase.stages.contains_key("covisit"));
    }
}
