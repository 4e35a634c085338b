//! What the shop's front end would do: track and ask, over gRPC.

use std::time::Duration;

use runtime::clock::Clock;
use serde_json::json;
use tonic::transport::Channel;
use wire::v1;
use wire::v1::recommender_client::RecommenderClient;
use wire::v1::tracker_client::TrackerClient;

use crate::shop::Item;

/// How long the front end waits for a list that knows what was just clicked.
const FRESH_MAX: Duration = Duration::from_secs(5);

/// Clients of one service.
#[derive(Clone)]
pub(crate) struct Clients {
    recommender: RecommenderClient<Channel>,
    tracker: TrackerClient<Channel>,
}

/// An answer and how long it took.
pub(crate) struct Asked {
    pub(crate) response: v1::RecommendResponse,
    pub(crate) took: Duration,
}

impl Clients {
    pub(crate) async fn connect(address: std::net::SocketAddr) -> anyhow::Result<Self> {
        let channel = Channel::from_shared(format!("http://{address}"))?.connect().await?;
        Ok(Self {
            recommender: RecommenderClient::new(channel.clone()),
            tracker: TrackerClient::new(channel),
        })
    }

    /// Asks for `k` items.
    pub(crate) async fn recommend(
        &mut self,
        clock: &Clock,
        visitor: &str,
        k: u32,
        min_positions: Vec<v1::Position>,
    ) -> anyhow::Result<Asked> {
        let request = v1::RecommendRequest {
            surface: "home".to_owned(),
            visitor_id: visitor.to_owned(),
            k,
            min_positions,
            ..Default::default()
        };
        let start = clock.monotonic();
        let response = self.recommender.recommend(request).await?.into_inner();
        Ok(Asked { response, took: clock.monotonic() - start })
    }

    /// Tracks, then asks until the answer covers what was tracked; the answer, and the time from the
    /// click to it.
    pub(crate) async fn click_and_ask(
        &mut self,
        clock: &Clock,
        visitor: &str,
        k: u32,
        events: Vec<v1::Event>,
    ) -> anyhow::Result<Asked> {
        let start = clock.monotonic();
        let answer = self.tracker.track(v1::TrackRequest { events }).await?.into_inner();
        let mut positions = Vec::new();
        for status in answer.statuses {
            anyhow::ensure!(
                status.code() == v1::track_status::Code::Ok,
                "the service refused a click: {}",
                status.detail
            );
            positions.extend(status.position);
        }
        loop {
            let asked = self.recommend(clock, visitor, k, positions.clone()).await?;
            let took = clock.monotonic() - start;
            if !asked.response.stale {
                return Ok(Asked { took, ..asked });
            }
            anyhow::ensure!(took < FRESH_MAX, "the clicks were not covered within {FRESH_MAX:?}");
        }
    }
}

/// A click on the first item of a list, seconds after it: it carries the list's token, so that models
/// can learn from what came of it.
pub(crate) fn choice(
    items: &[Item],
    list: &v1::RecommendResponse,
    visitor: &str,
    now_us: i64,
) -> Option<v1::Event> {
    let first = &list.items.first()?.item_id;
    let item = items.iter().find(|item| item.id == *first)?;
    Some(event(item, visitor, &format!("demo-choice-{now_us}"), now_us, Some(&list.tracking_token)))
}

/// Three clicks on neighbouring items of a category, some seconds apart, ending now.
pub(crate) fn clicks(items: &[Item], category: &str, visitor: &str, now_us: i64) -> Vec<v1::Event> {
    let of_category = items.iter().filter(|item| item.category == category && item.stock > 0);
    let chosen: Vec<&Item> = of_category.skip(10).take(3).collect();
    let event = |(number, item): (i64, &&Item)| {
        let id = format!("demo-click-{now_us}-{number}");
        event(item, visitor, &id, now_us - (2 - number) * 4_000_000, None)
    };
    (0..).zip(&chosen).map(event).collect()
}

/// A view; `token` is that of the list that the item was chosen from.
fn event(item: &Item, visitor: &str, id: &str, at_us: i64, token: Option<&str>) -> v1::Event {
    let payload = json!({
        "event_id": id,
        "event_time": at_us,
        "visitor_id": visitor,
        "session_id": format!("demo-{visitor}"),
        "kind": "view",
        "item_id": item.id,
        "category": item.category,
        "price_cents": item.price_cents,
        "quantity": 1,
        "tracking_token": token,
    });
    v1::Event { source: "clickstream".to_owned(), payload: payload.to_string().into_bytes() }
}
