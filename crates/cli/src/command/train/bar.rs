//! A training's progress.

use models::Epoch;

use crate::output::Progress;

/// A bar over the batches of all epochs.
pub(super) struct EpochBar {
    bar: Progress,
    epochs_max: usize,
}

impl EpochBar {
    pub(super) fn new(what: &str, epochs_max: usize) -> Self {
        Self { bar: Progress::new(what, 0), epochs_max }
    }
}

impl models::Progress for EpochBar {
    fn batch(&mut self, _: &'static str, epoch: usize, done: usize, of: usize) {
        let (epoch, done, of) = (epoch as u64, done as u64, of as u64);
        self.bar.set((epoch - 1) * of + done, self.epochs_max as u64 * of);
    }

    fn epoch(&mut self, epoch: &Epoch) {
        let shown =
            |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.4}"));
        self.bar.message(format!(
            "{} {}: loss {:.4}, held-out loss {}, hit rate at 20 {}",
            epoch.model,
            epoch.epoch,
            epoch.train_loss,
            shown(epoch.validation_loss),
            shown(epoch.hit_rate_20)
        ));
    }
}
