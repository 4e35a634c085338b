//! Stages that drop candidates. What the shopper must not get fails closed, what she would rather
//! not see again fails open.

mod attributes;
mod excluded;
mod seen;
mod stock;

pub(super) use attributes::Attributes;
pub(super) use excluded::Excluded;
pub(super) use seen::Seen;
pub(super) use stock::Stock;
