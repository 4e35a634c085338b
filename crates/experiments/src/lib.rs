//! Comparing two ways of answering: which is better, and how sure can we be.
//!
//! A crate of its own because evaluation and live experiments must mean the same by an interval. It
//! is pure: seeds are arguments, nothing is read and nothing is logged.
//!
//! Start with [`bootstrap::paired`]; for live experiments [`assignment::Experiment::assign`] says who
//! sees what, and [`sample_ratio::sample_ratio`] whether the arms can be trusted.

pub mod assignment;
pub mod bootstrap;
pub mod sample_ratio;
