//! Training: predict the next item of a sequence, as a softmax over the catalogue.

use burn::Tensor;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, TensorData};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::net::Towers;
use super::{Retriever, Settings};
use crate::progress::{Epoch, Progress};
use crate::sequences::Sequences;
use crate::tensors::Tensors;

/// Why nothing was trained.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No sequence has two different items.
    #[error("none of the {sequences} sequences has a next item to predict; import more events")]
    NoPositions {
        /// Sequences.
        sequences: usize,
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
    /// Items that have a vector.
    pub items: usize,
    /// Positions that were learned from while others were held out.
    pub trained: usize,
    /// Positions that were held out to find the number of epochs.
    pub validated: usize,
    /// Positions left out because there were more than `positions_max`.
    pub left_out: usize,
    /// The epochs, in order; those on all positions follow those that found their number.
    pub epochs: Vec<Epoch>,
}

/// A place in a sequence whose item is to be predicted from what came before.
#[derive(Debug, Clone, Copy)]
struct Position {
    sequence: usize,
    place: usize,
    at_us: i64,
}

impl Retriever {
    /// Trains on everything given; cut with [`Sequences::until`] first. The same sequences, settings
    /// and build give the same bytes.
    ///
    /// # Errors
    /// When there is nothing to predict, or the loss is not a number.
    pub fn fit(
        sequences: &Sequences,
        settings: &Settings,
        progress: &mut dyn Progress,
    ) -> Result<(Self, Report), Error> {
        let mut positions = positions(sequences);
        if positions.is_empty() {
            return Err(Error::NoPositions { sequences: sequences.sequences.len() });
        }
        positions.sort_by_key(|p| (p.at_us, p.sequence, p.place));
        let left_out = positions.len().saturating_sub(settings.positions_max.max(1));
        positions.drain(..left_out);
        let held = (positions.len() as f64 * settings.validation_share.clamp(0.0, 0.5)) as usize;
        let held = positions.split_off(positions.len() - held);
        let fit = |train: Vec<Position>, held| Fit { sequences, settings, train, held };
        let mut report = Report {
            items: sequences.items.len(),
            trained: positions.len(),
            validated: held.len(),
            left_out,
            epochs: Vec::new(),
        };
        let search = fit(positions.clone(), held.clone());
        let mut best = search.run(NAME, settings.epochs_max, progress, &mut report.epochs)?;
        if settings.refit && !held.is_empty() {
            let epochs =
                report.epochs.iter().filter(|e| e.best).map(|e| e.epoch).max().unwrap_or(1);
            positions.extend(held);
            best = fit(positions, Vec::new()).run(REFIT, epochs, progress, &mut report.epochs)?;
        }
        let trained_to_us = sequences.last_us().expect("there are positions");
        let items = sequences.items.clone();
        Ok((Self::new(items, best, settings.half_life_us, trained_to_us), report))
    }
}

/// Name of the training that finds the number of epochs.
const NAME: &str = "retriever";
/// Name of the training on every position.
const REFIT: &str = "retriever, all positions";

/// Every place whose item differs from the one before it: an item followed by itself teaches a
/// vector only that it is like itself, and the `recent` source knows that already.
fn positions(sequences: &Sequences) -> Vec<Position> {
    let of = |(sequence, events): (usize, &Vec<(u32, i64)>)| {
        let moved = |&place: &usize| events[place].0 != events[place - 1].0;
        let places = (1..events.len()).filter(moved);
        places.map(|place| Position { sequence, place, at_us: events[place].1 }).collect::<Vec<_>>()
    };
    sequences.sequences.iter().enumerate().flat_map(of).collect()
}

struct Fit<'a> {
    sequences: &'a Sequences,
    settings: &'a Settings,
    train: Vec<Position>,
    held: Vec<Position>,
}

