use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::{Fsync, Redis, free_port};

/// The cluster bus listens so far above the port.
const BUS: u16 = 10_000;

/// A Redis Cluster on loopback ports.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
    masters: usize,
}

impl RedisCluster {
    /// Starts it, and waits until every node knows every slot and every replica follows its master.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(server: &Path, masters: usize, replicas: usize, fsync: Fsync) -> Self {
        let node = |_| start_node(server, port_with_bus(), fsync, &[]);
        let nodes: Vec<_> = (0..masters * (1 + replicas)).map(node).collect();
        let mut create = Command::new(server.with_file_name("redis-cli"));
        create.args(["--cluster", "create"]);
        create.args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())));
        Self::join(create, nodes, masters, replicas)
    }

    /// As [`RedisCluster::start`], of masters alone; at the second addresses (`rediss+cluster://…`) they speak TLS,
    /// as they do with each other.
    ///
    /// # Panics
    /// When it does not come up.
    #[cfg(feature = "certificates")]
    #[must_use]
    pub fn start_with_tls(
        server: &Path,
        masters: usize,
        fsync: Fsync,
        certificates: &crate::Certificates,
    ) -> (Self, String) {
        let ports: Vec<u16> = (0..masters).map(|_| port_with_bus()).collect();
        let node = |&port: &u16| {
            let mut arguments = certificates.of_redis(port);
            arguments.extend(["--tls-cluster".to_owned(), "yes".to_owned()]);
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            start_node(server, free_port(), fsync, &arguments)
        };
        let nodes = ports.iter().map(node).collect();
        let addresses: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let mut create = Command::new(server.with_file_name("redis-cli"));
        create.args(["--tls", "--cacert"]).arg(certificates.authority());
        create.args(["--cluster", "create"]).args(&addresses);
        let cluster = Self::join(create, nodes, masters, 0);
        (cluster, format!("rediss+cluster://{}", addresses.join(",")))
    }

    /// `create` names the nodes.
    fn join(mut create: Command, mut nodes: Vec<Redis>, masters: usize, replicas: usize) -> Self {
        create.args(["--cluster-replicas", &replicas.to_string(), "--cluster-yes"]);
        let created = create.output().expect("redis-cli beside redis-server");
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stdout));
        for node in &mut nodes {
            node.wait_until("CLUSTER INFO", |info| info.contains("cluster_state:ok"));
            node.wait_until("INFO replication", |info| {
                let follows = info.contains("role:master") || info.contains("link_status:up");
                follows && !info.contains("sync_in_progress:1")
            });
        }
        for node in &mut nodes[..masters] {
            let online = format!("connected_slaves:{replicas}");
            node.wait_until("INFO replication", |info| info.contains(&online));
        }
        Self { nodes, masters }
    }

    /// `redis+cluster://127.0.0.1:PORT,…`, all nodes.
    #[must_use]
    pub fn url(&self) -> String {
        let nodes: Vec<_> =
            self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("redis+cluster://{}", nodes.join(","))
    }

    /// Its nodes: those that began as masters first.
    #[must_use]
    pub fn nodes(&mut self) -> &mut [Redis] {
        &mut self.nodes
    }

    /// `kill -9` of the `n`th of the nodes that began as masters.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn kill_master(&mut self, n: usize) {
        assert!(n < self.masters, "there are {} masters", self.masters);
        self.nodes[n].kill();
    }
}

fn start_node(server: &Path, port: u16, fsync: Fsync, more: &[&str]) -> Redis {
    let own = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
    Redis::start_at(server, port, fsync, &[&own, more].concat())
}

/// A port whose bus port is free too.
fn port_with_bus() -> u16 {
    let with_bus = |port: &u16| {
        port.checked_add(BUS).is_some_and(|bus| TcpListener::bind(("127.0.0.1", bus)).is_ok())
    };
    std::iter::repeat_with(free_port).find(with_bus).expect("an endless iterator")
}
