//! An updater that follows its log while it is measured.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use event_log::NewRecord;
use record::{LaneId, Offset, Partition};
use runtime::clock::Clock;
use runtime::shutdown::{self, Trigger};
use tokio::task::JoinHandle;

use super::paced::{self, Paced, Visible};
use super::{append, per_second};
use crate::updater::{Error, Handle, Parts, Settings, Updater};

/// Records appended in one call while as many as possible are.
const APPEND_RECORDS: usize = 1000;
/// Appends that may be under way: a log that lets records wait for others is not to be waited for.
const APPENDS_AT_ONCE: usize = 4;
/// Appends that may be under way, or acknowledged and not visible yet: enough for the updater to be busy all
/// the time, and few enough that the log does not run away from it.
const APPENDS_AHEAD: usize = 40;
/// How long after an append its events may become visible.
pub(super) const VISIBLE_MAX: Duration = Duration::from_secs(30);

/// A (lane, partition) and a position that it is to cover.
pub(super) type Goal = (LaneId, Partition, Offset);

/// An updater at work on lanes that nobody else works on.
pub struct Live {
    pub(super) parts: Parts,
    pub(super) clock: Clock,
    pub(super) topic: String,
    pub(super) lanes: Vec<LaneId>,
    pub(super) handle: Handle,
    stop: Trigger,
    updating: JoinHandle<Result<(), Error>>,
}

impl Live {
    /// Starts an updater, and waits until it has caught up. What is measured are the lanes of `topic`.
    ///
    /// # Errors
    /// Whatever log, store or updater say.
    pub async fn start(
        settings: Settings,
        parts: Parts,
        clock: &Clock,
        topic: &str,
    ) -> Result<Self, Error> {
        let (updater, handle) = Updater::open(settings, parts.clone()).await?;
        let lanes = parts.lanes.iter().filter(|lane| lane.source.topic == topic);
        let lanes = lanes.map(|lane| lane.id).collect();
        let (stop, stopped) = shutdown::channel();
        let updating = tokio::spawn(updater.alone().run(stopped));
        let (clock, topic) = (clock.clone(), topic.to_owned());
        let mut live = Self { parts, clock, topic, lanes, handle, stop, updating };
        let handle = live.handle.clone();
        let caught_up = async {
            handle.caught_up().await;
            Ok(())
        };
        live.unless_it_ends(caught_up).await?;
        Ok(live)
    }

    /// Events a second that are appended and become visible when they come as fast as log and updater take
    /// them, both at the same time. An updater that has done this is warm: it holds the states of those who
    /// come often, and has looked for keys to sweep.
    ///
    /// # Errors
    /// Whatever log, store or updater say; [`Error::Invisible`] when events are not visible after 30 s.
    pub async fn sustained(&mut self, records: Vec<NewRecord>) -> Result<f64, Error> {
        let (parts, clock, handle) = (self.parts.clone(), self.clock.clone(), self.handle.clone());
        let (lanes, topic) = (self.lanes.clone(), self.topic.clone());
        let sustain = async {
            let (count, start) = (records.len(), clock.monotonic());
            let mut records = records.into_iter().peekable();
            let mut appending: VecDeque<JoinHandle<Result<_, Error>>> = VecDeque::new();
            let mut ahead: VecDeque<Vec<Goal>> = VecDeque::new();
            loop {
                let may_append = records.peek().is_some() && appending.len() < APPENDS_AT_ONCE;
                if may_append && appending.len() + ahead.len() < APPENDS_AHEAD {
                    let share = records.by_ref().take(APPEND_RECORDS).collect();
                    let (parts, topic) = (parts.clone(), topic.clone());
                    let one = async move { append(&parts, &topic, share).await };
                    appending.push_back(tokio::spawn(one));
                } else if ahead.len() + APPENDS_AT_ONCE >= APPENDS_AHEAD || appending.is_empty() {
                    let Some(goals) = ahead.pop_front() else { break };
                    if !handle.wait_for(&goals, VISIBLE_MAX).await {
                        return Err(Error::Invisible { limit: VISIBLE_MAX });
                    }
                } else if let Some(oldest) = appending.pop_front() {
                    let places =
                        oldest.await.unwrap_or_else(|e| Err(Error::Panicked(e.to_string())))?;
                    ahead.push_back(goals(&lanes, places.into_iter()));
                }
            }
            Ok(per_second(count, clock.monotonic() - start))
        };
        self.unless_it_ends(sustain).await
    }

    /// Offers events at a steady rate, and follows them.
    ///
    /// # Errors
    /// Whatever log, store or updater say.
    pub async fn visible(&mut self, load: Paced) -> Result<Visible, Error> {
        let (parts, clock, handle) = (self.parts.clone(), self.clock.clone(), self.handle.clone());
        let (lanes, topic) = (self.lanes.clone(), self.topic.clone());
        let measuring = paced::measure(&parts, &handle, &clock, &topic, &lanes, load);
        self.unless_it_ends(measuring).await
    }

    /// Stops the updater after its commits.
    ///
    /// # Errors
    /// What the updater ended with.
    pub async fn stop(self) -> Result<(), Error> {
        self.stop.shut_down();
        self.updating.await.unwrap_or_else(|error| Err(Error::Panicked(error.to_string())))
    }

    async fn unless_it_ends<T>(
        &mut self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::select! {
            done = work => done,
            ended = &mut self.updating => Err(match ended {
                Ok(Err(error)) => error,
                Ok(Ok(())) => Error::Panicked("it ended by itself".to_owned()),
                Err(error) => Error::Panicked(error.to_string()),
            }),
        }
    }
}

/// What every lane has covered when all of these are visible.
pub(super) fn goals(
    lanes: &[LaneId],
    places: impl Iterator<Item = (Partition, Offset)>,
) -> Vec<Goal> {
    let mut ends: BTreeMap<Partition, Offset> = BTreeMap::new();
    for (partition, offset) in places {
        let end = ends.entry(partition).or_insert(Offset(0));
        *end = offset.next().max(*end);
    }
    let of_lanes = |(partition, end)| lanes.iter().map(move |lane| (*lane, partition, end));
    ends.into_iter().flat_map(of_lanes).collect()
}
