//! Stages that choose the answer, and what there is when nothing else is.

mod best;
mod popular;

pub(super) use best::Best;
pub(super) use popular::Popular;
