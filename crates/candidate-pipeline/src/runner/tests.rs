//! Late stages never finish at all, so that these tests hang on no machine's speed.

use async_trait::async_trait;

use super::*;
use crate::{OnFailure, Patch, top_k};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    Answers,
    Fails,
    Hangs,
    /// Takes this many milliseconds.
    Takes(u64),
    /// Computes for this many milliseconds without awaiting anything.
    Computes(u64),
}

impl Act {
    async fn act<T>(self, value: T) -> Result<T, Cause> {
        match self {
            Self::Answers => Ok(value),
            Self::Fails => Err(Cause("broken".to_owned())),
            Self::Hangs => std::future::pending().await,
            Self::Takes(ms) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Ok(value)
            }
            Self::Computes(ms) => {
                std::thread::sleep(Duration::from_millis(ms));
                Ok(value)
            }
        }
    }
}

/// A stage of any verb.
struct Stage(&'static str, Act);
struct Even(Act, OnFailure);
struct Popular;
struct Best;

type Item = (u32, Option<f32>);

#[async_trait]
impl Hydrator<Vec<&'static str>> for Stage {
    fn name(&self) -> &str {
        self.0
    }
    async fn hydrate(&self, _: &Vec<&'static str>) -> Result<Patch<Vec<&'static str>>, Cause> {
        let name = self.0;
        self.1
            .act(Box::new(move |query: &mut Vec<&'static str>| query.push(name)) as Patch<_>)
            .await
    }
}

#[async_trait]
impl Source<Vec<&'static str>, Item> for Stage {
    fn name(&self) -> &str {
        self.0
    }
    async fn source(&self, _: &Vec<&'static str>) -> Result<Vec<Item>, Cause> {
        self.1.act((1..=6).map(|item| (item, None)).collect()).await
    }
}

#[async_trait]
impl Scorer<Vec<&'static str>, Item> for Stage {
    fn name(&self) -> &str {
        self.0
    }
    async fn score(&self, _: &Vec<&'static str>, _: &[Item]) -> Result<Patch<[Item]>, Cause> {
        let patch = |items: &mut [Item]| {
            items.iter_mut().for_each(|item| item.1 = Some(item.0 as f32));
        };
        self.1.act(Box::new(patch) as Patch<_>).await
    }
}

impl Filter<Vec<&'static str>, Item> for Even {
    fn name(&self) -> &str {
        "even"
    }
    fn on_failure(&self) -> OnFailure {
        self.1
    }
    fn filter(&self, _: &Vec<&'static str>, items: &[Item]) -> Result<Vec<bool>, Cause> {
        match self.0 {
            Act::Answers => Ok(items.iter().map(|item| item.0 % 2 == 0).collect()),
            _ => Err(Cause("broken".to_owned())),
        }
    }
}

impl Fallback<Vec<&'static str>, Item> for Popular {
    fn candidates(&self, _: &Vec<&'static str>) -> Vec<Item> {
        vec![(11, None), (12, None)]
    }
}

impl Fuser<Vec<&'static str>, Item> for Best {
    fn fuse(&self, _: &Vec<&'static str>, lists: Vec<(&str, Vec<Item>)>) -> Vec<Item> {
        let mut items: Vec<Item> = lists.into_iter().flat_map(|(_, list)| list).collect();
        items.sort_by_key(|item| item.0);
        items.dedup();
        items
    }
}

impl Selector<Vec<&'static str>, Item> for Best {
    fn select(&self, _: &Vec<&'static str>, items: Vec<Item>) -> Selection<Item> {
        top_k(items, 2, |item| item.1)
    }
}

fn pipeline(
    hydrate: Act,
    source: [Act; 2],
    filter: (Act, OnFailure),
    score: Act,
) -> Pipeline<Vec<&'static str>, Item> {
    Pipeline {
        hydrators: vec![Arc::new(Stage("state", hydrate))],
        sources: vec![Arc::new(Stage("one", source[0])), Arc::new(Stage("two", source[1]))],
        fuser: Arc::new(Best),
        filters: vec![Arc::new(Even(filter.0, filter.1))],
        scorers: vec![Arc::new(Stage("model", score))],
        selector: Arc::new(Best),
        fallback: Arc::new(Popular),
        caps: Caps {
            hydrate: Duration::from_millis(20),
            source: Duration::from_millis(20),
            score: Duration::from_millis(20),
        },
    }
}

