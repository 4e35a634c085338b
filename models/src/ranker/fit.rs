//! Training: softmax over each position's candidates, AdamW, early stopping on the last positions in
//! time.

use std::collections::BTreeMap;

use burn::Tensor;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, TensorData};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::net::Net;
use super::{Normalisation, Ranker, Settings, Shape};
use crate::progress::{Epoch, Progress};
use crate::training_set::{TASKS, TrainingSet};

/// Logit of a place without a candidate: small enough that its softmax is 0, and finite, so that no
/// gradient is NaN.
const ABSENT: f32 = -1e9;

/// Why nothing was trained.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No position has its target among its candidates.
    #[error(
        "none of the {positions} positions has its target among its candidates; nothing to learn"
    )]
    NoTargets {
        /// Positions in the set.
        positions: usize,
    },
    /// A loss that is not a number.
    #[error("the loss became {loss} in epoch {epoch}; lower `learning_rate` ({learning_rate})")]
    Diverged {
        /// From 1.
        epoch: usize,
        /// The loss.
        loss: f64,
        /// As set.
        learning_rate: f64,
    },
}

/// What a training did.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Positions that were learned from.
    pub trained: usize,
    /// Positions that were held out, those without a target included.
    pub validated: usize,
    /// Positions skipped because their target is not among their candidates.
    pub without_target: usize,
    /// The epochs, in order.
    pub epochs: Vec<Epoch>,
    /// Of the best epoch on the held-out positions: `hr@20`, `mrr@20` (over all held-out positions;
    /// one without its target is a miss), `loss`, and the same of the untrained order of each input
    /// that beats chance best, as `best_input_hr@20`.
    pub metrics: BTreeMap<String, f64>,
}

impl Ranker {
    /// Trains. The same set, settings and build give the same bytes.
    ///
    /// # Errors
    /// When no position has its target among its candidates, or the loss is not a number.
    pub fn fit(
        set: &TrainingSet,
        settings: &Settings,
        progress: &mut dyn Progress,
    ) -> Result<(Self, Report), Error> {
        Fit::new(set, settings)?.run(progress)
    }
}

struct Fit<'a> {
    set: &'a TrainingSet,
    settings: &'a Settings,
    normalisation: Normalisation,
    /// Task weights; 0 where no training position has a label.
    mix: [f32; 3],
    train: Vec<usize>,
    validation: Vec<usize>,
    without_target: usize,
}

impl<'a> Fit<'a> {
    fn new(set: &'a TrainingSet, settings: &'a Settings) -> Result<Self, Error> {
        let has = |position: usize| {
            let rows = set.rows_of(position);
            set.labels[rows.start * TASKS.len()..rows.end * TASKS.len()].contains(&1)
        };
        let mut order: Vec<usize> = (0..set.positions()).collect();
        order.sort_by_key(|&p| (set.at_us[p], p));
        let with_target = order.iter().filter(|&&p| has(p)).count();
        let held = (order.len() as f64 * settings.validation_share.clamp(0.0, 0.5)) as usize;
        let validation = order.split_off(order.len() - held);
        let train: Vec<usize> = order.into_iter().filter(|&p| has(p)).collect();
        if train.is_empty() {
            return Err(Error::NoTargets { positions: set.positions() });
        }
        // Only rows before the held-out tail may shape the inputs' scale.
        let rows = train.iter().flat_map(|&p| set.rows_of(p));
        let values: Vec<f32> = rows.clone().flat_map(|row| set.row(row)).copied().collect();
        let mut mix = settings.task_weights;
        for (task, weight) in mix.iter_mut().enumerate() {
            if !rows.clone().any(|row| set.labels[row * TASKS.len() + task] == 1) {
                *weight = 0.0;
            }
        }
        Ok(Self {
            set,
            settings,
            normalisation: Normalisation::of(&values, set.manifest.inputs.len()),
            mix,
            without_target: set.positions() - with_target,
            train,
            validation,
        })
    }

