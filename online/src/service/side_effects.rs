//! What happens after the answer, off its deadline.

mod served;

pub(super) use served::{Done, Writer, open, source_hits};
