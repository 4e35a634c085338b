//! Traces travel beside records and change nothing: states have the same bytes with and without them.

use std::time::Duration;

use event_log::NewRecord;
use record::{Offset, Trace};

use crate::events::{clicks, view};
use crate::replay::digests;
use crate::world::{World, block_on, partitions, settings};

/// A trace of its own for every third record, and one that all others share.
fn traced(records: Vec<NewRecord>) -> Vec<NewRecord> {
    let trace = |n: usize| match n % 3 {
        0 => Trace::new([n as u8 + 1; 16], [1; 8]),
        _ => Trace { state: "shop=1".to_owned(), ..Trace::new([9; 16], [9; 8]) },
    };
    let with_trace = |(n, record)| NewRecord { trace: Some(Box::new(trace(n))), ..record };
    records.into_iter().enumerate().map(with_trace).collect()
}

#[test]
fn states_are_the_same_with_and_without_traces() {
    block_on(async {
        let (mut plain, with_traces) = (World::new(97).await, World::new(97).await);
        let mut numbers = 0;
        for _ in 0..20 {
            plain.clock.advance(Duration::from_secs(20));
            with_traces.clock.advance(Duration::from_secs(20));
            let records = clicks(&mut plain.rng, plain.clock.now(), &mut numbers, 40);
            with_traces.append("clickstream", traced(records.clone())).await;
            plain.append("clickstream", records).await;
        }
        let (of_plain, of_traced) =
            (plain.drain(settings()).await, with_traces.drain(settings()).await);
        let lanes = &plain.lanes;
        let stored = digests(plain.store.as_ref(), lanes).await;
        assert_eq!(stored, digests(with_traces.store.as_ref(), lanes).await);
        let measured = of_plain.measures().into_iter().zip(of_traced.measures());
        for ((lane, plain), (_, traced)) in measured {
            assert_eq!(plain.records, traced.records);
            let every_kind = plain.records.late > 0 && plain.records.dead_lettered > 0;
            assert!(every_kind || lane.source.name == "catalog", "{plain:?}");
        }
    });
}

#[test]
fn a_dead_letter_belongs_to_the_trace_of_its_record() {
    block_on(async {
        let world = World::new(98).await;
        let mut torn = view("a", "ann", "i1", world.clock.now());
        torn.value.truncate(20);
        let sent = traced(vec![torn]);
        world.append("clickstream", sent.clone()).await;
        world.drain(settings()).await;
        let mut letters = Vec::new();
        for (partition, bounds) in partitions().zip(world.log.bounds("dead-letter").await.unwrap())
        {
            let first = Offset(0);
            let mut reader = world.log.reader("dead-letter", partition, first).await.unwrap();
            while reader.position() < bounds.next {
                letters.extend(reader.next(10, Duration::from_secs(5)).await.unwrap());
            }
        }
        assert_eq!(letters.len(), 2, "one for each lane of the source");
        assert!(letters.iter().all(|letter| letter.trace == sent[0].trace), "{letters:?}");
    });
}
