//! Responses as the service would have recorded them, replayed by parity; then one thing is changed at a
//! time and must be found.

use std::collections::BTreeMap;

use batch::parity;
use definitions::Lane;
use fold::{Value, decode_values};
use wire::v1;
use wire::v1::lane_read::Outcome;

use super::shop::{self, PARTITIONS};
use super::values::{engine, run};
use super::world::{K, World, answer_as_recorded, unscore};

#[test]
fn what_was_served_is_what_the_log_gives_and_one_changed_bit_is_found() {
    let world = World::new(11);
    let report = world.parity();
    assert_eq!((report.responses, report.mismatched), (12, 0), "{report:#?}");
    assert!(report.values > 2_000 && report.skipped.is_empty(), "{report:#?}");

    // Several passes over the log compare the same.
    let passes = run(parity::run_in_passes(&engine(), &world.job(), 1)).unwrap();
    assert_eq!(passes, report);

    // What was changed is named, and nothing else is.
    let found = |name: &str, change: &dyn Fn(&mut v1::Served)| {
        world.change(5, change);
        let report = world.parity();
        assert!(report.mismatched > 0, "{name} went unseen");
        let all = report.mismatches.iter().all(|m| m.request_id == "r5");
        assert!(
            all && report.mismatches.iter().any(|m| m.what.contains(name)),
            "{name}: {report:#?}"
        );
        world.restore();
        report.mismatched
    };
    let feature =
        |name: &'static str, row: &mut Vec<u8>, change: &dyn Fn(&mut Value), lane: &Lane| {
            let mut values = decode_values(row).unwrap();
            let at = lane.features.iter().position(|f| f.name == name).unwrap();
            change(&mut values[at]);
            *row = fold::encode_values(&values);
        };
    let more = |value: &mut Value| match value {
        Value::Int(count) => *count += 1,
        other => panic!("{other:?} is no count"),
    };
    let lanes = world.bundle.joiner.visitor_lanes().to_vec();
    found("user_activity.views_7d", &|served| {
        feature("views_7d", &mut served.visitor_features[0], &more, &lanes[0]);
    });
    let items = world.bundle.joiner.item_lanes().to_vec();
    let popularity = items.iter().position(|l| l.source.name == "clickstream").unwrap();
    found("item_popularity.carts_7d of item", &|served| {
        let row = &mut served.candidates[1].item_features[popularity];
        feature("carts_7d", row, &more, &items[popularity]);
    });
    let score = |served: &mut v1::Served| {
        let hit = &mut served.candidates[0].sources[0];
        hit.score = f64::from_bits(hit.score.to_bits() ^ 1);
    };
    assert_eq!(found("source ", &score), 1, "the last bit of one source's score");
    found("watermark", &|served| served.item_table_reads[6].watermark_us += 1);
    found("watermark", &|served| served.visitor_reads[0].watermark_us -= 1);
    found("score of item", &|served| served.candidates[2].score = Some(0.5));
    found("input ", &|served| served.candidates[2].inputs[0] += 1.0);
    found("whether lane", &|served| served.visitor_reads[0].set_outcome(Outcome::Absent));
    found("whether the table knew", &|served| served.candidates[0].item_features.clear());
    // A hit that was not there, and one that was left out.
    found("source ", &|served| drop(served.candidates[0].sources.remove(0)));
    // A read at another position or time gives other values.
    found("user_", &|served| {
        let position = served.visitor_reads[0].position.as_mut().unwrap();
        position.next /= 2;
    });
    found("user_", &|served| {
        served.response.as_mut().unwrap().as_of_us += 3 * 3_600 * shop::SECOND_US;
    });
}

/// Swaps the candidates at two places, which take each other's position.
fn swap(served: &mut v1::Served, a: usize, b: usize) {
    let candidates = &mut served.candidates;
    candidates.swap(a, b);
    let position = candidates[a].position;
    candidates[a].position = candidates[b].position;
    candidates[b].position = position;
    answer_as_recorded(served);
}

