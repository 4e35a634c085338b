//! The suite that every adapter of the port passes.
