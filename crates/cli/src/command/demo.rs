//! `twofold demo`: the whole path in one process, with a simulated shop, and what came of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use definitions::Lane;
use online::service::Tables;
use online::updater::{self, LaneStatus, Updater};
use record::Partition;
use runtime::exit::{Code, With};
use runtime::shutdown::Shutdown;
use serde_json::json;
use tokio::net::TcpListener;

use super::{Context, archive, backfill, parity, train};
use crate::args::TrainClock;
use crate::data::Data;
use crate::demo::{self, Asked, Burst, Clients};
use crate::output::{Ink, Output, Progress};
use crate::roles::{self, OnDisk, Plan};
use crate::shop::{self, Item, Shopper};
use crate::watch;

/// Says that a data directory is a demo's, which may be thrown away.
const MARK: &str = "demo.json";
/// Items of a list.
const K: u32 = 8;
/// Requests of the burst, and how many at once.
const REQUESTS: usize = 400;
const AT_ONCE: usize = 2;

/// How long the updater may take for what the shoppers did last.
const COVER_MAX: Duration = Duration::from_secs(10);

/// Waits until all lanes have what the shoppers did: an answer to one of them waits for her own.
async fn cover(data: &Data, lanes: &[Arc<Lane>], updater: &updater::Handle) -> anyhow::Result<()> {
    let mut ends = Vec::new();
    for lane in lanes {
        let bounds = data.log.bounds(&lane.source.topic).await?;
        let of_lane = (0..).map(Partition).zip(bounds);
        ends.extend(of_lane.map(|(partition, bounds)| (lane.id, partition, bounds.next)));
    }
    if !updater.wait_for(&ends, COVER_MAX).await {
        tracing::warn!("the lanes have not caught up with what the shoppers did: see their lag");
    }
    Ok(())
}

