//! Tracks and asks, step by step, over gRPC.

use std::collections::HashSet;
use std::sync::Arc;

use candidates::baseline::{self, Baseline};
use candidates::index::Session;
use futures::stream::{self, StreamExt, TryStreamExt};
use online::service::MODEL_EXPERIMENT;
use runtime::exit::{Code, With};
use tonic::transport::Channel;
use wire::v1;
use wire::v1::recommender_client::RecommenderClient;
use wire::v1::tracker_client::TrackerClient;

use super::{K, Position, Step};

/// Steps that are tracked together at most.
const WINDOW: usize = 64;
/// Requests at once.
const CONCURRENCY: usize = 8;
const SOURCE: &str = "clickstream";

/// The recommenders that twofold is compared with.
pub(crate) struct Baselines([Baseline; 3]);

impl Baselines {
    /// Fits popularity, SR and AR.
    pub(crate) fn fit(training: &[Session]) -> Self {
        Self([baseline::popularity(training), baseline::sr(training), baseline::ar(training)])
    }

    /// Whether an item occurs in training.
    pub(crate) fn knows(&self, item: &str) -> bool {
        self.0[0].catalogue().ordinal(item).is_some()
    }
}

/// How steps are replayed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replay {
    /// Items that are asked for without a model, so that the recall of the candidates can be seen.
    pub(crate) pool: u32,
    /// Time that steps which are tracked together may span: so far below the allowed lateness that no
    /// watermark passes a step's own time, and the answers are those of one step at a time.
    pub(crate) window_us: i64,
}

impl Replay {
    /// Replays all steps; the positions in the order of the steps, and how many targets were unknown.
    pub(crate) async fn run(
        self,
        channel: &Channel,
        steps: &[Step],
        baselines: &Baselines,
        mut progress: impl FnMut(u64),
    ) -> anyhow::Result<(Vec<Position>, usize)> {
        let mut tracker = TrackerClient::new(channel.clone());
        let (mut positions, mut unknown) = (Vec::new(), 0);
        let mut rest = steps;
        while !rest.is_empty() {
            let (window, after) = rest.split_at(self.window(rest));
            rest = after;
            let tracked = track(&mut tracker, window).await?;
            let asked: Vec<_> = window
                .iter()
                .zip(tracked)
                .filter_map(|(step, position)| Some((step, step.target.as_ref()?, position)))
                .collect();
            let known = asked.iter().filter(|(_, target, _)| baselines.knows(target)).cloned();
            let known: Vec<_> = known.collect();
            unknown += asked.len() - known.len();
            let answers = stream::iter(known.into_iter().map(|(step, target, position)| {
                let client = RecommenderClient::new(channel.clone());
                ask(client, step, target, position, baselines, self.pool)
            }));
            let answers: Vec<Position> = answers.buffered(CONCURRENCY).try_collect().await?;
            positions.extend(answers);
            progress(window.len() as u64);
        }
        Ok((positions, unknown))
    }

    /// How many of the next steps go together: different sessions, close in time.
    fn window(self, steps: &[Step]) -> usize {
        let mut sessions = HashSet::new();
        let first_us = steps[0].at_us;
        let together = steps.iter().take(WINDOW).take_while(|step| {
            step.at_us - first_us < self.window_us && sessions.insert(step.session)
        });
        together.count().max(1)
    }
}

async fn track(
    tracker: &mut TrackerClient<Channel>,
    steps: &[Step],
) -> anyhow::Result<Vec<v1::Position>> {
    let event =
        |step: &Step| v1::Event { source: SOURCE.to_owned(), payload: step.payload.clone() };
    let request = v1::TrackRequest { events: steps.iter().map(event).collect() };
    let answer = tracker.track(request).await?.into_inner();
    let mut positions = Vec::with_capacity(steps.len());
    for (status, step) in answer.statuses.into_iter().zip(steps) {
        if status.code() != v1::track_status::Code::Ok {
            let line = step.line;
            return Err(anyhow::anyhow!(
                "line {line} was refused: {}: mend or remove it, since every event shapes the answers \
                 after it",
                status.detail
            ))
            .exit(Code::Data);
        }
        positions.push(status.position.ok_or_else(|| anyhow::anyhow!("no position"))?);
    }
    anyhow::ensure!(positions.len() == steps.len(), "not one status per event");
    Ok(positions)
}

