//! Flags and commands, as Airflow, tests and users call them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

/// A hybrid feature store and recommendation service: one fold, run twice.
#[derive(Debug, Parser)]
#[command(name = "twofold", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Data directory [default: ./twofold-data]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Feature definitions [default: ./feature-definitions, else the built-in demo shop's]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) definitions: Option<PathBuf>,
    /// Event log: `embedded`, or kafka://HOST:PORT
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) log: Option<String>,
    /// Online store: `embedded`, or redis://HOST:PORT, redis+cluster://HOST:PORT
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) store: Option<String>,
    /// Settings file (TOML); the environment (TWOFOLD_…) and flags go over it; `twofold settings` lists all
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The last line on stdout is one JSON object
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No colours
    #[arg(long, global = true, hide = true, env = "NO_COLOR", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) no_color: bool,
    /// Aborts the process at a named place (tests of crashes)
    #[arg(long, global = true, hide = true, value_name = "POINT:N")]
    pub(crate) crash_at: Option<embedded::crash::CrashPoint>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Everything in one process with a simulated shop, in under a minute
    Demo {
        /// Seed of the shop
        #[arg(long, default_value_t = 7)]
        seed: u64,
        /// Throw an earlier demo in the data directory away
        #[arg(long)]
        fresh: bool,
    },
    /// Check definitions: types, expressions, golden examples
    Check {
        /// Directory [default: --definitions]
        dir: Option<PathBuf>,
    },
    /// Every setting with its meaning and value, as a settings file
    Settings,
    /// Put data sets into the log
    Import(ImportArgs),
    /// Create or list topics
    Topics {
        #[command(subcommand)]
        command: TopicsCommand,
    },
    /// What was refused: list it, or send it again
    DeadLetters {
        #[command(subcommand)]
        command: DeadLettersCommand,
    },
    /// Run the updater: from the log to the online store
    Update {
        /// To the end of the log, then exit
        #[arg(long)]
        drain: bool,
        #[command(flatten)]
        metrics: Metrics,
    },
    /// List lanes in the store, or remove one
    Lanes {
        #[command(subcommand)]
        command: LanesCommand,
    },
    /// Logs, positions, watermarks, lag and ledgers
    Status {
        /// Add a digest of each (lane, partition): its position, watermark and ledger, and its keys and states
        #[arg(long)]
        digest: bool,
    },
    /// The log as Parquet: adds what is new
    Archive,
    /// From the archive: sequences and candidate indexes
    Backfill,
    /// States of lanes that are new or behind, from archive and log
    Bootstrap,
    /// Retriever, training set, ranker; makes the new bundle active
    Train {
        /// What the ranker learns from
        #[arg(long, value_enum, default_value_t = TrainClock::EventTime)]
        clock: TrainClock,
    },
    /// Replay what was served and compare it byte for byte
    Parity,
    /// All roles in one process, until stopped
    Up {
        #[command(flatten)]
        listen: Listen,
    },
    /// The gRPC service without an updater
    Serve {
        #[command(flatten)]
        listen: Listen,
    },
    /// Held-out events through the real service path: HR@k, MRR@k, NDCG@k
    Evaluate(EvaluateArgs),
    /// The registry of bundles
    Models {
        #[command(subcommand)]
        command: ModelsCommand,
    },
    /// Load and speed
    Bench {
        #[command(subcommand)]
        command: BenchCommand,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportArgs {
    /// How the files are written
    pub(crate) format: Format,
    /// Files. An event's id is its file's digest and its line (in `jsonl` its own): a file that has grown is
    /// another one, so give what is new as a file of its own
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Source that a `jsonl` file has the columns of
    #[arg(long, default_value = "clickstream")]
    pub(crate) source: String,
    /// Append even if more than 1 % of the records are late
    #[arg(long)]
    pub(crate) allow_late: bool,
}

impl ImportArgs {
    /// The same with paths that mean the same to a process that stands in another directory.
    pub(crate) fn absolute(mut self) -> std::io::Result<Self> {
        for file in &mut self.files {
            *file = std::path::absolute(&file)?;
        }
        Ok(self)
    }
}

#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// How the file is written
    pub(crate) format: Format,
    /// Held-out events
    pub(crate) file: PathBuf,
}

