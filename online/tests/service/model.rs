//! A model that needs no training: its scores are what a test says.

use std::sync::Arc;
use std::sync::Mutex;

use candidates::joined_row::Joiner;
use definitions::Definitions;
use fold::Embedding;
use online::service::{Loaded, Score, Towers};

/// What the scorer does with a row of inputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scoring {
    /// The sum of its inputs.
    Sum,
    /// NaN for every other row, else its number.
    HalfNan,
    /// Too few scores.
    Short,
    /// A panic.
    Panics,
    /// Takes this many milliseconds.
    Takes(u64),
}

pub(crate) struct Scorer(Mutex<Scoring>);

impl Scorer {
    pub(crate) fn new(scoring: Scoring) -> Arc<Self> {
        Arc::new(Self(Mutex::new(scoring)))
    }
}

impl Score for Scorer {
    fn score(&self, inputs: &[f32], rows: usize) -> Vec<f32> {
        let width = inputs.len() / rows.max(1);
        let sums = || inputs.chunks_exact(width).map(|row| row.iter().sum()).collect();
        let scoring = *self.0.lock().unwrap();
        match scoring {
            Scoring::Sum => sums(),
            Scoring::HalfNan => {
                let score = |row| if row % 2 == 0 { f32::NAN } else { row as f32 };
                (0..rows).map(score).collect()
            }
            Scoring::Short => vec![0.0; rows.saturating_sub(1)],
            Scoring::Panics => panic!("a model that panics"),
            Scoring::Takes(ms) => {
                std::thread::sleep(std::time::Duration::from_millis(ms));
                sums()
            }
        }
    }
}

/// Two dimensions: shoes and hats.
pub(crate) struct Shelves;

impl Embedding for Shelves {
    fn digest(&self) -> [u8; 32] {
        [9; 32]
    }

    fn dimension(&self) -> usize {
        2
    }

    fn vector(&self, item: &str) -> Option<&[f32]> {
        Some(if item.starts_with("shoe") { &[1.0, 0.0] } else { &[0.0, 1.0] })
    }
}

impl Towers for Shelves {
    fn query(&self, interest: &[f32]) -> Vec<f32> {
        interest.to_vec()
    }
}

pub(crate) fn loaded(definitions: &Definitions, name: &str, scoring: Scoring) -> Loaded {
    let model = definitions.compile_model("ranker").unwrap();
    let joiner = Joiner::new(definitions, &model, &definitions.lanes()).unwrap();
    Loaded {
        digest: name.repeat(64),
        model,
        joiner,
        scorer: Scorer::new(scoring),
        towers: Some(Arc::new(Shelves)),
    }
}
