//! The fold's laws, over every aggregate: equal to a naive reference, whatever the order, the batches,
//! the partials and the restarts.

mod laws {
    mod admission;
    mod bounds;
    mod bytes;
    mod demo;
    mod examples;
    mod fixture;
    mod order;
    mod reference;
    mod stream;
    mod sweep;
}