async fn ask(
    mut client: RecommenderClient<Channel>,
    step: &Step,
    target: &Arc<str>,
    position: v1::Position,
    baselines: &Baselines,
    pool: u32,
) -> anyhow::Result<Position> {
    // Goes on record, so that parity can prove it.
    let request = v1::RecommendRequest {
        surface: "item".to_owned(),
        visitor_id: step.visitor.clone(),
        session_id: step.visitor.clone(),
        k: K as u32,
        min_positions: vec![position],
        as_of_us: Some(step.at_us),
        ..Default::default()
    };
    let full = list(&mut client, request.clone(), v1::Tier::Full).await?;
    // The same candidates, all of them, in the order of their sources.
    let off = v1::RecommendRequest {
        arm_overrides: [(MODEL_EXPERIMENT.to_owned(), "off".to_owned())].into(),
        k: pool,
        dry_run: true,
        ..request
    };
    let off = list(&mut client, off, v1::Tier::Heuristic).await?;
    let [popularity, sr, ar] = baselines.0.each_ref().map(|row| row.recommend(&step.prefix));
    let rank = |item: Option<usize>| item.map(|place| place + 1).filter(|rank| *rank <= K);
    let of_ids = |ids: &[String]| rank(ids.iter().position(|id| **id == **target));
    let of_items = |items: &[Arc<str>]| rank(items.iter().position(|item| item == target));
    Ok(Position {
        session: step.session,
        moved: step.prefix.last() != Some(target),
        new: !step.prefix.contains(target),
        ranks: [of_ids(&full), of_ids(&off), of_items(&popularity), of_items(&sr), of_items(&ar)],
        in_pool: off.iter().any(|id| **id == **target),
    })
}

/// The items of an answer, which must be of the tier expected and not degraded.
async fn list(
    client: &mut RecommenderClient<Channel>,
    request: v1::RecommendRequest,
    expected: v1::Tier,
) -> anyhow::Result<Vec<String>> {
    let visitor = request.visitor_id.clone();
    let answer = client.recommend(request).await?.into_inner();
    let tier = answer.tier();
    let mut causes: Vec<String> =
        answer.degradations.iter().map(|d| format!("{}: {}", d.stage, d.cause)).collect();
    causes.extend(answer.stale.then(|| "stale".to_owned()));
    anyhow::ensure!(
        tier == expected && causes.is_empty(),
        "the answer for {visitor} is degraded ({}; {}): an evaluation must not be",
        tier.as_str_name(),
        if causes.is_empty() { "no stage says why".to_owned() } else { causes.join(", ") }
    );
    Ok(answer.items.into_iter().map(|item| item.item_id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_each_session_once_and_little_time() {
        let step = |session: usize, at_us: i64| Step {
            at_us,
            line: 1,
            session,
            visitor: session.to_string(),
            payload: Vec::new(),
            prefix: Vec::new(),
            target: None,
        };
        let window = |steps: &[Step]| Replay { pool: 1, window_us: 9 }.window(steps);
        assert_eq!(window(&[step(1, 0), step(2, 1), step(1, 2), step(3, 3)]), 2);
        assert_eq!(window(&[step(1, 0), step(2, 9)]), 1);
        let many: Vec<Step> = (0..100).map(|session| step(session, 0)).collect();
        assert_eq!(window(&many), WINDOW);
        let one_by_one = Replay { pool: 1, window_us: 0 };
        assert_eq!(one_by_one.window(&many), 1, "without any lateness, too");
    }
}
