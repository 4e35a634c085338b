use super::*;
use crate::Epoch;
use crate::training_set::tests::Fixture;

fn quick() -> Settings {
    Settings { epochs_max: 15, positions_per_batch: 32, patience: 15, ..Settings::default() }
}

#[test]
fn learns_an_order_that_no_single_input_has() {
    let set = Fixture::new(1500).open().unwrap();
    let mut epochs = 0;
    let mut count = |_: &Epoch| epochs += 1;
    let (ranker, report) = Ranker::fit(&set, &quick(), &mut count).unwrap();
    assert_eq!(epochs, report.epochs.len());
    assert_eq!((report.trained, report.validated, report.without_target), (1350, 150, 0));
    // First of five: chance is 20 %.
    let first = |position: usize| {
        let rows = set.rows_of(position);
        let scores = ranker.score(&set.inputs[rows.start * 3..rows.end * 3], rows.len());
        let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
        set.labels[(rows.start + best) * 3] == 1
    };
    let hits = (1350..1500).filter(|&position| first(position)).count();
    assert!(hits >= 135, "{hits} of 150");
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let set = Fixture::new(200).open().unwrap();
    let settings = Settings { epochs_max: 2, ..quick() };
    let bytes = |settings: &Settings| {
        crate::tensors::encode(Ranker::fit(&set, settings, &mut ()).unwrap().0.tensors())
    };
    let once = bytes(&settings);
    assert!(once == bytes(&settings), "two trainings with one seed differ");
    assert!(once != bytes(&Settings { seed: 2, ..settings }), "the seed does nothing");
}

#[test]
fn stops_early_and_keeps_the_best_epoch() {
    let mut fixture = Fixture::new(400);
    // Labels of chance: the more it learns, the worse it gets on what it has not seen.
    fixture.click =
        (0..2000).map(|row| u8::from(row % 5 == (row / 5 * 7 + row / 35) % 5)).collect();
    let set = fixture.open().unwrap();
    let settings = Settings { epochs_max: 60, patience: 2, learning_rate: 3e-2, ..quick() };
    let (_, report) = Ranker::fit(&set, &settings, &mut ()).unwrap();
    assert!(report.epochs.len() < 60, "{} epochs", report.epochs.len());
    let losses: Vec<f64> = report.epochs.iter().map(|e| e.validation_loss.unwrap()).collect();
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(report.metrics["loss"], least);
    assert!(losses[losses.len() - 1] > least);
}

#[test]
fn positions_without_a_target_are_skipped_and_counted() {
    let mut fixture = Fixture::new(100);
    fixture.click[..50].fill(0);
    let set = fixture.open().unwrap();
    let (_, report) = Ranker::fit(&set, &Settings { epochs_max: 1, ..quick() }, &mut ()).unwrap();
    assert_eq!((report.trained, report.without_target), (80, 10));
    fixture.click.fill(0);
    let error = Ranker::fit(&fixture.open().unwrap(), &quick(), &mut ()).unwrap_err();
    assert!(matches!(error, Error::NoTargets { positions: 100 }), "{error}");
}

#[test]
fn a_task_counts_only_where_it_has_labels() {
    let settings = Settings { epochs_max: 1, ..quick() };
    let mut fixture = Fixture::new(60);
    let (ranker, _) = Ranker::fit(&fixture.open().unwrap(), &settings, &mut ()).unwrap();
    assert_eq!(ranker.mix(), [1.0, 0.0, 0.0]);
    fixture.purchase = fixture.click.clone();
    let (ranker, _) = Ranker::fit(&fixture.open().unwrap(), &settings, &mut ()).unwrap();
    assert_eq!(ranker.mix(), [1.0, 0.0, 0.5]);
}

/// A ranker with weights of chance and `width` inputs.
fn random(width: usize) -> Ranker {
    let shape = Shape { inputs: width, hidden: [32, 16] };
    let names = (0..width).map(|i| format!("input{i}")).collect();
    let normalisation = Normalisation { mean: vec![0.1; width], scale: vec![1.5; width] };
    let mut tensors = shape.initial(3);
    let wide = tensors.get_mut("wide.weight").unwrap();
    wide.values.iter_mut().enumerate().for_each(|(at, w)| *w = (at as f32 * 0.37).sin());
    Ranker::new(names, shape, normalisation, [1.0, 0.5, 0.25], tensors)
}

fn rows(count: usize, width: usize) -> Vec<f32> {
    (0..count * width).map(|at| (at as f32 * 0.7).sin() * 2.0).collect()
}

#[test]
fn a_row_has_the_same_bits_whatever_comes_with_it() {
    for width in [3, 15, 40] {
        let ranker = random(width);
        let inputs = rows(500, width);
        let all = ranker.score(&inputs, 500);
        for at in [0, 1, 127, 128, 255, 499] {
            let alone = ranker.score(&inputs[at * width..(at + 1) * width], 1);
            assert_eq!(alone[0].to_bits(), all[at].to_bits(), "row {at} of width {width}");
        }
        for (from, to) in [(3, 77), (100, 400), (250, 500)] {
            let part = ranker.score(&inputs[from * width..to * width], to - from);
            assert!(part == all[from..to], "rows {from} to {to} of width {width}");
        }
        assert!(ranker.score(&[], 0).is_empty());
    }
}

#[test]
fn burn_computes_the_formula_of_the_documentation() {
    let (width, ranker) = (15, random(15));
    let inputs = rows(40, width);
    let t = |name: &str| &ranker.tensors()[name].values;
    let layer = |x: &[f64], weight: &str, bias: Option<&str>| -> Vec<f64> {
        let sums = t(weight)
            .chunks(x.len())
            .map(|row| row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>());
        let bias = |o: usize| bias.map_or(0.0, |name| f64::from(t(name)[o]));
        sums.enumerate().map(|(o, sum)| sum + bias(o)).collect()
    };
    let relu = |x: Vec<f64>| x.into_iter().map(|v| v.max(0.0)).collect::<Vec<_>>();
    for (row, score) in inputs.chunks(width).zip(ranker.score(&inputs, 40)) {
        let x: Vec<f64> =
            row.iter().map(|v| ((f64::from(*v) - 0.1) / 1.5).clamp(-8.0, 8.0)).collect();
        let h = relu(layer(&x, "hidden1.weight", Some("hidden1.bias")));
        let h = relu(layer(&h, "hidden2.weight", Some("hidden2.bias")));
        let logits =
            layer(&x, "wide.weight", None).into_iter().zip(layer(&h, "heads.weight", None));
        let expected: f64 = logits.zip([1.0, 0.5, 0.25]).map(|((a, b), m)| (a + b) * m).sum();
        assert!((f64::from(score) - expected).abs() < 1e-4, "{score} and {expected}");
    }
}

#[test]
fn a_nan_spoils_only_its_own_row_and_threads_agree() {
    let (width, ranker) = (15, random(15));
    let mut inputs = rows(300, width);
    let clean = ranker.score(&inputs, 300);
    inputs[42 * width + 3] = f32::NAN;
    let scores = ranker.score(&inputs, 300);
    assert!(scores[42].is_nan());
    assert_eq!(scores[..42], clean[..42]);
    assert_eq!(scores[43..], clean[43..]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (ranker, clean, inputs) = (&ranker, &clean, &inputs);
            scope.spawn(move || {
                for _ in 0..20 {
                    assert_eq!(ranker.score(&inputs[..40 * width], 40), clean[..40]);
                }
            });
        }
    });
}
