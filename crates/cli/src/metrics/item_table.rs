//! The item table of this process.

use std::fmt;

use online::item_table::{Counters, ItemTable};
use record::EventTime;

use super::page::Page;

pub(super) fn write(page: &mut Page<'_>, items: &ItemTable, now: EventTime) -> fmt::Result {
    let age_us = now.0.saturating_sub(items.current().as_of().0).max(0);
    let help = "How old the version is that answers are made of";
    page.seconds("twofold_item_table_age", help, [(Vec::new(), age_us as f64 / 1e6)])?;
    let Counters { versions, commits, scans, lagged, failures } = items.counters();
    page.counters(&[
        ("twofold_item_table_versions", "Versions made", versions),
        ("twofold_item_table_commits", "Commits followed", commits),
        ("twofold_item_table_scans", "Scans of a lane in a partition", scans),
        ("twofold_item_table_lagged", "Times that it lagged too far behind and scanned", lagged),
        ("twofold_item_table_failures", "Versions that could not be made", failures),
    ])
}
