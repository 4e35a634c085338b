//! The servers that hold keys, and what each of them says of itself.

use std::collections::BTreeMap;

use ::redis::{Cmd, Value};

use super::connection::{Node, Target};
use super::failure::unavailable;
use super::link::Link;
use crate::Error;

const SLOTS: i64 = 16_384;

/// `INFO` of one server, by name.
pub(super) struct Info(BTreeMap<String, String>);

impl Info {
    pub(super) async fn of(link: &Link, node: &Node) -> Result<Self, Error> {
        let mut command = Cmd::new();
        command.arg("INFO");
        match link.call(Target::Node(node.clone()), command).await? {
            Value::BulkString(bytes) => Ok(Self::parse(&String::from_utf8_lossy(&bytes))),
            other => Err(unavailable(format!("INFO returned {other:?}"))),
        }
    }

    pub(super) fn parse(text: &str) -> Self {
        let pair = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_owned(), value.trim_end().to_owned()))
        };
        Self(text.lines().filter_map(pair).collect())
    }

    /// A value; nothing where the server does not say.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Identity of the server's process.
    pub(super) fn run_id(&self) -> &str {
        self.get("run_id")
    }
}

/// The server, or every master of the cluster that has slots.
pub(super) async fn all(link: &Link, cluster: bool) -> Result<Vec<Node>, Error> {
    if !cluster {
        return Ok(vec![Node::Only]);
    }
    let mut command = Cmd::new();
    command.arg("CLUSTER").arg("SLOTS");
    let answer = link.call(Target::Node(Node::Only), command).await?;
    masters(&answer).ok_or_else(|| unavailable("the cluster does not serve all of its slots"))
}

/// Reads `CLUSTER SLOTS`: ranges, each with its master first. `None`: some slot has none.
fn masters(answer: &Value) -> Option<Vec<Node>> {
    let mut nodes = Vec::new();
    let mut covered = 0;
    for range in answer.as_sequence()? {
        let [Value::Int(first), Value::Int(last), master, ..] = range.as_sequence()? else {
            return None;
        };
        let [Value::BulkString(host), Value::Int(port), ..] = master.as_sequence()? else {
            return None;
        };
        covered += last - first + 1;
        let host = String::from_utf8(host.clone()).ok()?;
        nodes.push(Node::Master { host, port: u16::try_from(*port).ok()? });
    }
    nodes.sort_unstable();
    nodes.dedup();
    (covered == SLOTS).then_some(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: i64, last: i64, port: i64) -> Value {
        let node = |port| Value::Array(vec![Value::BulkString(b"h".to_vec()), Value::Int(port)]);
        Value::Array(vec![Value::Int(first), Value::Int(last), node(port), node(port + 100)])
    }

    #[test]
    fn masters_are_found_once_and_gaps_are_noticed() {
        let whole = Value::Array(vec![range(0, 99, 2), range(200, 16_383, 2), range(100, 199, 1)]);
        let master = |port| Node::Master { host: "h".into(), port };
        assert_eq!(masters(&whole), Some(vec![master(1), master(2)]));
        let gap = Value::Array(vec![range(0, 99, 2), range(200, 16_383, 2)]);
        assert_eq!(masters(&gap), None);
        assert_eq!(masters(&Value::Nil), None);
    }

    #[test]
    fn info_is_read_by_name() {
        let info = Info::parse("# Server\r\nredis_version:7.0.15\r\nrun_id:ab\r\nmaxmemory:0\r\n");
        assert_eq!((info.get("redis_version"), info.run_id()), ("7.0.15", "ab"));
        assert_eq!(info.get("missing"), "");
    }
}
