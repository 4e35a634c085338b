//! What the crate promises, seen from outside.

#[path = "definitions/decoding.rs"]
mod decoding;
#[path = "definitions/demo.rs"]
mod demo;
#[path = "definitions/expressions.rs"]
mod expressions;
#[path = "definitions/hashing.rs"]
mod hashing;
#[path = "definitions/lanes.rs"]
mod lanes;
#[path = "definitions/mistakes.rs"]
mod mistakes;
#[path = "definitions/support.rs"]
mod support;
