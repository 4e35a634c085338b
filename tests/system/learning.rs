//! Learning from what was served: answers, what they were made of, and what came of them.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tonic::transport::Channel;
use wire::v1;
use wire::v1::recommender_client::RecommenderClient;
use wire::v1::tracker_client::TrackerClient;

use crate::twofold::Twofold;

const VISITORS: usize = 40;
const SETTINGS: &str = "[ranker]\nepochs_max = 2\n[retriever]\nepochs_max = 2\ndimension = 16\n\
    [train]\noutcome_window_ms = 500\n";
/// The window and twice the lateness, after which no outcome can come any more.
const CLOSED_AFTER: Duration = Duration::from_millis(2_700);

/// Sessions of two days over 40 items, each followed by the next or the one after.
fn history() -> String {
    let mut text = "SessionId\tItemId\tTime\n".to_owned();
    for day in 0..2_u64 {
        for session in 0..120_u64 {
            for step in 0..5 {
                let item = (session * 7 + step * (1 + session % 2)) % 40;
                let at = 1_396_300_000 + day * 86_400 + session * 300 + step * 20;
                writeln!(text, "{day}{session:04}\titem-{item:02}\t{at}.25").unwrap();
            }
        }
    }
    text
}

async fn click(
    tracker: &mut TrackerClient<Channel>,
    id: &str,
    visitor: usize,
    item: &str,
    token: &str,
) {
    #[allow(clippy::disallowed_methods, reason = "a front end reads its own clock")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    let payload = format!(
        r#"{{"event_id":"{id}","event_time":{now},"visitor_id":"v{visitor}","kind":"view","item_id":"{item}","tracking_token":"{token}"}}"#
    );
    let event = v1::Event { source: "clickstream".to_owned(), payload: payload.into_bytes() };
    let answer = tracker.track(v1::TrackRequest { events: vec![event] }).await.unwrap();
    assert_eq!(answer.into_inner().statuses[0].code(), v1::track_status::Code::Ok);
}

async fn shop(address: &str) {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await;
    let channel = channel.unwrap();
    let mut tracker = TrackerClient::new(channel.clone());
    let mut recommender = RecommenderClient::new(channel);
    for visitor in 0..VISITORS {
        let seen = format!("item-{visitor:02}");
        click(&mut tracker, &format!("a{visitor}"), visitor, &seen, "").await;
        let visitor_id = format!("v{visitor}");
        let surface = "home".to_owned();
        let ask = v1::RecommendRequest { surface, visitor_id, k: 10, ..Default::default() };
        let answer = recommender.recommend(ask).await.unwrap().into_inner();
        assert!(!answer.items.is_empty(), "{answer:?}");
        let chosen = &answer.items[visitor % answer.items.len()].item_id;
        // Every fourth visitor found it elsewhere.
        let token = if visitor % 4 == 3 { "" } else { &answer.tracking_token };
        click(&mut tracker, &format!("b{visitor}"), visitor, chosen, token).await;
    }
    tokio::time::sleep(CLOSED_AFTER).await;
    for visitor in 0..VISITORS {
        click(&mut tracker, &format!("c{visitor}"), visitor, "item-00", "").await;
    }
}

#[tokio::test]
async fn a_model_learns_from_its_own_answers() {
    let mut twofold = Twofold::new();
    let [was, now] = ["allowed_lateness = \"10m\"", "allowed_lateness = \"1s\""];
    twofold.change_definition("sources/clickstream.toml", was, now);
    twofold.file("twofold.toml", SETTINGS);
    let run =
        |arguments: &[&str]| twofold.json(&[&["--config", "twofold.toml"], arguments].concat());
    let file = twofold.file("history.txt", &history());
    run(&["import", "yoochoose", file.to_str().unwrap()]);
    run(&["update", "--drain"]);
    run(&["archive"]);
    run(&["backfill"]);
    let first = run(&["train"]);
    assert_eq!(first["clock"], "event_time", "{first}");
    let nothing = twofold.fails(&["--config", "twofold.toml", "train", "--clock", "as-served"]);
    assert_eq!(nothing.0, 65, "{}", nothing.1);
    assert!(nothing.1.contains("no response can be learned from"), "{}", nothing.1);

    let mut up = twofold.start(&["--config", "twofold.toml", "up", "--listen", "127.0.0.1:0"]);
    shop(&up.address().expect("it listens")).await;
    up.terminate();
    let parity = run(&["parity"]);
    assert_eq!((&parity["mismatched"], &parity["responses"]), (&0.into(), &VISITORS.into()));
    run(&["archive"]);
    run(&["backfill"]);
    let trained = run(&["train", "--clock", "as-served"]);
    assert_eq!(trained["clock"], "as_served", "{trained}");
    let positions = trained["positions"].as_u64().unwrap() as usize;
    // A choice from the list teaches something (unless a slow machine took longer for it than the
    // window), a click without its token nothing.
    assert!((VISITORS / 2..=VISITORS * 3 / 4).contains(&positions), "{trained}");
    assert_ne!(trained["bundle"], first["bundle"]);
    let bundles = run(&["models", "list"]);
    let active = bundles["bundles"].as_array().unwrap().iter().find(|b| b["active"] == true);
    assert_eq!(active.unwrap()["digest"], trained["bundle"], "{bundles}");
}
