//! What a scrape gets, family by family: a name, what it means, and the values with their labels.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use runtime::histogram::Snapshot;

/// Labels of a value.
pub(super) type Labels = Vec<(&'static str, String)>;

/// A page that is written.
pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

/// Labels of these names.
pub(super) fn labels<const N: usize>(labels: [(&'static str, &str); N]) -> Labels {
    labels.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}

impl Page<'_> {
    /// Something that only rises; `_total` is added to its name.
    pub(super) fn counter(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels, u64)>,
    ) -> fmt::Result {
        self.family(name, help, None, MetricType::Counter, values, |encoder, value| {
            encoder.encode_counter::<NoLabelSet, _, f64>(value, None)
        })
    }

    /// Counters of one value each.
    pub(super) fn counters(&mut self, counters: &[(&str, &str, u64)]) -> fmt::Result {
        counters
            .iter()
            .try_for_each(|(name, help, value)| self.counter(name, help, [(Vec::new(), *value)]))
    }

    /// Something that may also fall.
    pub(super) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels, u64)>,
    ) -> fmt::Result {
        self.family(name, help, None, MetricType::Gauge, values, |encoder, value| {
            encoder.encode_gauge(value)
        })
    }

    /// A time; `_seconds` is added to its name.
    pub(super) fn seconds(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels, f64)>,
    ) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        self.family(name, help, unit, MetricType::Gauge, values, |encoder, value| {
            encoder.encode_gauge(value)
        })
    }

    /// Durations; `_seconds` is added to their name.
    pub(super) fn durations(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels, Snapshot)>,
    ) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        self.family(name, help, unit, MetricType::Histogram, values, |encoder, taken| {
            let doublings = taken.doublings();
            // Of the same buckets, so that both agree whatever is added meanwhile.
            let count = doublings.iter().map(|(_, count)| count).sum();
            let sum = taken.sum.as_secs_f64();
            encoder.encode_histogram::<NoLabelSet>(sum, count, &doublings, None)
        })
    }

    /// What is told by labels alone; `_info` is added to its name.
    pub(super) fn info(&mut self, name: &str, help: &str, labels: &Labels) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(labels)
    }

    fn family<V>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        kind: MetricType,
        values: impl IntoIterator<Item = (Labels, V)>,
        encode: impl Fn(&mut MetricEncoder<'_>, &V) -> fmt::Result,
    ) -> fmt::Result {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, unit, kind)?;
        for (labels, value) in values {
            match labels.is_empty() {
                true => encode(&mut family, &value)?,
                false => encode(&mut family.encode_family(&labels)?, &value)?,
            }
        }
        Ok(())
    }
}
