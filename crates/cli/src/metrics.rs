//! `/metrics`: what the roles of this process count and measure, for Prometheus to scrape.
//!
//! Nothing is counted here. Each scrape reads the counters that the parts keep for themselves (one file for
//! each part, with the names of its metrics) and the last samples of the lag: it never waits for the log or the
//! store, and whoever serves or commits never waits for it. Labels come from the definitions or from short
//! lists, never from what clients send.

mod build;
mod endpoint;
mod item_table;
mod lanes;
mod page;
mod redis;
mod service;
mod settings;
mod updater;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use definitions::Definitions;
use online::item_table::ItemTable;
use online::updater::{Lags, Sampler};
use online_store::Redis;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;
use runtime::clock::Clock;
use runtime::shutdown::Shutdown;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use self::build::Build;
use self::page::Page;
use crate::command::Context;
use crate::data::Data;

pub(crate) use self::endpoint::bind;
pub(crate) use self::settings::Settings;

/// The endpoint and what it samples; they end when it is dropped.
pub(crate) struct Exporter {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    _tasks: JoinSet<()>,
}

/// The roles that run here.
#[derive(Clone, Default)]
pub(crate) struct Roles {
    pub(crate) updater: Option<online::updater::Handle>,
    pub(crate) service: Option<online::service::Handle>,
    pub(crate) items: Option<ItemTable>,
}

/// Where the numbers are.
struct Parts {
    build: Build,
    lags: Lags,
    roles: Roles,
    redis: Option<Redis>,
    clock: Clock,
}

/// Answers scrapes on `listener`, and begins to look at the lag.
///
/// # Errors
/// When the listener does not say where it listens.
pub(crate) fn start(
    listener: TcpListener,
    context: &Context,
    data: &Data,
    definitions: &Arc<Definitions>,
    roles: Roles,
) -> anyhow::Result<Exporter> {
    let address = listener.local_addr()?;
    let every = context.settings.metrics.every();
    let looked_at = data.updater(definitions.lanes());
    let (sampler, lags) = Sampler::new(looked_at, roles.updater.clone(), every);
    let parts = Parts {
        build: Build::of(context, definitions),
        lags,
        roles,
        redis: data.redis.clone(),
        clock: context.clock.clone(),
    };
    let mut registry = Registry::default();
    registry.register_collector(Box::new(parts));
    let mut tasks = JoinSet::new();
    tasks.spawn(sampler.run(Shutdown::never()));
    tasks.spawn(endpoint::serve(listener, Arc::new(registry)));
    tracing::info!("metrics at http://{address}/metrics");
    Ok(Exporter { address, _tasks: tasks })
}

impl Collector for Parts {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        build::write(&mut page, &self.build)?;
        lanes::write(&mut page, &self.lags)?;
        if let Some(updater) = &self.roles.updater {
            updater::write(&mut page, updater)?;
        }
        if let Some(service) = &self.roles.service {
            service::write(&mut page, service)?;
        }
        if let Some(items) = &self.roles.items {
            item_table::write(&mut page, items, self.clock.now())?;
        }
        match &self.redis {
            Some(redis) => redis::write(&mut page, redis),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("build", &self.build).finish_non_exhaustive()
    }
}
