use std::sync::Arc;

use record::{EventTime, Offset, Partition};

use super::spine::When;

/// The order in which a lane's events and spine rows go through the fold: which events a row sees.
///
/// A place is three numbers and a side. An event has side 1; a spine row at the same numbers reads
/// before it with side 0 and after it with side 2.
#[derive(Debug, Clone)]
pub enum Order {
    /// The total order (et, partition, offset): a row sees what happened before it.
    EventTime,
    /// Offsets of the key's one partition: a row sees what a head at its position covers.
    Position,
    /// Versions of a table of many partitions: version `v` covers, of partition `p`, what lies before
    /// `versions[v][p]`. Positions never fall from one version to the next, so an event belongs to
    /// every version from the first that covers it, and one pass serves them all.
    Versions(Arc<Vec<Vec<Offset>>>),
}

/// Side of an event among the rows at the same numbers.
pub(super) const EVENT: i8 = 1;

/// Place of a row in the order.
pub(super) type Place = ([i64; 3], i8);

impl Order {
    /// Where an event stands; `None` if no spine row can see it.
    pub(super) fn event(
        &self,
        at: EventTime,
        partition: Partition,
        offset: Offset,
    ) -> Option<Place> {
        match self {
            Self::EventTime => Some(([at.0, i64::from(partition.0), offset.0 as i64], EVENT)),
            Self::Position => Some(([offset.0 as i64, 0, 0], EVENT)),
            Self::Versions(versions) => {
                let covers = |version: &Vec<Offset>| {
                    version.get(partition.0 as usize).is_some_and(|next| *next > offset)
                };
                let first = versions.partition_point(|version| !covers(version));
                (first < versions.len()).then_some(([first as i64, 0, 0], EVENT))
            }
        }
    }

    /// Where a spine row stands.
    pub(super) fn spine(when: When) -> Place {
        match when {
            When::Before { at, partition, offset } => {
                ([at.0, i64::from(partition.0), offset.0 as i64], 0)
            }
            When::Through(at) => ([at.0, i64::MAX, i64::MAX], 2),
            When::Until(at) => ([at.0, i64::MIN, i64::MIN], 0),
            When::Position(next) => ([next.0 as i64, 0, 0], 0),
            When::Version(version) => ([version as i64, 0, 0], 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_belongs_to_the_first_version_that_covers_it() {
        let versions = [[0, 0], [2, 0], [2, 1], [5, 1]];
        let versions = versions.iter().map(|v| v.map(Offset).to_vec()).collect();
        let order = Order::Versions(Arc::new(versions));
        let first = |partition, offset| {
            order.event(EventTime(0), Partition(partition), Offset(offset)).map(|(o, _)| o[0])
        };
        assert_eq!([first(0, 0), first(0, 1), first(0, 2)], [Some(1), Some(1), Some(3)]);
        assert_eq!([first(0, 5), first(1, 0), first(1, 1)], [None, Some(2), None]);
        let event = order.event(EventTime(0), Partition(1), Offset(0)).expect("covered");
        assert!(event < Order::spine(When::Version(2)) && event > Order::spine(When::Version(1)));
    }

    #[test]
    fn a_row_of_the_log_reads_before_itself_and_one_from_outside_through_its_time() {
        let event =
            |at| Order::EventTime.event(EventTime(at), Partition(1), Offset(7)).expect("always");
        let own = When::Before { at: EventTime(5), partition: Partition(1), offset: Offset(7) };
        assert!(Order::spine(own) < event(5) && Order::spine(own) > event(4));
        assert!(Order::spine(When::Through(EventTime(5))) > event(5));
        assert!(Order::spine(When::Through(EventTime(5))) < event(6));
        assert!(Order::spine(When::Until(EventTime(5))) < event(5));
    }
}
