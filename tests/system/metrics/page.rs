//! A scrape and what a strict reader makes of it: OpenMetrics 1.0, as far as it is used here.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Labels of a sample, sorted.
pub(crate) type Labels = BTreeMap<String, String>;

/// A page that has passed the lint.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) kinds: BTreeMap<String, String>,
    samples: BTreeMap<(String, Labels), f64>,
}

/// Asks once; the whole answer, head and body.
pub(crate) fn ask(address: &str, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// Scrapes and lints.
pub(crate) fn scrape(address: &str) -> Page {
    let (head, body) = ask(address, "GET /metrics");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(head.lines().any(|line| line == kind), "{head}");
    Page::read(&body)
}

impl Page {
    /// The value of a sample with these labels among its own; all such samples added up.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted = |of: &Labels| labels.iter().all(|(k, v)| of.get(*k).is_some_and(|x| x == v));
        let found = self.samples.iter().filter(|((of, labels), _)| of == name && wanted(labels));
        found.map(|(_, value)| value).sum()
    }

    /// Values of one name.
    pub(crate) fn values(&self, name: &str) -> Vec<f64> {
        let found = self.samples.iter().filter(|((of, _), _)| of == name);
        found.map(|(_, value)| *value).collect()
    }

    /// The labels of the only sample of this name.
    pub(crate) fn labels(&self, name: &str) -> &Labels {
        let mut found = self.samples.keys().filter(|(of, _)| of == name);
        let (_, labels) = found.next().unwrap_or_else(|| panic!("no {name}"));
        assert!(found.next().is_none(), "several {name}");
        labels
    }

    /// Samples that may only rise.
    pub(crate) fn rising(&self) -> impl Iterator<Item = (&(String, Labels), f64)> {
        let ends = ["_total", "_count", "_sum", "_bucket"];
        let rising = move |name: &str| ends.iter().any(|end| name.ends_with(end));
        let samples = self.samples.iter().filter(move |((name, _), _)| rising(name));
        samples.map(|(key, value)| (key, *value))
    }

    /// What Prometheus stores: names of samples, without the parts of a histogram.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let names = self.kinds.iter().map(|(family, kind)| match kind.as_str() {
            "counter" => format!("{family}_total"),
            "info" => format!("{family}_info"),
            _ => family.clone(),
        });
        names.collect()
    }

    pub(crate) fn read(body: &str) -> Self {
        let text = body.strip_suffix("# EOF\n").expect("it ends with # EOF");
        let mut page = Self::default();
        let (mut helped, mut current) = (BTreeSet::new(), String::new());
        for line in text.lines() {
            assert!(!line.is_empty() && line.trim() == line, "{line:?}");
            let words: Vec<&str> = line.splitn(4, ' ').collect();
            match words[..] {
                ["#", "HELP", family, help] => {
                    check_name(family);
                    assert!(helped.insert(family.to_owned()), "HELP twice: {line}");
                    assert!(!help.is_empty() && !help.contains('\\'), "{line}");
                    current = family.to_owned();
                }
                ["#", "TYPE", family, kind] => {
                    assert_eq!(family, current, "{line}");
                    let kinds = ["counter", "gauge", "histogram", "info"];
                    assert!(kinds.contains(&kind), "{line}");
                    let before = page.kinds.insert(family.to_owned(), kind.to_owned());
                    assert!(before.is_none(), "TYPE twice: {line}");
                }
                ["#", "UNIT", family, unit] => {
                    assert_eq!(family, current, "{line}");
                    assert!(family.ends_with(&format!("_{unit}")), "{line}");
                }
                _ => page.sample(line, &current),
            }
        }
        page.check_histograms();
        page
    }

    fn sample(&mut self, line: &str, family: &str) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, read_labels(labels.strip_suffix('}').unwrap())),
            None => (series, Labels::new()),
        };
        let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("outside of it: {line}"));
        let fits = match self.kinds[family].as_str() {
            "counter" => suffix == "_total",
            "gauge" => suffix.is_empty(),
            "info" => suffix == "_info" && value == "1",
            _ => ["_bucket", "_count", "_sum"].contains(&suffix),
        };
        assert!(fits, "{line}");
        let value: f64 = value.parse().unwrap();
        assert!(value.is_finite() && value >= 0.0, "{line}");
        let before = self.samples.insert((name.to_owned(), labels), value);
        assert!(before.is_none(), "twice: {line}");
    }

    /// Buckets rise to the count, and the last one has all.
    fn check_histograms(&self) {
        let histograms = self.kinds.iter().filter(|(_, kind)| *kind == "histogram");
        for (family, _) in histograms {
            let bucket = format!("{family}_bucket");
            let mut series: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
            for ((name, labels), value) in &self.samples {
                if *name == bucket {
                    let mut labels = labels.clone();
                    let bound = labels.remove("le").unwrap();
                    let bound =
                        if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
                    series.entry(labels).or_default().push((bound, *value));
                }
            }
            assert!(!series.is_empty(), "{family}");
            for (labels, mut buckets) in series {
                buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
                assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{buckets:?}");
                let (bound, all) = *buckets.last().unwrap();
                let count = self.samples[&(format!("{family}_count"), labels.clone())];
                assert_eq!((bound, all), (f64::INFINITY, count), "{family} {labels:?}");
                assert!(self.samples.contains_key(&(format!("{family}_sum"), labels)));
            }
        }
    }
}

fn check_name(family: &str) {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    assert!(family.chars().all(fits), "{family}");
    assert!(family.starts_with("twofold_") || family.starts_with("process_"), "{family}");
    assert!(!family.ends_with("_total") && !family.ends_with("_info"), "{family}");
}

fn read_labels(text: &str) -> Labels {
    let mut labels = Labels::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").unwrap();
        let fits = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(!name.is_empty() && name.chars().all(fits), "{text}");
        let (value, after) = after.split_once('"').unwrap();
        assert!(!value.contains('\\'), "{text}");
        assert!(labels.insert(name.to_owned(), value.to_owned()).is_none(), "{text}");
        rest = match after.strip_prefix(',') {
            Some(more) => {
                assert!(!more.is_empty(), "{text}");
                more
            }
            None => {
                assert!(after.is_empty(), "{text}");
                after
            }
        };
    }
    labels
}
