use super::*;
use crate::{Epoch, Sequences};

/// Visitors that stay within one of four groups of ten items, a minute between events.
fn sequences(visitors: u64) -> Sequences {
    let mut state = 3_u64;
    let mut next = |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let rows: Vec<Vec<(Arc<str>, i64)>> = (0..visitors)
        .map(|visitor| {
            let group = next(4);
            let item = |place: i64, n: u64| {
                (
                    Arc::from(format!("g{group}-{n}")),
                    visitor as i64 * 1_000_000 + place * 60_000_000,
                )
            };
            (0..6).map(|place| item(place, next(10))).collect()
        })
        .collect();
    Sequences::new(&rows)
}

fn quick() -> Settings {
    Settings { dimension: 16, epochs_max: 8, positions_per_batch: 64, ..Settings::default() }
}

/// Share of the ten items nearest to a visitor of one item that are of the same group.
fn purity(retriever: &Retriever) -> f64 {
    let mut same = 0;
    for item in retriever.items() {
        let query = retriever.query(retriever.vector(item).unwrap());
        let dot = |v: &[f32]| v.iter().zip(&query).map(|(a, b)| a * b).sum::<f32>();
        let mut order: Vec<&Arc<str>> = retriever.items().iter().collect();
        order.sort_by(|a, b| {
            dot(retriever.vector(b).unwrap()).total_cmp(&dot(retriever.vector(a).unwrap()))
        });
        same += order[..10].iter().filter(|other| other[..2] == item[..2]).count();
    }
    same as f64 / (retriever.items().len() * 10) as f64
}

#[test]
fn items_that_follow_each_other_come_near_each_other() {
    let mut epochs = Vec::new();
    let mut note = |epoch: &Epoch| epochs.push(epoch.clone());
    let (retriever, report) = Retriever::fit(&sequences(300), &quick(), &mut note).unwrap();
    assert_eq!(report.epochs, epochs);
    assert_eq!((report.items, retriever.dimension()), (40, 16));
    assert_eq!(Some(retriever.trained_to_us()), sequences(300).last_us());
    let purity = purity(&retriever);
    assert!(purity > 0.95, "{purity}; chance is .25");
    for item in retriever.items() {
        let length: f32 = retriever.vector(item).unwrap().iter().map(|v| v * v).sum();
        assert!((length - 1.0).abs() < 1e-5);
    }
    assert!(retriever.vector("unknown").is_none());
}

#[test]
fn a_sampled_softmax_learns_as_well() {
    let settings = Settings { softmax_items_max: 30, positions_per_batch: 20, ..quick() };
    let (retriever, _) = Retriever::fit(&sequences(300), &settings, &mut ()).unwrap();
    let purity = purity(&retriever);
    assert!(purity > 0.9, "{purity}; chance is .25");
}

#[test]
fn the_same_seed_gives_the_same_digest_whatever_the_order_of_visitors() {
    let settings = Settings { epochs_max: 2, ..quick() };
    let sequences = sequences(100);
    let digest = |s: &Sequences, settings: &Settings| {
        Retriever::fit(s, settings, &mut ()).unwrap().0.digest()
    };
    assert_eq!(digest(&sequences, &settings), digest(&sequences, &settings));
    assert_ne!(
        digest(&sequences, &settings),
        digest(&sequences, &Settings { seed: 2, ..settings.clone() })
    );
    let named = |s: &Vec<(u32, i64)>| {
        s.iter().map(|&(item, at)| (sequences.items[item as usize].clone(), at)).collect()
    };
    let other = Sequences::new(&sequences.sequences.iter().rev().map(named).collect::<Vec<_>>());
    assert_eq!(digest(&sequences, &settings), digest(&other, &settings));
}

#[test]
fn saved_vectors_have_the_digest_of_the_trained_ones() {
    let settings = Settings { epochs_max: 1, ..quick() };
    let (trained, _) = Retriever::fit(&sequences(50), &settings, &mut ()).unwrap();
    let bytes = crate::tensors::encode(&trained.tensors());
    let tensors = crate::tensors::decode(&bytes, &shapes(trained.items().len(), 16)).unwrap();
    let items = trained.items().to_vec();
    let loaded = Retriever::new(items, tensors, trained.half_life_us(), trained.trained_to_us());
    assert_eq!(loaded.digest(), trained.digest());
    let interest = trained.vector(&trained.items()[0]).unwrap();
    assert_eq!(loaded.query(interest), trained.query(interest));
}

#[test]
fn nothing_to_predict_is_an_error() {
    let lonely = Sequences::new(&[vec![(Arc::from("a"), 1), (Arc::from("a"), 2)]]);
    let error = Retriever::fit(&lonely, &quick(), &mut ()).unwrap_err();
    assert!(matches!(error, Error::NoPositions { sequences: 1 }), "{error}");
}
