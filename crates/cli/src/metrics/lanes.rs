//! Every (lane, partition), whoever works on it, as it was when it was looked at last.

use std::collections::BTreeMap;
use std::fmt;

use fold::Ledger;
use online::updater::{Lags, Sample};
use record::EventTime;

use super::page::{Labels, Page, labels};

pub(super) fn write(page: &mut Page<'_>, lags: &Lags) -> fmt::Result {
    let samples = lags.samples();
    let help = "Offsets between a lane's head and the end of the log";
    page.gauge("twofold_lag_records", help, samples.iter().map(|s| (of(s), s.lag)))?;
    let help = "Age of the oldest record that a lane has not covered; 0: it has covered all";
    let lag_times = samples.iter().filter_map(|s| Some((of(s), s.lag_time?.as_secs_f64())));
    page.seconds("twofold_lag", help, lag_times)?;
    let help = "Greatest event time less the allowed lateness, since the Unix epoch";
    let watermark = |s: &Sample| s.head.as_ref().map(|head| head.watermark);
    let read = |at: &EventTime| *at > EventTime::MIN;
    let watermarks = samples.iter().filter_map(|s| Some((of(s), watermark(s).filter(read)?)));
    let watermarks = watermarks.map(|(labels, at)| (labels, at.0 as f64 / 1e6));
    page.seconds("twofold_watermark_timestamp", help, watermarks)?;
    let help = "Records that a lane has read, by what became of them, as its head says: a store that goes \
                back takes them along";
    page.gauge("twofold_ledger_records", help, samples.iter().flat_map(ledger))?;
    let help = "How old the last look at a lane is: the oldest of its partitions";
    page.seconds("twofold_sample_age", help, ages(&samples))?;
    let (log, store) = lags.failures();
    let help = "Looks at lanes that found no answer";
    let failures = [(labels([("port", "log")]), log), (labels([("port", "store")]), store)];
    page.counter("twofold_sample_failures", help, failures)
}

fn of(sample: &Sample) -> Labels {
    let lane = &sample.lane;
    labels([
        ("source", &lane.source.name),
        ("entity", &lane.entity),
        ("partition", &sample.partition.to_string()),
    ])
}

fn ledger(sample: &Sample) -> Vec<(Labels, u64)> {
    let ledger = sample.head.as_ref().map_or_else(Ledger::default, |head| head.ledger);
    outcomes(&of(sample), ledger)
}

/// A ledger's counts, each with its outcome among the labels.
pub(super) fn outcomes(of: &Labels, ledger: Ledger) -> Vec<(Labels, u64)> {
    let Ledger { applied, duplicate, late, dead_lettered } = ledger;
    let counts = [
        ("applied", applied),
        ("duplicate", duplicate),
        ("late", late),
        ("dead_lettered", dead_lettered),
    ];
    let labelled = |(outcome, count): (&str, u64)| {
        let outcome = ("outcome", outcome.to_owned());
        (of.iter().cloned().chain([outcome]).collect(), count)
    };
    counts.into_iter().map(labelled).collect()
}

fn ages(samples: &[Sample]) -> Vec<(Labels, f64)> {
    let mut ages = BTreeMap::new();
    for sample in samples {
        let age = sample.age.as_secs_f64();
        let lane = (sample.lane.source.name.as_str(), sample.lane.entity.as_str());
        let oldest = ages.entry(lane).or_insert(age);
        *oldest = oldest.max(age);
    }
    let labelled =
        |((source, entity), age)| (labels([("source", source), ("entity", entity)]), age);
    ages.into_iter().map(labelled).collect()
}
