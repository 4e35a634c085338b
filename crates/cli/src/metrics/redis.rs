//! The breakers of Redis, where it is the store.

use std::fmt;

use online_store::{BreakerState, Breakers, Redis};

use super::page::{Page, labels};

const STATES: [(&str, BreakerState); 3] = [
    ("closed", BreakerState::Closed),
    ("open", BreakerState::Open),
    ("probing", BreakerState::Probing),
];

pub(super) fn write(page: &mut Page<'_>, redis: &Redis) -> fmt::Result {
    let links = redis.breakers();
    let help = "Breakers by what they do with calls: one for a server, 64 for a cluster";
    let states = links.iter().flat_map(|link| {
        STATES.map(|(name, state)| {
            let count = link.states.iter().filter(|found| **found == state).count() as u64;
            (labels([("link", link.link), ("state", name)]), count)
        })
    });
    page.gauge("twofold_redis_breakers", help, states)?;
    let of = |link: &Breakers| labels([("link", link.link)]);
    let help = "Times that a breaker opened, because Redis did not answer";
    let opened = links.iter().map(|link| (of(link), link.opened));
    page.counter("twofold_redis_breaker_openings", help, opened)?;
    let help = "Calls that failed at once because a breaker was open";
    let refused = links.iter().map(|link| (of(link), link.refused));
    page.counter("twofold_redis_refused_calls", help, refused)
}
