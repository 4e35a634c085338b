//! What the crate promises, seen from outside.

#[path = "definitions/demo.rs"]
mod demo;
#[path = "definitions/expressions.rs"]
mod expressions;
#[path = "definitions/support.rs"]
mod support;