/// What a training set is read by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TrainClock {
    /// The history: each event, with what was known just before it
    EventTime,
    /// The archived answers, with what each was made of; keeps the active bundle's retriever
    AsServed,
}

/// Data sets that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// SessionId, ItemId, Time: tab-separated, with a header
    Yoochoose,
    /// user,item,category,type,time: comma-separated
    Taobao,
    /// One JSON object a line with the source's own columns
    Jsonl,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub(crate) enum TopicsCommand {
    /// Create what the definitions need
    Create,
    /// Compare the settings of Kafka's topics with what the log promises
    Check,
    /// What there is
    List,
}

#[derive(Debug, Clone, PartialEq, Eq, Subcommand, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum DeadLettersCommand {
    /// The last ones, with their reasons and original bytes
    List {
        #[command(flatten)]
        of: OfLetters,
        /// Letters shown at most
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Append those that the definitions take by now to their source's topic again, each once
    Redrive {
        #[command(flatten)]
        of: OfLetters,
    },
}

/// Which dead letters are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfLetters {
    /// Only those of this reason, such as `malformed`
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Only those of this source
    #[arg(long)]
    pub(crate) source: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LanesCommand {
    /// Lanes in the store, also those of other definitions
    List,
    /// Remove a lane's states; one of these definitions is folded from the log again
    Remove {
        /// The lane's id, as `list` shows it
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// Bundles, newest first
    List,
    /// Check a bundle directory and make it the active one
    Publish {
        /// A directory with manifest.json and manifest.sha256, or the digest of a bundle that is in the registry
        bundle: String,
    },
    /// Go back to the bundle that was active before
    Rollback,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// The fold, from Arrow columns and from JSON bytes; `demo` is the median of five passes from empty
    /// lanes, after one that is not measured
    Fold {
        /// Events
        #[arg(long, default_value_t = 2_000_000)]
        events: usize,
    },
    /// Recommend with up to 500 candidates, on what the data directory holds; the answers are recorded in a log of
    /// its own, which is removed, not in topic `served`
    Serve {
        /// Requests of each phase
        #[arg(long, default_value_t = 1000)]
        requests: usize,
    },
    /// The updater on a log and a store of its own: the embedded pair, or Kafka and Redis beside what each of
    /// them can do alone
    Update {
        /// Events that are drained
        #[arg(long, default_value_t = 200_000)]
        events: usize,
        /// Events a second that are offered to see how soon they are visible [default: half of what is sustained]
        #[arg(long, value_name = "PER_SECOND")]
        offered: Option<u32>,
        /// Redis' own `redis-benchmark`, to be run as well (on Kafka and Redis only)
        #[arg(long, value_name = "PROGRAM")]
        redis_benchmark: Option<PathBuf>,
    },
    /// What visitors' states take of Redis' memory
    Memory {
        /// Visitors
        #[arg(long, default_value_t = 100_000)]
        visitors: usize,
        /// Events of a visitor, on average
        #[arg(long, default_value_t = 16)]
        events_each: usize,
    },
}

/// Where the service listens.
#[derive(Debug, Args)]
pub(crate) struct Listen {
    /// Address and port; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:50051", value_name = "ADDR:PORT")]
    pub(crate) listen: String,
    #[command(flatten)]
    pub(crate) metrics: Metrics,
}

/// Where metrics are served.
#[derive(Debug, Args)]
pub(crate) struct Metrics {
    /// Serve `/metrics` for Prometheus here; a port alone is one of 127.0.0.1, port 0 takes a free one
    #[arg(long = "metrics", value_name = "[ADDR:]PORT")]
    pub(crate) at: Option<String>,
}

impl Command {
    /// The flag `--metrics` of the commands that have it.
    pub(crate) fn metrics(&self) -> Option<&str> {
        match self {
            Self::Up { listen } | Self::Serve { listen } => listen.metrics.at.as_deref(),
            Self::Update { metrics, .. } => metrics.at.as_deref(),
            _ => None,
        }
    }
}
