//! Which program this is, with which definitions, and since when it runs.

use std::fmt;

use definitions::Definitions;
use online::service::definitions_hash;

use super::page::{Labels, Page, labels};
use crate::command::Context;

/// What does not change while the process runs.
#[derive(Debug)]
pub(super) struct Build {
    labels: Labels,
    started_s: f64,
}

impl Build {
    pub(super) fn of(context: &Context, definitions: &Definitions) -> Self {
        let settings = &context.settings;
        // Of a URL only the scheme: what stands behind it may be a password.
        let scheme = |url: &str| url.split("://").next().unwrap_or_default().to_owned();
        let now_us = context.clock.now().0 as f64;
        Self {
            labels: labels([
                ("version", env!("CARGO_PKG_VERSION")),
                ("fold", &definitions::FOLD_VERSION.to_string()),
                ("definitions", &definitions_hash(definitions, &definitions.lanes())),
                ("log", &scheme(&settings.log)),
                ("store", &scheme(&settings.store)),
            ]),
            started_s: now_us / 1e6 - context.clock.monotonic().as_secs_f64(),
        }
    }
}

pub(super) fn write(page: &mut Page<'_>, build: &Build) -> fmt::Result {
    let help = "The program, and the hash of the definitions as in topic served";
    page.info("twofold_build", help, &build.labels)?;
    let help = "When the process started, since the Unix epoch";
    page.seconds("process_start_time", help, [(Vec::new(), build.started_s)])
}
