//! What benchmarks need beside the port: what a server says of its memory, plain pipelined `SET`s to be
//! compared with, and that both leave nothing behind.

use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, Cmd, Pipeline, RedisResult};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Redis;
use super::connection::{self, Node, Target};
use super::failure::unavailable;
use super::nodes::{self, Info};
use crate::Error;

/// About so many keys are looked at, and removed, by one call.
const SLICE: usize = 1_000;
/// Longest wait for the answer to a whole pipeline.
const PIPELINE_MAX: Duration = Duration::from_secs(60);

/// The memory of all servers that hold keys, as `INFO memory` tells it, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// `used_memory`: what the allocator has handed out.
    pub used: u64,
    /// `used_memory_dataset`: without what a server takes for itself.
    pub dataset: u64,
    /// `used_memory_rss`: what the system has given.
    pub resident: u64,
}

/// Plain `SET`s through pipelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlainSets {
    /// `SET`s in all.
    pub sets: usize,
    /// `SET`s of a pipeline.
    pub pipeline: usize,
    /// Pipelines that are under way at once, each on a connection of its own.
    pub connections: usize,
    /// Keys that are set, again and again.
    pub keys: usize,
    /// Bytes of a key and its value together; at least those of the key.
    pub bytes: usize,
}

impl Redis {
    /// Asks every server that holds keys.
    ///
    /// # Errors
    /// When one does not answer, or says no number.
    pub async fn memory(&self) -> Result<Memory, Error> {
        let mut memory = Memory::default();
        for node in nodes::all(&self.reads, self.settings.cluster).await? {
            let info = Info::of(&self.reads, &node).await?;
            let number = |name: &str| {
                let parsed = info.get(name).parse::<u64>();
                parsed.map_err(|_| unavailable(format!("INFO says no {name}")))
            };
            memory.used += number("used_memory")?;
            memory.dataset += number("used_memory_dataset")?;
            memory.resident += number("used_memory_rss")?;
        }
        Ok(memory)
    }

    /// What the keys of [`Redis::set_plain`] begin with; [`Redis::remove_plain`] removes whatever does.
    #[must_use]
    pub fn plain_prefix(&self) -> String {
        format!("{}:plain:", self.settings.prefix)
    }

    /// Sets plain strings through pipelines that were made before; how long that took.
    ///
    /// # Errors
    /// On a cluster, to which no pipeline goes as a whole; when the server does not answer, or refuses.
    pub async fn set_plain(&self, load: PlainSets) -> Result<Duration, Error> {
        self.single()?;
        let mut shares = self.pipelines(load);
        let mut connections = Vec::with_capacity(shares.len());
        for _ in &shares {
            connections.push(self.connect().await.map_err(|error| failed(&error))?);
        }
        let start = Instant::now();
        let mut sending = JoinSet::new();
        for (share, mut connection) in shares.drain(..).zip(connections) {
            sending.spawn(async move {
                for pipeline in share {
                    pipeline.query_async::<()>(&mut connection).await?;
                }
                Ok(())
            });
        }
        while let Some(ended) = sending.join_next().await {
            let sent: RedisResult<()> =
                ended.map_err(|error| unavailable(format!("a task failed: {error}")))?;
            sent.map_err(|error| failed(&error))?;
        }
        Ok(start.elapsed())
    }

    /// Removes every key that begins with [`Redis::plain_prefix`]; how many there were.
    ///
    /// # Errors
    /// As [`Redis::set_plain`].
    pub async fn remove_plain(&self) -> Result<u64, Error> {
        self.single()?;
        let (mut removed, mut cursor) = (0, b"0".to_vec());
        loop {
            let mut scan = Cmd::new();
            scan.arg("SCAN").arg(&cursor).arg("MATCH").arg(format!("{}*", self.plain_prefix()));
            scan.arg("COUNT").arg(SLICE);
            let answer = self.commits.call(Target::Node(Node::Only), scan).await?;
            let page: Result<(Vec<u8>, Vec<Vec<u8>>), _> = ::redis::from_redis_value(answer);
            let (next, names) =
                page.map_err(|_| unavailable("SCAN returned other types than expected"))?;
            if !names.is_empty() {
                removed += names.len() as u64;
                let mut unlink = Cmd::new();
                unlink.arg("UNLINK").arg(names);
                self.commits.call(Target::Node(Node::Only), unlink).await?;
            }
            if next == b"0" {
                return Ok(removed);
            }
            cursor = next;
        }
    }

    fn single(&self) -> Result<(), Error> {
        if !self.settings.cluster {
            return Ok(());
        }
        Err(Error::Unsuitable {
            reason: "a pipeline goes to one server, not to a cluster".to_owned(),
            remedy: "measure on a single server (redis://…)",
        })
    }

    /// The pipelines of each connection. Keys are set in a mixed order, as visitors come.
    fn pipelines(&self, load: PlainSets) -> Vec<Vec<Pipeline>> {
        let prefix = self.plain_prefix();
        let key = |number: usize| format!("{prefix}{number:012}");
        let value = vec![b'x'; load.bytes.saturating_sub(key(0).len())];
        let mut shares = vec![Vec::new(); load.connections.max(1)];
        let (connections, size) = (shares.len(), load.pipeline.max(1));
        for (nth, first) in (0..load.sets).step_by(size).enumerate() {
            let mut pipeline = Pipeline::with_capacity(size);
            for set in first..(first + size).min(load.sets) {
                let mixed = (set as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
                let number = mixed as usize % load.keys.max(1);
                pipeline.cmd("SET").arg(key(number)).arg(&value).ignore();
            }
            shares[nth % connections].push(pipeline);
        }
        shares
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let client = Client::open(connection::info(&self.settings, &self.settings.nodes[0])?)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.settings.connect_timeout))
            .set_response_timeout(Some(PIPELINE_MAX));
        client.get_multiplexed_async_connection_with_config(&config).await
    }
}

fn failed(error: &::redis::RedisError) -> Error {
    unavailable(format!("plain SETs: {error}"))
}
