use ::redis::{Cmd, Value};
use record::{LaneId, Partition};

use super::Redis;
use super::connection::Target;
use super::layout::{self, Kind};
use crate::{Error, Page, Snapshot, StoredHead};

/// About so many fields are visited by one call of a scan.
const SCAN_SLICE: usize = 1_000;
/// Cursor of the first page, and of the one after the last.
const FIRST: &[u8] = b"0";

impl Redis {
    /// One `HMGET`: head and values lie in one hash, so no script and no transaction is needed for
    /// one snapshot of both.
    pub(super) async fn read_kind(
        &self,
        kind: Kind,
        lane: LaneId,
        partition: Partition,
        keys: &[Vec<u8>],
    ) -> Result<Snapshot, Error> {
        let key = self.key(lane, partition);
        let mut command = Cmd::new();
        command.arg("HMGET").arg(&key).arg(layout::head_field());
        for asked in keys {
            match layout::is_bare(kind, asked) {
                true => command.arg(asked),
                false => command.arg(layout::field(kind, asked)),
            };
        }
        let answer = self.reads.call(Target::Key(key.clone()), command).await?;
        let mut values = match answer {
            Value::Array(values) if values.len() == keys.len() + 1 => values.into_iter(),
            other => return Err(layout::damaged(&key, &format!("a read returned {other:?}"))),
        };
        let head = layout::decode(&key, values.next().unwrap_or(Value::Nil))?;
        let values = values.map(|value| layout::bytes(&key, value)).collect::<Result<_, _>>()?;
        Ok(Snapshot { head, values })
    }

    /// Page by page, each with the version that it belongs to, so that a commit in between, another
    /// process behind the address or a fail-over is seen at the first page after it. No field is shown
    /// twice: a hash table begins to grow or shrink by a write only, and one that is at it already
    /// is scanned by the smaller of its tables all along.
    pub(super) async fn scan(
        &self,
        lane: LaneId,
        partition: Partition,
        visit: &mut (dyn for<'k, 'v> FnMut(&'k [u8], &'v [u8]) + Send),
    ) -> Result<Option<StoredHead>, Error> {
        let key = self.key(lane, partition);
        let mut first: Option<(Option<StoredHead>, Vec<u8>)> = None;
        let mut cursor = FIRST.to_vec();
        loop {
            let page = self.page_of_scan(&key, &cursor, SCAN_SLICE).await?;
            let (head, version) = first.get_or_insert((page.head, page.version.clone()));
            if *version != page.version {
                return Err(Error::Moved { lane, partition });
            }
            if head.is_some() {
                page.states.iter().for_each(|(state, value)| visit(state, value));
            }
            if page.cursor == FIRST {
                return Ok(first.and_then(|(head, _)| head));
            }
            cursor = page.cursor;
        }
    }

    /// One call: what it does not show, because a commit came in between, a later walk does.
    pub(super) async fn page(
        &self,
        lane: LaneId,
        partition: Partition,
        from: &[u8],
        keys: usize,
    ) -> Result<Page, Error> {
        let key = self.key(lane, partition);
        let cursor = if from.is_empty() { FIRST } else { from };
        let page = self.page_of_scan(&key, cursor, keys.max(1)).await?;
        let states = if page.head.is_some() { page.states } else { Vec::new() };
        let next = (page.cursor != FIRST).then_some(page.cursor);
        Ok(Page { head: page.head, states, next })
    }

    async fn page_of_scan(
        &self,
        key: &str,
        cursor: &[u8],
        keys: usize,
    ) -> Result<PageOfScan, Error> {
        let mut command = Cmd::new();
        command.arg("FCALL_RO").arg(&self.functions.scan).arg(1).arg(key).arg(cursor).arg(keys);
        let answer = self.reads.call(Target::Key(key.to_owned()), command).await?;
        PageOfScan::of(key, answer)
    }
}

/// What the function `scan` returns.
struct PageOfScan {
    head: Option<StoredHead>,
    version: Vec<u8>,
    cursor: Vec<u8>,
    states: Vec<(Vec<u8>, Vec<u8>)>,
}

impl PageOfScan {
    fn of(key: &str, answer: Value) -> Result<Self, Error> {
        let unknown = |answer| layout::damaged(key, &format!("a scan returned {answer:?}"));
        let parts = answer.into_sequence().map_err(unknown)?;
        let parts: [Value; 4] = parts.try_into().map_err(|parts| unknown(Value::Array(parts)))?;
        let [head, Value::BulkString(version), Value::BulkString(cursor), Value::Array(found)] =
            parts
        else {
            return Err(layout::damaged(key, "a scan returned other types than expected"));
        };
        let mut states = Vec::with_capacity(found.len() / 2);
        let mut found = found.into_iter();
        while let (Some(state), Some(value)) = (found.next(), found.next()) {
            let state = layout::bytes(key, state)?.unwrap_or_default();
            states.push((state, layout::bytes(key, value)?.unwrap_or_default()));
        }
        Ok(Self { head: layout::decode(key, head)?, version, cursor, states })
    }
}
