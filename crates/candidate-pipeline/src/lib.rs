//! candidate-pipeline
