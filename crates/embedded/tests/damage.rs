//! Damage anywhere in a database: it opens with exactly what was in it, or it is refused and left as it is.

#![expect(clippy::print_stdout, reason = "a seed is told by printing it")]
#![allow(clippy::unwrap_used, reason = "all of it is test code")]

#[path = "damage/flips.rs"]
mod flips;
#[path = "damage/missing.rs"]
mod missing;
#[path = "damage/sample.rs"]
mod sample;
#[path = "damage/speed.rs"]
mod speed;
#[path = "damage/tail.rs"]
mod tail;