async fn run(pipeline: &Pipeline<Vec<&'static str>, Item>) -> Run<Vec<&'static str>, Item> {
    pipeline.run(Vec::new(), Instant::now() + Duration::from_secs(5)).await
}

const KEEP: (Act, OnFailure) = (Act::Answers, OnFailure::Keep);

fn items(run: &Run<Vec<&'static str>, Item>) -> Vec<u32> {
    run.selection.selected.iter().map(|item| item.0).collect()
}

#[tokio::test]
async fn everything_in_time_is_scored_best_first() {
    let run = run(&pipeline(Act::Answers, [Act::Answers; 2], KEEP, Act::Answers)).await;
    assert_eq!(items(&run), [6, 4]);
    assert_eq!(run.query, ["state"]);
    assert_eq!(run.outcomes.degraded().count(), 0);
    assert_eq!(run.selection.rest.len(), 1);
}

#[tokio::test]
async fn a_late_source_is_left_out_and_named() {
    let run = run(&pipeline(Act::Answers, [Act::Hangs, Act::Answers], KEEP, Act::Answers)).await;
    assert_eq!(items(&run), [6, 4]);
    assert_eq!(run.outcomes.of("source", "one").unwrap().verdict, Verdict::TimedOut);
    assert_eq!(run.outcomes.degraded().count(), 1);
}

#[tokio::test]
async fn a_late_scorer_leaves_the_order_of_fusion() {
    let run = run(&pipeline(Act::Answers, [Act::Answers; 2], KEEP, Act::Hangs)).await;
    assert_eq!(items(&run), [2, 4]);
    assert_eq!(run.outcomes.of("score", "model").unwrap().verdict, Verdict::TimedOut);
}

#[tokio::test]
async fn without_candidates_the_fallback_answers_and_is_filtered() {
    let run = run(&pipeline(Act::Fails, [Act::Fails, Act::Hangs], KEEP, Act::Answers)).await;
    assert_eq!(items(&run), [12]);
    assert!(run.fell_back);
    let failed = Verdict::Failed(Cause("broken".to_owned()));
    assert_eq!(run.outcomes.of("hydrate", "state").unwrap().verdict, failed);
}

#[tokio::test]
async fn filters_fail_open_or_closed_as_they_say() {
    let broken = |on_failure| {
        pipeline(Act::Answers, [Act::Answers; 2], (Act::Fails, on_failure), Act::Answers)
    };
    let open = run(&broken(OnFailure::Keep)).await;
    assert_eq!(items(&open), [6, 5]);
    assert_eq!(open.outcomes.degraded().count(), 1);
    let closed = run(&broken(OnFailure::Drop)).await;
    assert!(items(&closed).is_empty(), "not even the fallback passes a closed filter");
}

/// The source takes ten times its cap, which the hydrator did not use.
#[tokio::test]
async fn unused_time_carries_over() {
    let mut pipeline = pipeline(Act::Answers, [Act::Takes(200), Act::Answers], KEEP, Act::Answers);
    pipeline.caps.hydrate = Duration::from_secs(4);
    let run = run(&pipeline).await;
    assert_eq!(run.outcomes.of("source", "one").unwrap().verdict, Verdict::Ok);
}

/// Nothing can cut such a stage, so its end lies behind it whatever the machine's speed is.
#[tokio::test]
async fn what_is_done_after_its_end_is_late() {
    let late = |hydrate, source, score| async move {
        let mut pipeline = pipeline(hydrate, [Act::Answers, source], KEEP, score);
        pipeline.caps = Caps {
            hydrate: Duration::from_millis(400),
            source: Duration::ZERO,
            score: Duration::ZERO,
        };
        run(&pipeline).await
    };
    let computes = Act::Computes(450);
    let hydrated = late(computes, Act::Answers, Act::Answers).await;
    assert_eq!(hydrated.outcomes.of("hydrate", "state").unwrap().verdict, Verdict::TimedOut);
    assert!(hydrated.query.is_empty(), "a late patch is not applied");
    let sourced = late(Act::Answers, computes, Act::Answers).await;
    let source = sourced.outcomes.of("source", "two").unwrap();
    assert_eq!((&source.verdict, source.candidates), (&Verdict::TimedOut, 0));
    assert_eq!(sourced.outcomes.of("source", "one").unwrap().verdict, Verdict::Ok);
    let scored = late(Act::Answers, Act::Answers, computes).await;
    assert_eq!(scored.outcomes.of("score", "model").unwrap().verdict, Verdict::TimedOut);
    assert_eq!(items(&scored), [2, 4], "the order of fusion");
}

#[tokio::test]
async fn no_time_at_all_is_answered_by_the_fallback() {
    let pipeline = pipeline(Act::Answers, [Act::Answers; 2], KEEP, Act::Answers);
    let run = pipeline.run(Vec::new(), Instant::now()).await;
    assert_eq!(items(&run), [12]);
    assert_eq!(run.outcomes.of("source", "two").unwrap().verdict, Verdict::Skipped);
}

#[tokio::test]
async fn whatever_the_stages_do_there_is_an_answer_in_time() {
    let acts = [Act::Answers, Act::Fails, Act::Hangs];
    let combinations = (0..27).map(|n| (acts[n / 9], acts[n / 3 % 3], acts[n % 3]));
    for (hydrate, source, score) in combinations {
        let pipeline = pipeline(hydrate, [source; 2], KEEP, score);
        let run = tokio::time::timeout(Duration::from_secs(10), run(&pipeline)).await;
        let run = run.expect("answered, though no stage that hangs ever ends");
        assert!(!items(&run).is_empty());
        let degraded = [hydrate, source, source].iter().filter(|act| **act != Act::Answers).count();
        let unscored = usize::from(score != Act::Answers && source == Act::Answers);
        assert_eq!(run.outcomes.degraded().count(), degraded + unscored);
    }
}
