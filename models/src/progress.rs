//! How a training tells its caller where it is.

/// One pass over the training data, as it stood at its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Epoch {
    /// `ranker` or `retriever`.
    pub model: &'static str,
    /// From 1.
    pub epoch: usize,
    /// The most there can be; early stopping may end before.
    pub epochs_max: usize,
    /// Mean loss of the training positions, in nats.
    pub train_loss: f64,
    /// Mean loss of the validation positions, in nats; `None` where there are none.
    pub validation_loss: Option<f64>,
    /// Share of validation positions whose target is among the first 20.
    pub hit_rate_20: Option<f64>,
    /// Whether this epoch is the best so far, by validation loss.
    pub best: bool,
}

/// A listener of a training. The library never prints; a terminal draws its bar from this.
pub trait Progress {
    /// A batch of an epoch is done: `done` of `of`.
    fn batch(&mut self, model: &'static str, epoch: usize, done: usize, of: usize) {
        let _ = (model, epoch, done, of);
    }

    /// An epoch is done.
    fn epoch(&mut self, epoch: &Epoch);
}

/// Nobody listens.
impl Progress for () {
    fn epoch(&mut self, _: &Epoch) {}
}

/// A closure that hears epochs only.
impl<F: FnMut(&Epoch)> Progress for F {
    fn epoch(&mut self, epoch: &Epoch) {
        self(epoch);
    }
}
