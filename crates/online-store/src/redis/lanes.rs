//! All lanes. There is one key per (lane, partition), so a look at every key is a short one.

use std::collections::BTreeSet;

use ::redis::{Cmd, Value};
use record::{LaneId, Partition};

use super::Redis;
use super::connection::{Node, Target};
use super::failure::unavailable;
use super::layout;
use super::nodes::{self, Info};
use crate::Error;

/// About so many keys are looked at by one call.
const SCAN_SLICE: usize = 1_000;

impl Redis {
    pub(super) async fn lanes(&self) -> Result<Vec<LaneId>, Error> {
        let mut lanes = BTreeSet::new();
        for (lane, partition) in self.places().await? {
            // A claim alone makes no lane.
            if !lanes.contains(&lane) && self.has_head(lane, partition).await? {
                lanes.insert(lane);
            }
        }
        Ok(lanes.into_iter().collect())
    }

    /// One key per partition, each of which goes at once and whole, so a crash in between leaves
    /// whole partitions to remove again. Redis frees the memory in the background.
    pub(super) async fn remove(&self, lane: LaneId) -> Result<(), Error> {
        for (found, partition) in self.places().await? {
            if found == lane {
                let key = self.key(lane, partition);
                let mut command = Cmd::new();
                command.arg("UNLINK").arg(&key);
                self.commits.call(Target::Key(key), command).await?;
            }
        }
        Ok(())
    }

    async fn has_head(&self, lane: LaneId, partition: Partition) -> Result<bool, Error> {
        let key = self.key(lane, partition);
        let mut command = Cmd::new();
        command.arg("HEXISTS").arg(&key).arg(layout::head_field());
        Ok(self.reads.call(Target::Key(key), command).await? == Value::Int(1))
    }

    /// Every (lane, partition) that has a key, on every master. Refused when a server restarted or
    /// slots moved meanwhile: some place could have been missed.
    async fn places(&self) -> Result<BTreeSet<(LaneId, Partition)>, Error> {
        let before = self.processes().await?;
        let mut places = BTreeSet::new();
        for (node, _) in &before {
            self.places_of(node, &mut places).await?;
        }
        if self.processes().await? != before {
            return Err(unavailable("the servers changed while their lanes were listed"));
        }
        Ok(places)
    }

    /// The servers, and which of their processes answer.
    async fn processes(&self) -> Result<Vec<(Node, String)>, Error> {
        let mut processes = Vec::new();
        for node in nodes::all(&self.reads, self.settings.cluster).await? {
            let info = Info::of(&self.reads, &node).await?;
            if info.get("role") != "master" {
                return Err(unavailable("a master became a replica"));
            }
            processes.push((node, info.run_id().to_owned()));
        }
        Ok(processes)
    }

    async fn places_of(
        &self,
        node: &Node,
        places: &mut BTreeSet<(LaneId, Partition)>,
    ) -> Result<(), Error> {
        let mut cursor = b"0".to_vec();
        loop {
            let mut command = Cmd::new();
            command.arg("SCAN").arg(&cursor).arg("MATCH");
            command.arg(layout::pattern(&self.settings.prefix)).arg("COUNT").arg(SCAN_SLICE);
            let answer = self.reads.call(Target::Node(node.clone()), command).await?;
            let unknown = || unavailable("SCAN returned other types than expected");
            let page: [Value; 2] =
                answer.into_sequence().ok().and_then(|p| p.try_into().ok()).ok_or_else(unknown)?;
            let [Value::BulkString(next), Value::Array(names)] = page else {
                return Err(unknown());
            };
            for name in names {
                let Value::BulkString(name) = name else { return Err(unknown()) };
                places.extend(layout::place(&self.settings.prefix, &name));
            }
            if next == b"0" {
                return Ok(());
            }
            cursor = next;
        }
    }
}
