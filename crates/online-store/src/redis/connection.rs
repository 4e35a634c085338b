//! A multiplexed connection to the one server, made again after it broke; and to the cluster, where
//! the client library keeps one to each node.

use std::io;

use ::redis::aio::MultiplexedConnection;
use ::redis::cluster::ClusterClientBuilder;
use ::redis::cluster_async::ClusterConnection;
use ::redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use ::redis::io::tcp::TcpSettings;
use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo,
    RedisError, RedisResult, Value,
};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::{Settings, failure};

/// Bytes that wait for the socket before calls do.
const WRITE_BUFFER_BYTES: usize = 256 << 10;
/// How often the client library follows a redirection or waits for a fail-over by itself; whoever
/// calls the store tries again with longer pauses.
const CLUSTER_RETRIES: u32 = 3;
const CLUSTER_WAIT_MS_MAX: u64 = 200;

/// Where a command goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Target {
    /// To the server that holds a key.
    Key(String),
    /// To one server of those that hold any.
    Node(Node),
}

/// A server that holds keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Node {
    Only,
    Master { host: String, port: u16 },
}

/// The way to the server or the cluster.
pub(super) enum Connection {
    One(Box<One>),
    Cluster(ClusterConnection),
}

/// A call that failed.
pub(super) struct Failed {
    pub(super) error: RedisError,
    /// It failed with a connection that it shared, and of which another call has told already.
    pub(super) told: bool,
}

impl From<RedisError> for Failed {
    fn from(error: RedisError) -> Self {
        Self { error, told: false }
    }
}

/// The connection to one server; the number tells it from those before.
pub(super) struct One {
    client: Client,
    config: AsyncConnectionConfig,
    current: Mutex<(u64, Option<MultiplexedConnection>)>,
}

impl Connection {
    /// To one server nothing is sent yet; of a cluster, the first nodes are asked for the others.
    pub(super) async fn open(settings: &Settings) -> RedisResult<Self> {
        if settings.cluster {
            let nodes = settings.nodes.iter().map(|node| info(settings, node));
            let nodes = nodes.collect::<RedisResult<Vec<_>>>()?;
            let client = ClusterClientBuilder::new(nodes)
                .retries(CLUSTER_RETRIES)
                .max_retry_wait(CLUSTER_WAIT_MS_MAX)
                .connection_timeout(settings.connect_timeout)
                .response_timeout(settings.command_timeout)
                .overall_response_timeout(Some(settings.command_timeout))
                .write_backpressure_boundary(WRITE_BUFFER_BYTES)
                .tcp_settings(tcp(settings))
                .build()?;
            return Ok(Self::Cluster(client.get_async_connection().await?));
        }
        let client = Client::open(info(settings, &settings.nodes[0])?)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(settings.connect_timeout))
            // Every call has its own deadline, which covers more.
            .set_response_timeout(None)
            .set_write_backpressure_boundary(WRITE_BUFFER_BYTES);
        Ok(Self::One(Box::new(One { client, config, current: Mutex::new((0, None)) })))
    }

    /// Sends a command, and waits for its answer until then.
    pub(super) async fn send(
        &self,
        target: &Target,
        command: &Cmd,
        deadline: Instant,
    ) -> Result<Value, Failed> {
        let value = match self {
            Self::One(one) => one.send(command, deadline).await?,
            Self::Cluster(cluster) => {
                let mut cluster = cluster.clone();
                let answer = cluster.route_command(command.clone(), route(target));
                timeout_at(deadline, answer).await.unwrap_or_else(|_| Err(too_late()))?
            }
        };
        Ok(value.extract_error()?)
    }
}

impl One {
    async fn send(&self, command: &Cmd, deadline: Instant) -> Result<Value, Failed> {
        let (number, mut connection) =
            timeout_at(deadline, self.connected()).await.unwrap_or_else(|_| Err(too_late()))?;
        let answer = timeout_at(deadline, connection.send_packed_command(command)).await;
        let (error, in_time) = match answer {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => (error, true),
            Err(_) => (too_late(), false),
        };
        if !failure::breaks_connection(&error) {
            return Err(error.into());
        }
        let mut current = self.current.lock().await;
        let first = current.0 == number && current.1.take().is_some();
        // A server that is waited for in vain does not answer any of them; a connection that breaks takes
        // all that share it along.
        Err(Failed { error, told: in_time && !first })
    }

    /// The connection, made again when there is none; the others wait for the one who makes it.
    async fn connected(&self) -> RedisResult<(u64, MultiplexedConnection)> {
        let mut current = self.current.lock().await;
        if let Some(connection) = &current.1 {
            return Ok((current.0, connection.clone()));
        }
        let connection =
            self.client.get_multiplexed_async_connection_with_config(&self.config).await?;
        *current = (current.0 + 1, Some(connection.clone()));
        if current.0 > 1 {
            tracing::info!(connection = current.0, "connected to Redis again");
        }
        Ok((current.0, connection))
    }
}

/// Always to masters: a replica may be behind, and a commit must not seem undone.
fn route(target: &Target) -> RoutingInfo {
    RoutingInfo::SingleNode(match target {
        Target::Key(key) => {
            SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master))
        }
        Target::Node(Node::Master { host, port }) => {
            SingleNodeRoutingInfo::ByAddress { host: host.clone(), port: *port }
        }
        Target::Node(Node::Only) => SingleNodeRoutingInfo::RandomPrimary,
    })
}

fn too_late() -> RedisError {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time").into()
}

pub(super) fn info(
    settings: &Settings,
    (host, port): &(String, u16),
) -> RedisResult<ConnectionInfo> {
    let scheme = if settings.tls { "rediss" } else { "redis" };
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let mut user = RedisConnectionInfo::default().set_db(settings.database);
    if let Some(username) = &settings.username {
        user = user.set_username(username);
    }
    if let Some(password) = &settings.password {
        user = user.set_password(password);
    }
    let info = format!("{scheme}://{host}:{port}").as_str().into_connection_info()?;
    Ok(info.set_redis_settings(user).set_tcp_settings(tcp(settings)))
}

/// A peer that went away without a word is noticed when it acknowledges nothing.
fn tcp(settings: &Settings) -> TcpSettings {
    let tcp = TcpSettings::default().set_nodelay(true);
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(settings.command_timeout);
    #[cfg(not(target_os = "linux"))]
    let _ = settings;
    tcp
}