    fn run(self, progress: &mut dyn Progress) -> Result<(Ranker, Report), Error> {
        let settings = self.settings;
        let shape = Shape { inputs: self.set.manifest.inputs.len(), hidden: settings.hidden };
        let device = Device::flex().autodiff();
        let mut net = Net::new(&shape.initial(settings.seed), &device);
        let mut optimiser = AdamWConfig::new().with_weight_decay(settings.weight_decay).init();
        let mut rng = ChaCha8Rng::seed_from_u64(settings.seed ^ 0x0072_616e_6b65_7273);
        let steps = self.train.len().div_ceil(settings.positions_per_batch.max(1));
        let (mut best, mut best_loss, mut since_best) = (net.tensors(), f64::INFINITY, 0);
        let mut epochs = Vec::new();
        for epoch in 1..=settings.epochs_max.max(1) {
            let batches = self.batches(&mut rng);
            let mut total = 0.0;
            for (step, positions) in batches.iter().enumerate() {
                let loss = self.loss(&net, positions, &device);
                let value = f64::from(loss.clone().into_scalar::<f32>());
                if !value.is_finite() {
                    let learning_rate = settings.learning_rate;
                    return Err(Error::Diverged { epoch, loss: value, learning_rate });
                }
                total += value * positions.len() as f64;
                let gradients = GradientsParams::from_grads(loss.backward(), &net);
                let rate = self.rate((epoch - 1) * steps + step, steps);
                net = optimiser.step(rate, net, gradients);
                progress.batch("ranker", epoch, step + 1, batches.len());
            }
            let ranker = self.ranker(&shape, net.tensors());
            let held = self.judge(&ranker);
            let train_loss = total / self.train.len() as f64;
            let loss = held.as_ref().map_or(train_loss, |h| h.loss);
            let better = loss < best_loss;
            if better {
                (best, best_loss, since_best) = (net.tensors(), loss, 0);
            } else {
                since_best += 1;
            }
            epochs.push(Epoch {
                model: "ranker",
                epoch,
                epochs_max: settings.epochs_max,
                train_loss,
                validation_loss: held.as_ref().map(|h| h.loss),
                hit_rate_20: held.as_ref().map(|h| h.hit_rate),
                best: better,
            });
            progress.epoch(&epochs[epoch - 1]);
            if since_best >= settings.patience.max(1) {
                break;
            }
        }
        let ranker = self.ranker(&shape, best);
        let report = self.report(&ranker, epochs);
        Ok((ranker, report))
    }

    fn ranker(&self, shape: &Shape, tensors: crate::tensors::Tensors) -> Ranker {
        let inputs = self.set.manifest.inputs.clone();
        Ranker::new(inputs, shape.clone(), self.normalisation.clone(), self.mix, tensors)
    }

    /// Batches in a random order, each of positions with about as many candidates, so that little is
    /// padding.
    fn batches(&self, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
        let size = self.settings.positions_per_batch.max(1);
        let mut order = self.train.clone();
        order.shuffle(rng);
        let mut batches = Vec::new();
        for group in order.chunks_mut(size * 16) {
            group.sort_by_key(|&p| self.set.rows_of(p).len());
            batches.extend(group.chunks(size).map(<[usize]>::to_vec));
        }
        batches.shuffle(rng);
        batches
    }

    /// Warm-up over the first 50 steps, then a cosine down to a twentieth.
    fn rate(&self, step: usize, steps_per_epoch: usize) -> f64 {
        let all = (steps_per_epoch * self.settings.epochs_max).max(1) as f64;
        let warm = ((step + 1) as f64 / 50.0).min(1.0);
        let along = (step as f64 / all).min(1.0);
        let cosine = 0.525 + 0.475 * (std::f64::consts::PI * along).cos();
        self.settings.learning_rate * warm * cosine
    }

    /// Listwise cross-entropy: −Σ target · log softmax(logits over the position's candidates), a task
    /// at a time, averaged over the batch. Several positives share the target evenly.
    ///
    /// Source: Cao et al. 2007, *Learning to Rank: From Pairwise to Listwise*, §4 (top one).
    fn loss(&self, net: &Net, positions: &[usize], device: &Device) -> Tensor<1> {
        let widest = positions.iter().map(|&p| self.set.rows_of(p).len()).max().unwrap_or(0);
        let width = self.set.manifest.inputs.len();
        let mut inputs = Vec::with_capacity(positions.len() * widest * width);
        let mut absent = vec![0.0_f32; positions.len() * widest];
        let mut targets = vec![vec![0.0_f32; positions.len() * widest]; TASKS.len()];
        for (place, &position) in positions.iter().enumerate() {
            let rows = self.set.rows_of(position);
            for row in rows.clone() {
                self.normalisation.push(self.set.row(row), &mut inputs);
            }
            inputs.resize((place + 1) * widest * width, 0.0);
            absent[place * widest + rows.len()..(place + 1) * widest].fill(ABSENT);
            for (task, target) in targets.iter_mut().enumerate() {
                let label = |row: usize| self.set.labels[row * TASKS.len() + task];
                let positives = rows.clone().filter(|&row| label(row) == 1).count();
                for (at, row) in rows.clone().enumerate().filter(|&(_, row)| label(row) == 1) {
                    debug_assert!(rows.contains(&row));
                    target[place * widest + at] = 1.0 / positives as f32;
                }
            }
        }
        let grid = [positions.len(), widest];
        let inputs = TensorData::new(inputs, [positions.len() * widest, width]);
        let logits = net.forward(Tensor::from_data(inputs, device));
        let absent = Tensor::<2>::from_data(TensorData::new(absent, grid), device);
        let mut loss = Tensor::<1>::zeros([1], device);
        for (task, target) in targets.into_iter().enumerate().filter(|(t, _)| self.mix[*t] != 0.0) {
            let logits = logits.clone().narrow(1, task, 1).reshape(grid) + absent.clone();
            let target = Tensor::<2>::from_data(TensorData::new(target, grid), device);
            let scale = -self.mix[task] / positions.len() as f32;
            loss = loss + (log_softmax(logits, 1) * target).sum().mul_scalar(scale);
        }
        loss
    }