pub(super) async fn run(mut context: Context, seed: u64, fresh: bool) -> anyhow::Result<()> {
    let output = context.output;
    let start = context.clock.monotonic();
    // A demo is to be seen, not waited for: less to learn from, fewer passes.
    context.settings.train.positions_max = context.settings.train.positions_max.min(8_000);
    context.settings.ranker.epochs_max = context.settings.ranker.epochs_max.min(5);
    context.settings.retriever.epochs_max = context.settings.retriever.epochs_max.min(4);
    claim(&context.settings.data, seed, fresh)?;
    let definitions = context.definitions()?;
    let data = context.open(&definitions).await?;

    let end_us = context.clock.now().0 - 120_000_000;
    let of_shop = shop::Settings::demo(seed, end_us);
    let items = shop::catalogue(&of_shop);
    let simulated = shop::simulate(&of_shop, &items);
    let shopper = simulated.shopper;
    let visitors = visitors(&simulated.events);
    let catalogue = demo::catalogue_records(&items, end_us - of_shop.days * 86_400_000_000);
    let events = simulated.events.len();
    let mut progress = Progress::new("shop → log", (catalogue.len() + events) as u64);
    demo::append(&*data.log, "catalog", catalogue, &mut progress).await?;
    demo::append(&*data.log, "clickstream", simulated.events, &mut progress).await?;
    drop(progress);
    step(
        output,
        &format!("log        {events} events of {} days, {} items", of_shop.days, items.len()),
    );

    let parts = data.updater(definitions.lanes());
    let (updater, handle) = Updater::open(context.settings.updater.clone(), parts).await?;
    let watching = tokio::spawn(watch::updater(handle.clone()));
    let updating = context.clock.monotonic();
    updater.drain(Shutdown::never()).await?;
    watching.abort();
    let took = (context.clock.monotonic() - updating).as_secs_f64();
    step(
        output,
        &format!("updater    {} records folded in {took:.1} s", handle.counters().records),
    );

    let archived = archive::archive(&context, &data, &definitions).await?;
    step(
        output,
        &format!("archive    {} records in {} Parquet files", archived.records, archived.files),
    );
    let filled = backfill::backfill(&context, &definitions).await?;
    step(
        output,
        &format!("back-fill  indexes over {} items, {} sequences", filled.items, filled.sequences),
    );
    let training = context.clock.monotonic();
    let trained = train::train(&context, &definitions, TrainClock::EventTime).await?;
    let took = (context.clock.monotonic() - training).as_secs_f64();
    step(
        output,
        &format!(
            "train      {} positions in {took:.1} s; bundle {}",
            trained.positions,
            &trained.bundle[..12]
        ),
    );

    let tables = Tables::default();
    OnDisk::new(&context.settings, &definitions)?.refresh(&tables, None)?;
    let plan = Plan {
        definitions: definitions.clone(),
        updater: true,
        pinned: None,
        tables,
        clock: context.clock.clone(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut running = roles::start(&context.settings, &data, plan, listener).await?;
    running.ready().await?;
    step(output, &format!("serve      gRPC on {}", running.address));

    let mut clients = Clients::connect(running.address).await?;
    let clock = &context.clock;
    // The first answers warm up connection and threads.
    for visitor in visitors.iter().take(20) {
        clients.recommend(clock, visitor, K, Vec::new()).await?;
    }
    let before = clients.recommend(clock, &shopper.id, K, Vec::new()).await?;
    let clicks = demo::clicks(&items, shopper.other, &shopper.id, clock.now().0);
    let after = clients.click_and_ask(clock, &shopper.id, K, clicks).await?;
    // She follows the new list, which says so: what models learn from later.
    let choice = demo::choice(&items, &after.response, &shopper.id, clock.now().0);
    clients.click_and_ask(clock, &shopper.id, K, choice.into_iter().collect()).await?;
    let burst = demo::burst(&clients, clock, &visitors, REQUESTS, AT_ONCE).await?;
    let metrics = Arc::clone(&running.service.metrics);
    drop(clients);
    if let Some(updater) = &running.updater {
        cover(&data, &definitions.lanes(), updater).await?;
    }
    running.stop().await?;
    // All records of answers are written by now, or counted as not.
    let metrics = metrics.snapshot();

    let compared = parity::parity(&context, &data, &definitions).await?;
    let lanes = updater::status(&*data.log, &*data.store, &definitions.lanes(), false).await?;
    let took = (context.clock.monotonic() - start).as_secs_f64();
    mark(&context.settings.data, seed, true)?;
    let shown = Shown { items: &items, shopper: &shopper, before: &before, after: &after };
    let json = json!({
        "seconds": took,
        "events": events,
        "click_to_answer_ms": after.took.as_secs_f64() * 1000.0,
        "before": ids(&before),
        "after": ids(&after),
        "burst": &burst,
        "service": &metrics,
        "parity": { "responses": compared.responses, "values": compared.values,
            "mismatched": compared.mismatched, "skipped": &compared.skipped },
        "lanes": &lanes,
    });
    output.say(&lists(output, &shown));
    output.say(&figures(output, &burst, &compared, &lanes));
    output.say(&going_on(output, &context.settings.data, &shopper, took));
    let printed = match output.json {
        true => output.result(&json, String::new),
        false => Ok(()),
    };
    // A reader that has gone hides no difference.
    anyhow::ensure!(compared.mismatched == 0, "{} values differ from the log", compared.mismatched);
    printed
}

/// Takes an empty directory, or that of an earlier demo if asked to.
fn claim(directory: &Path, seed: u64, fresh: bool) -> anyhow::Result<()> {
    let occupied = std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some());
    if occupied {
        let shown = directory.display();
        let mark = std::fs::read_to_string(directory.join(MARK)).ok();
        let ended = |mark: &str| {
            serde_json::from_str(mark).is_ok_and(|mark: serde_json::Value| mark["ended"] == true)
        };
        let remedy = match &mark {
            Some(mark) if ended(mark) => format!(
                "holds a demo already: go on with it by `twofold --data {shown} up`, or start over with \
                 `twofold --data {shown} demo --fresh`"
            ),
            Some(_) => format!(
                "holds a demo that did not come to its end: start over with `twofold --data {shown} demo \
                 --fresh`"
            ),
            None => "is not empty and no demo's: choose another --data".to_owned(),
        };
        if mark.is_none() || !fresh {
            return Err(anyhow::anyhow!("{shown} {remedy}")).exit(Code::Configuration);
        }
        embedded::clear(directory).with_context(|| format!("removing what {shown} holds"))?;
    }
    std::fs::create_dir_all(directory)?;
    mark(directory, seed, false)
}

/// Says in the directory whose it is, and whether its demo came to its end.
fn mark(directory: &Path, seed: u64, ended: bool) -> anyhow::Result<()> {
    let path = directory.join(MARK);
    let text = json!({ "seed": seed, "ended": ended }).to_string();
    std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}

fn visitors(events: &[event_log::NewRecord]) -> Vec<String> {
    let keys = events.iter().rev().take(2000).map(|record| &record.key);
    let ids: std::collections::BTreeSet<String> =
        keys.map(|key| String::from_utf8_lossy(key).into_owned()).collect();
    ids.into_iter().collect()
}

fn ids(asked: &Asked) -> Vec<&str> {
    asked.response.items.iter().map(|item| item.item_id.as_str()).collect()
}

fn step(output: Output, text: &str) {
    output.say(&format!("{} {text}", output.ink(Ink::Green, "✓")));
}

struct Shown<'a> {
    items: &'a [Item],
    shopper: &'a Shopper,
    before: &'a Asked,
    after: &'a Asked,
}

