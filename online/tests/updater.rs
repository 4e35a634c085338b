//! The updater and the item table on the embedded pair: crashes, faults, races, changed definitions, and
//! updaters that share the work.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails its test")]

#[path = "updater/ahead.rs"]
mod ahead;
#[path = "updater/away.rs"]
mod away;
#[path = "updater/bench.rs"]
mod bench;
#[path = "updater/changes.rs"]
mod changes;
#[path = "updater/crashes.rs"]
mod crashes;
#[path = "updater/digests.rs"]
mod digests;
#[path = "updater/events.rs"]
mod events;
#[path = "updater/faulty.rs"]
mod faulty;
#[path = "updater/gate.rs"]
mod gate;
#[path = "updater/groups.rs"]
mod groups;
#[path = "updater/interest.rs"]
mod interest;
#[path = "updater/lag.rs"]
mod lag;
#[path = "updater/measures.rs"]
mod measures;
#[path = "updater/membership.rs"]
mod membership;
#[path = "updater/over.rs"]
mod over;
#[path = "updater/pace.rs"]
mod pace;
#[path = "updater/races.rs"]
mod races;
#[path = "updater/replay.rs"]
mod replay;
#[path = "updater/side_topics.rs"]
mod side_topics;
#[path = "updater/stalls.rs"]
mod stalls;
#[path = "updater/sweeps.rs"]
mod sweeps;
#[path = "updater/table.rs"]
mod table;
#[path = "updater/traces.rs"]
mod traces;
#[path = "updater/world.rs"]
mod world;