impl Fit<'_> {
    /// Trains for at most `epochs_max` epochs and gives the weights of the best one: by the loss on
    /// the held-out positions; without any, the last.
    fn run(
        self,
        name: &'static str,
        epochs_max: usize,
        progress: &mut dyn Progress,
        epochs: &mut Vec<Epoch>,
    ) -> Result<Tensors, Error> {
        let settings = self.settings;
        let device = Device::flex().autodiff();
        let items = self.sequences.items.len();
        let mut towers = Towers::new(items, settings.dimension.max(1), settings.seed, &device);
        let mut optimiser = AdamWConfig::new().with_weight_decay(0.0).init();
        let mut rng = ChaCha8Rng::seed_from_u64(settings.seed ^ 0x7265_7472_6965_7665);
        let mut order = self.train.clone();
        let batch = settings.positions_per_batch.max(1);
        let steps = order.len().div_ceil(batch);
        let (mut best, mut best_loss, mut since_best) = (towers.tensors(), f64::INFINITY, 0);
        for epoch in 1..=epochs_max.max(1) {
            order.shuffle(&mut rng);
            let mut total = 0.0;
            for (step, positions) in order.chunks(batch).enumerate() {
                let among = self.among(positions, &mut rng);
                let loss = self.loss(&towers, positions, among, &device);
                let value = f64::from(loss.clone().into_scalar::<f32>());
                if !value.is_finite() {
                    let learning_rate = settings.learning_rate;
                    return Err(Error::Diverged { epoch, loss: value, learning_rate });
                }
                total += value * positions.len() as f64;
                let gradients = GradientsParams::from_grads(loss.backward(), &towers);
                let rate = self.rate((epoch - 1) * steps + step, steps);
                towers = optimiser.step(rate, towers, gradients);
                progress.batch(name, epoch, step + 1, steps);
            }
            let train_loss = total / order.len() as f64;
            let held = self.judge(&towers);
            // Without held-out positions the last epoch counts, as its number was found with some.
            let loss = held.map_or(-(epoch as f64), |(loss, _)| loss);
            let better = loss < best_loss;
            if better {
                (best, best_loss, since_best) = (towers.tensors(), loss, 0);
            } else {
                since_best += 1;
            }
            let told = Epoch {
                model: name,
                epoch,
                epochs_max,
                train_loss,
                validation_loss: held.map(|(loss, _)| loss),
                hit_rate_20: held.map(|(_, hits)| hits),
                best: better,
            };
            progress.epoch(&told);
            epochs.push(told);
            if since_best >= settings.patience.max(1) {
                break;
            }
        }
        Ok(best)
    }

    /// A cosine from the peak down to a twentieth.
    fn rate(&self, step: usize, steps_per_epoch: usize) -> f64 {
        let along = step as f64 / (steps_per_epoch * self.settings.epochs_max).max(1) as f64;
        let cosine = 0.525 + 0.475 * (std::f64::consts::PI * along.min(1.0)).cos();
        self.settings.learning_rate * cosine
    }

    /// Items of a step's softmax: `None` for the whole catalogue; else the targets and uniform others.
    fn among(&self, positions: &[Position], rng: &mut ChaCha8Rng) -> Option<Vec<u32>> {
        let (items, most) = (self.sequences.items.len(), self.settings.softmax_items_max);
        if items <= most.max(positions.len()) {
            return None;
        }
        let mut chosen: Vec<u32> = positions.iter().map(|p| self.event(*p).0).collect();
        chosen.extend((chosen.len()..most).map(|_| rng.random_range(0..items as u32)));
        chosen.sort_unstable();
        chosen.dedup();
        Some(chosen)
    }

    fn event(&self, position: Position) -> (u32, i64) {
        self.sequences.sequences[position.sequence][position.place]
    }

    /// History and weights of positions: the interest vector's own weights, 2^(−age / half-life), with
    /// age counted from the newest event that is seen, as a common factor cancels.
    fn history(&self, positions: &[Position]) -> (Vec<i32>, Vec<f32>, usize) {
        let most = self.settings.history_max.max(1);
        let length = positions.iter().map(|p| p.place.min(most)).max().unwrap_or(1);
        let mut ordinals = Vec::with_capacity(positions.len() * length);
        let mut weights = Vec::with_capacity(positions.len() * length);
        for (at, position) in positions.iter().enumerate() {
            let events = &self.sequences.sequences[position.sequence];
            let seen = &events[position.place.saturating_sub(length)..position.place];
            let newest = seen.last().map_or(0, |(_, at)| *at);
            for &(item, at_us) in seen {
                let age = (newest - at_us) as f64 / self.settings.half_life_us.max(1) as f64;
                ordinals.push(item as i32);
                weights.push((-age).exp2() as f32);
            }
            ordinals.resize((at + 1) * length, 0);
            weights.resize((at + 1) * length, 0.0);
        }
        (ordinals, weights, length)
    }

    fn cosines(
        &self,
        towers: &Towers,
        positions: &[Position],
        among: Option<&[u32]>,
        device: &Device,
    ) -> Tensor<2> {
        let (ordinals, weights, length) = self.history(positions);
        let history = ints(ordinals, device);
        let weights = TensorData::new(weights, [positions.len(), length]);
        let among = among.map(|a| ints(a.iter().map(|&item| item as i32).collect(), device));
        towers.forward(history, Tensor::from_data(weights, device), among)
    }

    /// Mean cross-entropy of the targets.
    fn loss(
        &self,
        towers: &Towers,
        positions: &[Position],
        among: Option<Vec<u32>>,
        device: &Device,
    ) -> Tensor<1> {
        let cosines = self.cosines(towers, positions, among.as_deref(), device);
        let place = |item: u32| match &among {
            Some(chosen) => chosen.binary_search(&item).expect("targets are among them"),
            None => item as usize,
        };
        let targets = positions.iter().map(|p| place(self.event(*p).0) as i32).collect();
        let targets = ints(targets, device).reshape([positions.len(), 1]);
        let logits = cosines.mul_scalar(self.settings.sharpness);
        log_softmax(logits, 1).gather(1, targets).mean().neg()
    }

    /// Loss over the whole catalogue and share of targets in the first 20, on the held-out positions.
    fn judge(&self, towers: &Towers) -> Option<(f64, f64)> {
        let towers = burn::module::Module::valid(towers);
        let (mut loss, mut hits) = (0.0, 0);
        for positions in self.held.chunks(256) {
            let cosines = self.cosines(&towers, positions, None, &Device::flex()).into_data();
            let cosines = cosines.as_slice::<f32>().expect("the device computes in f32");
            for (row, position) in cosines.chunks_exact(self.sequences.items.len()).zip(positions) {
                let target = row[self.event(*position).0 as usize];
                let sharpness = f64::from(self.settings.sharpness);
                let share =
                    row.iter().map(|c| (sharpness * f64::from(c - target)).exp()).sum::<f64>();
                loss += share.ln();
                hits += usize::from(row.iter().filter(|c| **c >= target).count() <= 20);
            }
        }
        let count = self.held.len() as f64;
        (!self.held.is_empty()).then(|| (loss / count, hits as f64 / count))
    }
}

fn ints(values: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}
