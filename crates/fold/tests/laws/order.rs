//! State is a function of the set: any order, any partials, any association, the same bytes.

use std::{collections::BTreeSet, sync::Arc};

use fold::{EntityState, Inputs, KeyFold, Place, Plan, StateKey};
use proptest::{collection::vec, prelude::*};
use record::{EventTime, Offset, Partition};

use super::{
    fixture::*,
    reference::{self, Admitted, Broken},
    stream::{by_entity, marked, run},
};

/// Folds events in the order given.
fn fold_in_order(plan: &Arc<Plan>, events: &[Admitted]) -> KeyFold {
    let placed: Vec<_> = events.iter().map(|seen| (seen.clone(), place(seen))).collect();
    fold_at(plan, &placed)
}

fn fold_at(plan: &Arc<Plan>, events: &[(Admitted, Place)]) -> KeyFold {
    let rows: Vec<Event> = events.iter().map(|(seen, _)| seen.event.clone()).collect();
    let columns = columns(&rows);
    let inputs = Inputs::new(plan, &columns);
    let mut fold = KeyFold::new(plan);
    for (row, (_, place)) in events.iter().enumerate() {
        fold.push(&inputs, row, *place);
    }
    fold
}

fn place(seen: &Admitted) -> Place {
    Place { at: EventTime(seen.at), partition: Partition(3), offset: Offset(seen.offset) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_order_gives_the_same_bytes(events in log(100), keys in vec(any::<u32>(), 100), by_item: bool) {
        let lane = lane(by_item);
        let plan = Plan::new(&lane);
        let (store, _, _) = run(&lane, &events, &[], false);
        let (_, admitted, _) = reference::admit(&marked(&lane, &events), Broken::default());
        for (key, events) in by_entity(&lane, &admitted) {
            let stored = EntityState::decode(&lane, &store[&StateKey::entity(&lane, &key)]);
            let stored = stored.expect("bytes of a commit").encode();
            let mut shuffled: Vec<_> = events.iter().zip(&keys).collect();
            shuffled.sort_by_key(|(_, key)| **key);
            let shuffled: Vec<Admitted> = shuffled.into_iter().map(|(seen, _)| seen.clone()).collect();
            prop_assert_eq!(fold_in_order(&plan, &shuffled).state().encode(), stored);
        }
    }

    #[test]
    fn partials_merge_in_any_association(
        events in log(100),
        parts in vec(0..3usize, 100),
        order in Just([0usize, 1, 2]).prop_shuffle(),
    ) {
        let lane = lane(true);
        let plan = Plan::new(&lane);
        // One key for all.
        let (_, admitted, _) = reference::admit(&marked(&lane, &events), Broken::default());
        // Each partial is a partition's, with offsets of its own: places tie but for the partition.
        let placed: Vec<(Admitted, Place)> = admitted
            .into_iter()
            .zip(&parts)
            .map(|(seen, part)| {
                let partition = Partition(*part as u32);
                let offset = Offset(seen.offset / 8);
                let place = Place { partition, offset, ..place(&seen) };
                (seen, place)
            })
            .collect();
        let mut taken = BTreeSet::new();
        let placed: Vec<_> = placed.into_iter().filter(|(_, place)| taken.insert(*place)).collect();
        let whole = fold_at(&plan, &placed).state().encode();
        let part = |wanted: usize| {
            let mine = placed.iter().filter(|(_, place)| place.partition.0 as usize == wanted);
            let mine: Vec<_> = mine.cloned().collect();
            let bytes = fold_at(&plan, &mine).state().encode();
            let restored = plan.decode(&bytes);
            restored.expect("own bytes")
        };
        let [a, b, c] = order.map(part);
        let mut left = a.clone();
        left.merge(&b);
        left.merge(&c);
        let mut right = b;
        right.merge(&c);
        let mut other = a;
        other.merge(&right);
        prop_assert_eq!(left.encode(), whole.clone());
        prop_assert_eq!(other.encode(), whole.clone());
        other.merge(&EntityState::empty(&lane));
        prop_assert_eq!(other.encode(), whole);
    }

    #[test]
    fn a_read_between_pushes_sees_only_what_came_before(events in log(80)) {
        let lane = lane(false);
        let plan = Plan::new(&lane);
        let (_, admitted, _) = reference::admit(&events, Broken::default());
        for (_, mut events) in by_entity(&lane, &admitted) {
            events.sort_by_key(|seen| (seen.at, seen.offset));
            let rows: Vec<Event> = events.iter().map(|seen| seen.event.clone()).collect();
            let columns = columns(&rows);
            let inputs = Inputs::new(&plan, &columns);
            let mut fold = KeyFold::new(&plan);
            for (row, seen) in events.iter().enumerate() {
                let values = fold.values(EventTime(seen.at), None);
                for feature in (0..lane.features.len()).filter(|f| ![12, 17].contains(f)) {
                    let expected = reference::value(&lane, feature, &events[..row], seen.at, Broken::default());
                    prop_assert_eq!(&values[feature], &expected, "feature {}", feature);
                }
                fold.push(&inputs, row, place(seen));
            }
        }
    }
}
