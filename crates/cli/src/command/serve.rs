//! `twofold serve` and `twofold up`: the service, with or without the updater beside it.

use std::sync::Arc;

use anyhow::Context as _;
use definitions::Definitions;
use online::service::Tables;
use runtime::exit::{Code, With};
use runtime::shutdown::{self, Shutdown};
use tokio::net::TcpListener;

use super::Context;
use crate::admin;
use crate::data::Data;
use crate::metrics;
use crate::output;
use crate::roles::{self, OnDisk, Plan};
use crate::watch;

/// Listens, tells where on stdout (one JSON line) once the lanes have caught up, and serves until SIGINT
/// or SIGTERM. Until then events are taken, and health and everything else say that it is not ready.
pub(super) async fn run(context: Context, listen: String, updater: bool) -> anyhow::Result<()> {
    let definitions = context.definitions()?;
    // Before anything is made: who mistypes the address has nothing to take away again. Let go of at once,
    // for nobody is to connect while log and store are still waited for.
    drop((bind(&listen).await?, metrics::bind(&context.settings.metrics).await?));
    let data = context.open(&definitions).await?;
    // Before there is a socket that tells of this process.
    let shutdown = shutdown::on_signal()?;
    let serving = serve(&context, &data, &definitions, &listen, updater, shutdown);
    admin::beside(&context, &data, &definitions, serving).await
}

async fn bind(listen: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listen)
        .await
        .with_context(|| format!("--listen {listen}: expected ADDRESS:PORT that is free"))
        .exit(Code::Configuration)
}

async fn serve(
    context: &Context,
    data: &Data,
    definitions: &Arc<Definitions>,
    listen: &str,
    updater: bool,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let listener = bind(listen).await?;
    let of_metrics = metrics::bind(&context.settings.metrics).await?;
    let tables = Tables::default();
    let mut disk = OnDisk::new(&context.settings, definitions)?;
    if let Err(error) = disk.warn_of_lost_pointer().and_then(|()| disk.refresh(&tables, None)) {
        tracing::error!(%error, "starting without what the disk should have");
    }
    let plan = Plan {
        definitions: Arc::clone(definitions),
        updater,
        pinned: None,
        tables: tables.clone(),
        clock: context.clock.clone(),
    };
    let starting = roles::start(&context.settings, data, plan, listener);
    let Some(running) = shutdown.unless(starting).await else { return Ok(()) };
    let mut running = running?;
    let exporter = match of_metrics {
        Some(listener) => {
            Some(metrics::start(listener, context, data, definitions, running.roles())?)
        }
        None => None,
    };
    let following = tokio::spawn(disk.follow(tables, running.updater.clone()));
    let counts = running.counts();
    let telling = tokio::spawn(counts.clone().follow());
    let watching = running.updater.clone().map(|updater| tokio::spawn(watch::updater(updater)));
    let ready = shutdown.unless(running.ready()).await;
    if let Some(watching) = watching {
        watching.abort();
    }
    let result = match ready {
        Some(Ok(())) => {
            let mut listening = serde_json::json!({ "listening": running.address.to_string() });
            if let Some(exporter) = &exporter {
                listening["metrics"] = exporter.address.to_string().into();
            }
            match output::line(&listening.to_string()) {
                Ok(()) => running.until(shutdown).await,
                // Clients know the address from elsewhere: they lose nothing by it.
                Err(error) if error.is::<output::Closed>() => {
                    tracing::warn!(%listening, "nobody reads stdout; serving all the same");
                    running.until(shutdown).await
                }
                Err(unwritten) => running.stop().await.and(Err(unwritten)),
            }
        }
        Some(failed) => failed.and(running.stop().await),
        None => running.stop().await,
    };
    following.abort();
    telling.abort();
    result.and(counts.end(context.output))
}
