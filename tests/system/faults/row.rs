//! The table of results, as `tests/faults` gathers it.

use super::stood::Stood;

/// One row: test, seed, dose, records, what was compared, lost, doubled, different, time to resume.
pub(super) fn row(test: &str, seed: u64, dose: &str, found: &[String; 5], stood: &Stood) {
    let [half, max] = stood.p50_and_max_ms();
    println!("| {test} | {seed} | {dose} | {} | {half} | {max} |", found.join(" | "));
}
