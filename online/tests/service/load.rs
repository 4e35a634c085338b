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
    const PER_S: u32 = 20;
    let settings = online::service::Settings { client_per_s: PER_S, ..Setup::default().settings };
    let world = World::start(Setup { settings, ..Setup::default() }).await;
    let clock = runtime::clock::Clock::system();
    let start = clock.monotonic();
    let (mut answered, mut refused) = (0_u32, 0_u64);
    // One after the other, so that the global limit has nothing to say.
    for _ in 0..300 {
        match world.recommend(ask("ann")).await {
            Ok(_) => answered += 1,
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted);
                assert!(status.message().contains("from one client"), "{status}");
                refused += 1;
            }
        }
    }
    // A second's worth at once, then what comes back as time goes by: ten times the quota, or a tenth,
    // lies outside.
    let came_back = (clock.monotonic() - start).as_secs_f64() * f64::from(PER_S);
    let quota = f64::from(PER_S)..=f64::from(PER_S) + came_back + 1.0;
    assert!(quota.contains(&f64::from(answered)), "{answered} answered, {quota:?}");
    assert_eq!(world.handle.metrics.snapshot().shed, refused);
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
