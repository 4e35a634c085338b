//! A pipeline of candidates: stage traits and the runner that owns order, concurrency and time.
//!
//! A crate of its own because how stages run (together or one after the other, for how long, what
//! happens when one is late or fails) has nothing to do with what is recommended. It knows no shop,
//! no store and no model: the query and the candidate are type parameters. It must never wait for a
//! stage past the stage's end, and never lose one silently: each leaves an [`Outcome`].
//!
//! Time is tokio's. A stage is cut short where it awaits. One that computes past its end holds up its
//! query for so long, and what it gives is dropped as late: work that computes for long must be moved
//! off the task by the stage itself (`spawn_blocking`).
//!
//! Start with [`Pipeline::run`].

mod budget;
mod outcome;
mod runner;
mod select;
mod stage;

pub use budget::{Budget, Caps};
pub use outcome::{Outcome, Outcomes, Verdict};
pub use runner::{Pipeline, Run};
pub use select::{Selection, top_k};
pub use stage::{
    Cause, Fallback, Filter, Fuser, Hydrator, OnFailure, Patch, Scorer, Selector, SideEffect,
    Source, run_side_effects,
};