fn lists(output: Output, shown: &Shown<'_>) -> String {
    let Shown { items, shopper, before, after } = shown;
    let title = format!(
        "\n{} was looking at {}. She clicks three items of {}; {:.0} ms later her list is another:\n",
        shopper.id,
        shopper.category,
        shopper.other,
        after.took.as_secs_f64() * 1000.0
    );
    let titles = ["before", "after three clicks"];
    let answers = [&before.response, &after.response];
    let lists = demo::side_by_side(output, items, titles, answers, shopper.other);
    format!("{}\n{lists}\n", output.ink(Ink::Bold, &title))
}

fn figures(
    output: Output,
    burst: &Burst,
    compared: &batch::parity::Report,
    lanes: &[LaneStatus],
) -> String {
    let tiers: Vec<String> = burst.tiers.iter().map(|(tier, n)| format!("{tier} {n}")).collect();
    let ink = if compared.mismatched == 0 { Ink::Green } else { Ink::Red };
    let parity = format!(
        "{} responses replayed from the log, {} values compared, {} mismatched",
        compared.responses, compared.values, compared.mismatched
    );
    let mut lines = vec![
        format!(
            "latency    p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms over {} requests, {:.0} a second",
            burst.p50_ms, burst.p99_ms, burst.max_ms, burst.requests, burst.per_s
        ),
        format!("tiers      {}; {} failed", tiers.join(", "), burst.failed),
        format!("parity     {}", output.ink(ink, &parity)),
    ];
    for (reason, count) in &compared.skipped {
        lines.push(format!("           skipped {reason}: {count}"));
    }
    for ((source, entity), sum) in sums(lanes) {
        let [read, applied, duplicate, late, dead] = sum;
        lines.push(format!(
            "ledger     {source} by {entity}: {read} read = {applied} applied + {duplicate} duplicate + {late} late + {dead} dead-lettered"
        ));
    }
    lines.join("\n")
}

type Sums<'a> = std::collections::BTreeMap<(&'a str, &'a str), [u64; 5]>;

fn sums(lanes: &[LaneStatus]) -> Sums<'_> {
    let mut sums = Sums::new();
    for lane in lanes {
        let sum = sums.entry((&lane.source, &lane.entity)).or_default();
        let row = [lane.read, lane.applied, lane.duplicate, lane.late, lane.dead_lettered];
        sum.iter_mut().zip(row).for_each(|(sum, n)| *sum += n);
    }
    sums
}

fn going_on(output: Output, data: &Path, shopper: &Shopper, took: f64) -> String {
    let data = data.display();
    format!(
        "\n{} in {took:.0} s. Go on with the same shop:\n\n  twofold up --data {data}\n  \
         grpcurl -plaintext -d '{{\"surface\":\"home\",\"visitor_id\":\"{}\",\"k\":8}}' \\\n    \
         127.0.0.1:50051 twofold.v1.Recommender/Recommend\n",
        output.ink(Ink::Bold, "Done"),
        shopper.id
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_something_else_in_it_is_never_removed() {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        claim(&data, 1, false).unwrap();
        let refused = || claim(&data, 1, false).unwrap_err().root_cause().to_string();
        assert!(refused().contains("did not come to its end: start over"), "{}", refused());
        mark(&data, 1, true).unwrap();
        assert!(refused().contains("holds a demo already: go on with it"), "{}", refused());
        claim(&data, 2, true).unwrap();
        std::fs::remove_file(data.join(MARK)).unwrap();
        std::fs::write(data.join("thesis.txt"), "years of work").unwrap();
        let error = claim(&data, 1, true).unwrap_err();
        assert_eq!(runtime::exit::code(&error), Code::Configuration);
        assert!(data.join("thesis.txt").exists());
    }
}