#[test]
fn the_order_of_the_list_is_the_selectors_and_the_answer_is_the_record() {
    let world = World::new(15);
    let report = |change: &dyn Fn(&mut v1::Served)| {
        world.change(5, change);
        let report = world.parity();
        world.restore();
        report
    };
    let found = |change: &dyn Fn(&mut v1::Served), what: &str| {
        let report = report(change);
        assert_eq!(report.mismatched, 1, "{what}: {report:#?}");
        assert_eq!(report.mismatches[0].request_id, "r5");
        assert!(report.mismatches[0].what.contains(what), "{what}: {report:#?}");
    };
    let whole = world.parity();
    assert_eq!((whole.mismatched, whole.skipped.len()), (0, 0), "{whole:#?}");

    // By score, the served ones among themselves and before what was left out.
    found(&|served| swap(served, 0, 1), "place 1 of the answer");
    found(&|served| swap(served, 2, 4), "place 3 of the answer");
    found(&|served| swap(served, K - 1, K), "place 6 of the answer");
    // The answer is not what the record says.
    found(&|served| served.response.as_mut().unwrap().items.swap(0, 1), "the list of the answer");
    found(&|served| drop(served.response.as_mut().unwrap().items.pop()), "the list of the answer");
    let score = |served: &mut v1::Served| {
        let item = &mut served.response.as_mut().unwrap().items[1];
        item.score = item.score.map(|score| f32::from_bits(score.to_bits() ^ 1));
    };
    found(&score, "the list of the answer");
    // Nothing was recorded, but something was answered.
    found(&|served| served.candidates.clear(), "the list of the answer");

    // Nothing in both is an answer like any other: its list is compared, and nothing is skipped.
    let empty = report(&|served| {
        served.candidates.clear();
        answer_as_recorded(served);
    });
    assert_eq!((empty.mismatched, empty.skipped.len(), empty.responses), (0, 0, 12), "{empty:#?}");
    let without = report(&|served| {
        served.candidates.clear();
        answer_as_recorded(served);
        served.visitor_reads.clear();
        served.visitor_features.clear();
    });
    assert!(without.values < empty.values && empty.values < whole.values);
}

/// What no model scored has the order of the sources, and a fallback's that of the trending list.
#[test]
fn an_answer_without_scores_is_in_the_order_of_its_sources() {
    let world = World::new(16);
    let (_, before) = &world.responses[5];
    let catalogue = &world.indexes.catalogue;
    let fused = world.in_order_of_fusion(before);
    let trending: Vec<&str> =
        world.indexes.trending.iter().map(|entry| &**catalogue.id(entry.item)).collect();
    let by_score: Vec<String> = before.candidates.iter().map(|c| c.item_id.clone()).collect();
    let of_recorded = |ids: &[&str]| {
        let ids = ids.iter().map(|id| (*id).to_owned()).filter(|id| by_score.contains(id));
        ids.collect::<Vec<_>>()
    };
    assert_ne!(of_recorded(&trending), fused, "else the test says little");
    assert_ne!(by_score, fused, "else the test says little");
    let trending = of_recorded(&trending);
    for (tier, order) in [(v1::Tier::Heuristic, &fused), (v1::Tier::Popular, &trending)] {
        for swapped in [false, true] {
            world.change(5, |served| {
                served.response.as_mut().unwrap().set_tier(tier);
                unscore(served, order);
                if swapped {
                    swap(served, 1, 2);
                }
            });
            let report = world.parity();
            let places: Vec<&str> = report.mismatches.iter().map(|m| m.what.as_str()).collect();
            let expected: &[&str] = if swapped { &["place 2 of the answer"] } else { &[] };
            assert_eq!(places, expected, "{tier:?}");
            assert_eq!(report.skipped, BTreeMap::from([("unscored", 1)]));
            world.restore();
        }
    }
}

/// One response's bundle is gone; others have the same vectors in a bundle that is there.
#[test]
fn vectors_that_one_bundle_lacks_are_looked_for_in_the_next() {
    let world = World::new(17);
    let lanes = world.bundle.joiner.visitor_lanes().len() as u64;
    for n in 0..12 {
        world.change(n, |served| served.response.as_mut().unwrap().bundle = "another".into());
        let report = world.parity();
        // Its own scores, and its features where no response before it had these vectors.
        assert_eq!(report.skipped["bundle_gone"], 1, "response {n}: {report:#?}");
        let gone = report.skipped.get("embedding_gone").copied().unwrap_or(0);
        assert!((0..=lanes).contains(&gone), "response {n}: {report:#?}");
        assert_eq!(report.mismatched, 0, "{report:#?}");
        world.restore();
    }
}

#[test]
fn a_changed_record_of_the_log_is_found() {
    let world = World::new(12);
    let visitor = world.responses[11].1.request.as_ref().unwrap().visitor_id.clone();
    let partition = record::partition_for_key(visitor.as_bytes(), PARTITIONS as u32).0;
    let records = world.log.records("clickstream", partition);
    let own =
        |r: &&record::Record| r.key == visitor.as_bytes() && r.value.starts_with(b"{\"event_id\"");
    let of_visitor = records.iter().find(own).unwrap();
    let text = String::from_utf8(of_visitor.value.clone()).unwrap();
    let other = text.replace("\"item_id\":\"i", "\"item_id\":\"i1");
    world.log.change("clickstream", (partition, of_visitor.offset.0), other.into_bytes());
    assert!(world.parity().mismatched > 0);
}