    /// Loss, hit rate and reciprocal rank on the held-out positions; `None` where there are none.
    fn judge(&self, ranker: &Ranker) -> Option<Held> {
        let mut held = Held::default();
        for &position in &self.validation {
            let rows = self.set.rows_of(position);
            let width = self.set.manifest.inputs.len();
            let inputs = &self.set.inputs[rows.start * width..rows.end * width];
            let scores = ranker.score(inputs, rows.len());
            held.add(&scores, |at| self.positive(rows.start + at));
        }
        held.mean(self.validation.len())
    }

    /// Whether a row is a hit for any task.
    fn positive(&self, row: usize) -> bool {
        self.set.labels[row * TASKS.len()..(row + 1) * TASKS.len()].contains(&1)
    }

    fn report(&self, ranker: &Ranker, epochs: Vec<Epoch>) -> Report {
        let mut metrics = BTreeMap::new();
        if let Some(held) = self.judge(ranker) {
            metrics.insert("loss".to_owned(), held.loss);
            metrics.insert("hr@20".to_owned(), held.hit_rate);
            metrics.insert("mrr@20".to_owned(), held.reciprocal_rank);
            metrics.insert("best_input_hr@20".to_owned(), self.best_input());
        }
        Report {
            trained: self.train.len(),
            validated: self.validation.len(),
            without_target: self.without_target,
            epochs,
            metrics,
        }
    }

    /// The hit rate of the best single input as an order: what a model must beat to be of use.
    fn best_input(&self) -> f64 {
        let of = |input: usize| {
            let mut held = Held::default();
            for &position in &self.validation {
                let rows = self.set.rows_of(position);
                let scores: Vec<f32> = rows.clone().map(|row| self.set.row(row)[input]).collect();
                held.add(&scores, |at| self.positive(rows.start + at));
            }
            held.mean(self.validation.len()).map_or(0.0, |held| held.hit_rate)
        };
        (0..self.set.manifest.inputs.len()).map(of).fold(0.0, f64::max)
    }
}

/// Sums over held-out positions, then means.
#[derive(Debug, Clone, Default, PartialEq)]
struct Held {
    loss: f64,
    with_target: usize,
    hit_rate: f64,
    reciprocal_rank: f64,
}

impl Held {
    /// Adds a position; ties go against the target, so that equal scores are no success.
    fn add(&mut self, scores: &[f32], positive: impl Fn(usize) -> bool) {
        let best = (0..scores.len())
            .filter(|&at| positive(at))
            .max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
        let Some(target) = best else { return };
        let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = scores.iter().map(|s| f64::from(s - top).exp()).sum();
        self.loss += sum.ln() - f64::from(scores[target] - top);
        self.with_target += 1;
        let ahead = |&(at, score): &(usize, &f32)| at != target && *score >= scores[target];
        let rank = 1 + scores.iter().enumerate().filter(ahead).count();
        if rank <= 20 {
            self.hit_rate += 1.0;
            self.reciprocal_rank += 1.0 / rank as f64;
        }
    }

    fn mean(mut self, positions: usize) -> Option<Self> {
        if self.with_target == 0 {
            return None;
        }
        self.loss /= self.with_target as f64;
        self.hit_rate /= positions as f64;
        self.reciprocal_rank /= positions as f64;
        Some(self)
    }
}
