//! Stages that bring what is known of the visitor into the query.

mod visitor;

pub(super) use visitor::VisitorLane;
