//! The check at the start: every server must keep what it is given.

use ::redis::{Cmd, Value};

use super::connection::{Node, Target};
use super::link::Link;
use super::nodes::Info;
use super::{Settings, failure};
use crate::Error;

/// Functions came with it.
const MAJOR_MIN: u32 = 7;

/// Refuses a server that may evict or forget, unless the settings allow it, and one that is too old or of the other
/// kind than the URL says. One that is a replica, or loads its data, counts as away.
pub(super) async fn check(link: &Link, settings: &Settings, node: &Node) -> Result<(), Error> {
    let info = Info::of(link, node).await?;
    if judge(&info, settings)? {
        return Ok(());
    }
    let mut command = Cmd::new();
    command.arg("CONFIG").arg("GET").arg("save");
    snapshots(link.call(Target::Node(node.clone()), command).await)
}

/// Whether what a server says of itself is enough to take it.
fn judge(info: &Info, settings: &Settings) -> Result<bool, Error> {
    kind(info, settings)?;
    if !settings.allow_volatile {
        eviction(info)?;
    }
    // What comes before is true already while a server reads its files.
    loaded(info)?;
    Ok(settings.allow_volatile || info.get("aof_enabled") == "1")
}

/// Until a server that starts has read its files, it says of itself that it has none.
fn loaded(info: &Info) -> Result<(), Error> {
    match info.get("loading") {
        "1" => Err(failure::unavailable("the server is loading its data")),
        _ => Ok(()),
    }
}

fn kind(info: &Info, settings: &Settings) -> Result<(), Error> {
    let version = info.get("redis_version");
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < MAJOR_MIN) {
        return refuse(format!("Redis {version} has no functions"), "use Redis 7.0 or newer");
    }
    // A cluster's client has found out by itself that this is one.
    if !settings.cluster && info.get("cluster_enabled") == "1" {
        let remedy = match settings.tls {
            true => "write rediss+cluster:// in the store's URL",
            false => "write redis+cluster:// in the store's URL",
        };
        return refuse("the server is a node of a Redis Cluster", remedy);
    }
    if info.get("role") == "slave" {
        // It may become a master, where a name leads from one to the next.
        return Err(failure::unavailable(
            "the server is a replica: name its master in the store's URL",
        ));
    }
    Ok(())
}

fn eviction(info: &Info) -> Result<(), Error> {
    let policy = info.get("maxmemory_policy");
    if matches!(info.get("maxmemory"), "" | "0") || policy == "noeviction" {
        return Ok(());
    }
    refuse(
        format!("Redis evicts states when its memory is full (maxmemory-policy {policy})"),
        "set maxmemory-policy noeviction, or take the risk with ?allow_volatile=true in the \
         store's URL",
    )
}

/// Without an append-only file there must be snapshots.
fn snapshots(answer: Result<Value, Error>) -> Result<(), Error> {
    match answer {
        Ok(answer) => {
            let saves = match answer.as_sequence() {
                Some([_, Value::BulkString(save)]) => !save.is_empty(),
                _ => false,
            };
            if saves {
                return Ok(());
            }
            refuse(
                "Redis forgets everything when it restarts (no append-only file, no snapshots)",
                "set appendonly yes, or take the risk with ?allow_volatile=true in the store's URL",
            )
        }
        Err(Error::Unavailable { reason }) if is_forbidden(&reason) => refuse(
            format!(
                "Redis has no append-only file, and does not tell whether it saves snapshots \
                 ({reason})"
            ),
            "set appendonly yes or allow CONFIG GET; if the operator vouches for it, write \
             ?allow_volatile=true in the store's URL",
        ),
        Err(error) => Err(error),
    }
}

/// Managed servers forbid CONFIG, or do not know it.
fn is_forbidden(reason: &str) -> bool {
    ["NOPERM", "permission", "unknown command", "unknown subcommand"]
        .iter()
        .any(|sign| reason.contains(sign))
}

fn refuse(reason: impl Into<String>, remedy: &'static str) -> Result<(), Error> {
    Err(Error::Unsuitable { reason: reason.into(), remedy })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(info: &str) -> Option<String> {
        let info = Info::parse(info);
        judge(&info, &Settings::default()).err().map(|error| error.to_string())
    }

    #[test]
    fn old_servers_and_replicas_are_not_taken() {
        let redis = |version: &str, role: &str| format!("redis_version:{version}\nrole:{role}");
        assert_eq!(refusal(&redis("7.0.0", "master")), None);
        assert_eq!(refusal(&redis("10.1", "master")), None);
        for old in [redis("6.2.14", "master"), redis("", "master"), String::new()] {
            assert!(refusal(&old).unwrap().contains("no functions"), "{old}");
        }
        assert!(refusal(&redis("7.0.0", "slave")).unwrap().contains("a replica"));
    }

    #[test]
    fn a_server_that_loads_its_data_is_waited_for() {
        let info = Info::parse("redis_version:7.0.0\nrole:master\nloading:1\naof_enabled:0");
        assert!(matches!(judge(&info, &Settings::default()), Err(Error::Unavailable { .. })));
        assert_eq!(refusal("redis_version:7.0.0\nrole:master\nloading:0"), None);
        let old = refusal("redis_version:6.0.0\nrole:master\nloading:1");
        assert!(old.unwrap().contains("no functions"), "waiting would not mend it");
    }

    #[test]
    fn only_a_limit_makes_a_policy_dangerous() {
        let limited = |max: &str, policy: &str| {
            format!("redis_version:7.0.0\nmaxmemory:{max}\nmaxmemory_policy:{policy}")
        };
        assert!(refusal(&limited("1", "volatile-lru")).unwrap().contains("evicts"));
        assert_eq!(refusal(&limited("0", "volatile-lru")), None);
        assert_eq!(refusal(&limited("1", "noeviction")), None);
    }
}
