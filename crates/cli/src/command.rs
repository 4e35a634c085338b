//! The commands, one file each: settings → build → run → drain.

pub(crate) mod archive;
pub(crate) mod backfill;
mod bench;
mod bootstrap;
mod check;
pub(crate) mod dead_letters;
mod demo;
mod evaluate;
pub(crate) mod import;
mod lanes;
mod models;
pub(crate) mod parity;
mod serve;
mod settings;
pub(crate) mod status;
pub(crate) mod topics;
pub(crate) mod train;
mod update;

use std::future::Future;
use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use definitions::Definitions;
use embedded::Missing;
use runtime::clock::Clock;
use runtime::exit::{Code, With};
use runtime::settings::Loaded;
use tokio::time::Instant;

use crate::admin::{self, Request};
use crate::args::{Cli, Command, Global, TopicsCommand};
use crate::code;
use crate::data::{Data, Opening};
use crate::definition_files;
use crate::follower::Follower;
use crate::output::Output;
use crate::settings::Settings;

/// What every command starts from.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) settings: Settings,
    /// The settings as they were given, with their places.
    pub(crate) loaded: Arc<Loaded<Settings>>,
    pub(crate) output: Output,
    pub(crate) clock: Clock,
    /// Who is told how far it is.
    pub(crate) follower: Follower,
}

impl Context {
    /// The definitions, checked, by themselves and against the settings.
    pub(crate) fn definitions(&self) -> anyhow::Result<Arc<Definitions>> {
        let definitions = definition_files::load(&self.settings.definitions)?;
        let checked = self.settings.check_with(&definitions);
        checked.map_err(|invalid| self.loaded.refuse(invalid)).exit(Code::Configuration)?;
        Ok(Arc::new(definitions))
    }

    /// The data directory, owned by this process from here on, with its topics: both are made where
    /// they are missing. For roles, which wait for servers that start beside them, as long as the updater
    /// waits for those that restart.
    pub(crate) async fn open(&self, definitions: &Definitions) -> anyhow::Result<Data> {
        let bounds = &self.settings.updater;
        let (limit, longest) =
            (bounds.retry_limit_ms, Duration::from_millis(bounds.backoff_ms_max));
        let (limit, start) = (Duration::from_millis(limit), Instant::now());
        let mut pause = Duration::from_millis(bounds.backoff_ms_min);
        loop {
            match self.open_once(definitions).await {
                Err(error) if code::is_passing(&error) && start.elapsed() < limit => {
                    let error = format!("{error:#}");
                    tracing::warn!(error, pause_ms = pause.as_millis() as u64, "waiting to start");
                    tokio::time::sleep(pause).await;
                    pause = longest.min(pause * 2);
                }
                opened => return opened,
            }
        }
    }

    async fn open_once(&self, definitions: &Definitions) -> anyhow::Result<Data> {
        let data = self.connect(Missing::Create).await?;
        data.create_topics(definitions, &self.settings).await?;
        Ok(data)
    }

    /// As [`Context::open`], but makes nothing: for commands on what is there.
    pub(crate) async fn open_existing(&self) -> anyhow::Result<Data> {
        self.connect(Missing::Refuse).await
    }

    async fn connect(&self, missing: Missing) -> anyhow::Result<Data> {
        let opening = Opening { missing, crash_at: self.global.crash_at, ..Opening::default() };
        Data::connect(&self.settings, opening, self.clock.clone()).await
    }

    /// The data directory of a command that reads its files and opens neither log nor store.
    ///
    /// # Errors
    /// When it is not there.
    pub(crate) fn existing_directory(&self) -> anyhow::Result<&Path> {
        let path = &self.settings.data;
        match path.is_dir() {
            true => Ok(path),
            false => {
                let path = path.display();
                let fill = match self.settings.is_embedded() {
                    true => "`twofold import`, `up` or `demo`, then `twofold archive`",
                    false => "`twofold archive`",
                };
                Err(anyhow::anyhow!(
                    "{path} is no data directory: give the right one with --data, or make it with {fill}"
                ))
                .exit(Code::Configuration)
            }
        }
    }
}

/// Runs a command to its end.
pub(crate) fn run(cli: Cli) -> anyhow::Result<()> {
    let loaded = Arc::new(crate::settings::load(&cli.global, cli.command.metrics())?);
    let settings = loaded.settings.clone();
    let colour = !cli.global.no_color && std::io::stderr().is_terminal();
    runtime::telemetry::init(&settings.telemetry, colour)?;
    let output = Output::new(cli.global.json, cli.global.no_color);
    let (clock, follower) = (Clock::system(), Follower::Here);
    let context = Context {
        global: cli.global,
        settings,
        loaded: Arc::clone(&loaded),
        output,
        clock,
        follower,
    };
    let ask = |context, request| block_on(admin::run(context, request));
    match cli.command {
        Command::Check { dir } => check::run(&context, dir),
        Command::Settings => settings::run(output, &loaded),
        Command::Import(args) => ask(context, Request::Import(args.absolute()?)),
        Command::Archive => ask(context, Request::Archive),
        Command::Backfill => block_on(backfill::run(context)),
        Command::Train { clock } => block_on(train::run(context, clock)),
        Command::Parity => ask(context, Request::Parity),
        Command::Topics { command } => {
            let (create, check) =
                (command == TopicsCommand::Create, command == TopicsCommand::Check);
            ask(context, Request::Topics { create, check })
        }
        Command::DeadLetters { command } => ask(context, Request::DeadLetters(command)),
        Command::Lanes { command } => block_on(lanes::run(context, command)),
        Command::Bootstrap => block_on(bootstrap::run(context)),
        Command::Update { drain, .. } => block_on(update::run(context, drain)),
        Command::Status { digest } => ask(context, Request::Status { digest }),
        Command::Up { listen } => block_on(serve::run(context, listen.listen, true)),
        Command::Serve { listen } => block_on(serve::run(context, listen.listen, false)),
        Command::Demo { seed, fresh } => block_on(demo::run(context, seed, fresh)),
        Command::Evaluate(args) => block_on(evaluate::run(context, args)),
        Command::Models { command } => models::run(&context, command),
        Command::Bench { command } => block_on(bench::run(context, command)),
    }
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}
