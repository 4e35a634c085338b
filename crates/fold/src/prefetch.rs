//! Asking for memory before it is needed. Everything unsafe of this crate is in this file.
//!
//! Keys come at random, so nearly every row begins with memory that is in no cache. A load that is far from
//! its use helps little: it holds a place among the few hundred instructions that a processor has under way,
//! and those after it wait. A prefetch leaves at once.

#![allow(unsafe_code, reason = "the standard library's safe prefetch is not stable")]

/// Asks for the cache line that `value` begins in. A hint: it changes no result, and where the processor
/// family has no stable intrinsic, it does nothing.
#[inline]
pub(crate) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch shows the program no value and faults at no address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}
