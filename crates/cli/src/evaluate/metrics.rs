//! From ranks to HR@k, MRR@k and NDCG@k with intervals.

use std::collections::BTreeMap;

use experiments::bootstrap::{Cluster, Interval, paired};
use record::EventTime;
use serde::Serialize;

use super::{K, ROWS};

/// Resamples of an interval.
const RESAMPLES: usize = 1000;
const SEED: u64 = 1;

/// One place where something was to be predicted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Position {
    pub(crate) session: usize,
    /// The target is not the last item.
    pub(crate) moved: bool,
    /// The target is not in the session so far.
    pub(crate) new: bool,
    /// Place of the target from 1, by row; `None`: not among the first [`K`].
    pub(crate) ranks: [Option<usize>; ROWS.len()],
    /// Whether it was among the candidates at all.
    pub(crate) in_pool: bool,
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Items that the session has seen may be recommended.
    pub(crate) repeats: bool,
    pub(crate) positions: usize,
    pub(crate) hr: f64,
    pub(crate) mrr: f64,
    pub(crate) ndcg: f64,
    pub(crate) k: usize,
    pub(crate) hr_interval: Interval,
    pub(crate) mrr_interval: Interval,
}

/// How much better the first row is than another, at the same places.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Difference {
    pub(crate) over: &'static str,
    pub(crate) hr: Interval,
    pub(crate) mrr: Interval,
    pub(crate) ndcg: Interval,
}

/// How the held-out events lie to what answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// The indexes and the item table know only what happened before this.
    pub(crate) cut: EventTime,
    /// Held-out events before the end of what is known.
    pub(crate) overlap: usize,
}

/// What `evaluate --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Report {
    pub(crate) protocol: &'static str,
    /// What answered knew only what happened before this, in microseconds since the epoch.
    pub(crate) cut_us: i64,
    /// Held-out events before the end of what indexes or model know, of sessions that overlap it.
    pub(crate) overlap: usize,
    /// All positions.
    pub(crate) rows: Vec<Row>,
    /// Paired by session.
    pub(crate) differences: Vec<Difference>,
    /// `moved` and `new` positions.
    pub(crate) parts: BTreeMap<&'static str, Vec<Row>>,
    /// Share of the positions whose target was among the candidates.
    pub(crate) recall_at_pool: f64,
    /// Positions whose target was unknown in training, which do not count.
    pub(crate) unknown_targets: usize,
    /// Lines that were no events.
    pub(crate) dead_lettered: usize,
}

type Measure = fn(usize) -> f64;
const HR: Measure = |_| 1.0;
const MRR: Measure = |rank| 1.0 / rank as f64;
const NDCG: Measure = |rank| 1.0 / (rank as f64 + 1.0).log2();

fn value(position: &Position, row: usize, measure: Measure) -> f64 {
    position.ranks[row].map_or(0.0, measure)
}

/// The mean of `of` over the positions, clustered by session.
fn interval(positions: &[&Position], of: impl Fn(&Position) -> f64) -> Interval {
    let mut sessions: BTreeMap<usize, Cluster> = BTreeMap::new();
    for position in positions {
        let cluster = sessions.entry(position.session).or_insert(Cluster { sum: 0.0, count: 0 });
        cluster.sum += of(position);
        cluster.count += 1;
    }
    paired(&sessions.into_values().collect::<Vec<_>>(), RESAMPLES, SEED)
}

fn rows(positions: &[&Position]) -> Vec<Row> {
    let row = |(row, name): (usize, &&'static str)| {
        let hr = interval(positions, |position| value(position, row, HR));
        let mrr = interval(positions, |position| value(position, row, MRR));
        let ndcg: f64 = positions.iter().map(|position| value(position, row, NDCG)).sum();
        Row {
            name,
            repeats: true,
            positions: positions.len(),
            hr: hr.mean,
            mrr: mrr.mean,
            ndcg: ndcg / positions.len().max(1) as f64,
            k: K,
            hr_interval: hr,
            mrr_interval: mrr,
        }
    };
    ROWS.iter().enumerate().map(row).collect()
}

/// The table.
pub(crate) fn report(
    positions: &[Position],
    known: &Known,
    unknown: usize,
    dead_lettered: usize,
) -> Report {
    let all: Vec<&Position> = positions.iter().collect();
    let part = |keep: fn(&Position) -> bool| {
        let kept: Vec<&Position> = positions.iter().filter(|position| keep(position)).collect();
        rows(&kept)
    };
    let difference = |(row, over): (usize, &&'static str)| {
        let of = |measure: Measure| {
            interval(&all, |position| value(position, 0, measure) - value(position, row, measure))
        };
        Difference { over, hr: of(HR), mrr: of(MRR), ndcg: of(NDCG) }
    };
    let in_pool = positions.iter().filter(|position| position.in_pool).count();
    Report {
        protocol: "frozen",
        cut_us: known.cut.0,
        overlap: known.overlap,
        rows: rows(&all),
        differences: ROWS.iter().enumerate().skip(1).map(difference).collect(),
        parts: [("moved", part(|p| p.moved)), ("new", part(|p| p.new))].into(),
        recall_at_pool: in_pool as f64 / positions.len().max(1) as f64,
        unknown_targets: unknown,
        dead_lettered,
    }
}

impl Report {
    /// For a person.
    pub(crate) fn text(&self) -> String {
        let mut lines = Vec::new();
        let mut table = |title: &str, rows: &[Row]| {
            let positions = rows.first().map_or(0, |row| row.positions);
            lines.push(format!("{title}: {positions} positions"));
            lines.push(format!("  {:<12} {:>7} {:>7} {:>7}", "", "HR@20", "MRR@20", "NDCG@20"));
            for row in rows {
                lines.push(format!(
                    "  {:<12} {:>7.4} {:>7.4} {:>7.4}",
                    row.name, row.hr, row.mrr, row.ndcg
                ));
            }
        };
        table("all", &self.rows);
        for (name, rows) in &self.parts {
            table(name, rows);
        }
        lines.push("twofold less the other, 95 % interval, paired by session:".to_owned());
        for difference in &self.differences {
            let show = |i: &Interval| format!("{:+.4} [{:+.4}, {:+.4}]", i.mean, i.low, i.high);
            lines.push(format!(
                "  {:<12} HR {}  MRR {}",
                difference.over,
                show(&difference.hr),
                show(&difference.mrr)
            ));
        }
        lines.push(format!(
            "recall of the candidates {:.4}; {} targets unknown in training, {} lines dead-lettered, \
             {} events overlap what was known",
            self.recall_at_pool, self.unknown_targets, self.dead_lettered, self.overlap
        ));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_those_of_the_textbook() {
        let position = |session, rank| Position {
            session,
            moved: rank == Some(2),
            new: false,
            ranks: [rank, None, None, None, None],
            in_pool: rank.is_some(),
        };
        let positions = [position(0, Some(1)), position(0, Some(2)), position(1, None)];
        let report = report(&positions, &Known { cut: EventTime(3), overlap: 2 }, 4, 5);
        let row = &report.rows[0];
        assert!((row.hr - 2.0 / 3.0).abs() < 1e-12);
        assert!((row.mrr - 0.5).abs() < 1e-12);
        assert!((row.ndcg - (1.0 + 1.0 / 3f64.log2()) / 3.0).abs() < 1e-12);
        assert_eq!(report.parts["moved"][0].positions, 1);
        assert_eq!(report.parts["new"][0].positions, 0);
        assert!((report.recall_at_pool - 2.0 / 3.0).abs() < 1e-12);
        assert!(report.text().contains("4 targets unknown"));
    }
}
