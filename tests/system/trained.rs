//! A small shop with a trained model: made once, copied for each test that needs one.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use runtime::clock::Clock;
use serde_json::Value;

use crate::twofold::{Twofold, copy_into};

pub(crate) const ITEMS: u64 = 40;
const DAY_US: i64 = 86_400_000_000;

/// Settings of all commands here: a quick training, a table that is made anew often, and as much time for
/// each stage as there is, so that a busy machine degrades little.
const SETTINGS: &str = "\
[ranker]
epochs_max = 2

[retriever]
epochs_max = 2
dimension = 16

[item_table]
refresh_ms = 20

[service]
margin_ms = 1
hydrate_ms = 40
source_ms = 20
score_ms = 39
";

/// Arguments with the shop's settings.
pub(crate) fn with<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["--config", "twofold.toml"], arguments].concat()
}

/// A copy of the shop, and the digest of its bundle.
pub(crate) fn trained() -> (Twofold, String) {
    static MADE: OnceLock<(PathBuf, String)> = OnceLock::new();
    let (made, bundle) = MADE.get_or_init(|| {
        let twofold = Twofold::new();
        let bundle = train(&twofold);
        // A static is never dropped: it lies where the build may leave things.
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trained-shop");
        if kept.exists() {
            std::fs::remove_dir_all(&kept).unwrap();
        }
        copy_into(&twofold.path("."), &kept);
        (kept, bundle)
    });
    let twofold = Twofold::new();
    copy_into(made, &twofold.path("."));
    (twofold, bundle.clone())
}

fn train(twofold: &Twofold) -> String {
    twofold.file("twofold.toml", SETTINGS);
    let today_us = Clock::system().now().0 / DAY_US * DAY_US;
    let catalogue = twofold.file("catalog.jsonl", &catalogue(today_us - 4 * DAY_US));
    let sessions = twofold.file("sessions.jsonl", &sessions(today_us - 3 * DAY_US));
    let run = |arguments: &[&str]| -> Value { twofold.json(&with(arguments)) };
    run(&["import", "jsonl", catalogue.to_str().unwrap(), "--source", "catalog"]);
    run(&["import", "jsonl", sessions.to_str().unwrap()]);
    run(&["update", "--drain"]);
    run(&["archive"]);
    run(&["backfill"]);
    run(&["train"])["bundle"].as_str().unwrap().to_owned()
}

fn catalogue(at_us: i64) -> String {
    (0..ITEMS).fold(String::new(), |mut text, item| {
        writeln!(
            text,
            r#"{{"event_id":"k{item}","event_time":{at_us},"item_id":"item-{item:02}","name":"Item {item}","category":"c{}","price_cents":{},"stock":9}}"#,
            item % 4,
            100 + item
        )
        .unwrap();
        text
    })
}

/// Three days over which item i is followed by i + 1 or i + 2.
fn sessions(from_us: i64) -> String {
    let mut text = String::new();
    for (day, session) in (0..3).flat_map(|day| (0..100).map(move |session| (day, session))) {
        for step in 0..5 {
            let item = (session * 7 + step * (1 + session % 2)) % ITEMS;
            let at_us = from_us + day * DAY_US + (session * 300 + step * 20) as i64 * 1_000_000;
            writeln!(
                text,
                r#"{{"event_id":"s{day}-{session}-{step}","event_time":{at_us},"visitor_id":"v{day}-{session}","kind":"view","item_id":"item-{item:02}","category":"c{}"}}"#,
                item % 4
            )
            .unwrap();
        }
    }
    text
}
