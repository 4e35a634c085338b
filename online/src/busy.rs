//! Computations on threads that others wait for.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Fewer rows than this are done before anybody notices.
const INLINE_ROWS_MAX: usize = 256;

/// Runs a computation over `rows` rows; a long one lets the other tasks of its thread go on elsewhere.
pub(crate) fn busy<T>(rows: usize, compute: impl FnOnce() -> T) -> T {
    let many_threads = Handle::try_current()
        .is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    if rows > INLINE_ROWS_MAX && many_threads {
        tokio::task::block_in_place(compute)
    } else {
        compute()
    }
}
