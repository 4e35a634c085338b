//! The log and the store of one directory at work together: records are appended, and a small fold
//! commits a state per key that can be computed again from the log.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use embedded::{Database, Options};
use event_log::{Embedded as Log, EventLog, NewRecord};
use online_store::{
    Commit, Embedded as Store, OnlineStore, Outcome, OwnerToken, Settings, StoredHead,
};
use record::{AppendTime, LaneId, Offset, Partition, Record};

pub(crate) const TOPIC: &str = "events";
pub(crate) const PARTITIONS: u32 = 2;
pub(crate) const LANE: LaneId = LaneId(*b"the lane");
const KEYS: u64 = 7;
const WAIT: Duration = Duration::from_millis(200);

/// Log and store on one database.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) log: Arc<Log>,
    pub(crate) store: Store,
}

impl Pair {
    pub(crate) fn open(directory: &Path, options: Options, durable_commits: bool) -> Self {
        let database = Database::open_with(directory, options).unwrap();
        let settings = event_log::Settings {
            clock: Arc::new(|| AppendTime(1_700_000_000_000)),
            entropy: Arc::new(|| [7; 16]),
        };
        let log = Arc::new(Log::open(&database, settings).unwrap());
        let store = Store::open(&database, Settings { durable_commits }).unwrap();
        Self { log, store }
    }

    /// Appends one record, the `i`th, and returns where.
    pub(crate) async fn append(&self, i: u64) -> (Partition, Offset) {
        let key = format!("key {}", i % KEYS).into_bytes();
        let value = format!("{}:{i}", std::process::id()).into_bytes();
        let appended =
            self.log.append(TOPIC, vec![NewRecord { key, value, trace: None }]).await.unwrap();
        let appended = appended.into_iter().next().unwrap().unwrap();
        (appended.partition, appended.offset)
    }

    /// Claims a partition and folds it on and on, telling each commit's position; `None`: nothing
    /// came for a while.
    pub(crate) async fn fold(
        &self,
        partition: Partition,
        owner: OwnerToken,
        mut told: impl FnMut(Option<Offset>) -> bool,
    ) {
        let mut head = self.store.claim(LANE, partition, owner).await.unwrap();
        let from = head.as_ref().map_or(Offset(0), |head| head.next);
        let mut reader = self.log.reader(TOPIC, partition, from).await.unwrap();
        loop {
            let records = reader.next(10, WAIT).await.unwrap();
            let Some(last) = records.last() else { if told(None) { continue } else { return } };
            let next = StoredHead { next: last.offset.next(), bytes: b"head".to_vec() };
            let mut states = BTreeMap::<Vec<u8>, Vec<u8>>::new();
            for record in &records {
                if !states.contains_key(&record.key) {
                    let keys = [record.key.clone()];
                    let read = self.store.read(LANE, partition, &keys).await.unwrap();
                    let state = read.values.into_iter().next().unwrap().unwrap_or_default();
                    states.insert(record.key.clone(), state);
                }
                add(states.get_mut(&record.key).unwrap(), record);
            }
            let commit = Commit {
                lane: LANE,
                partition,
                owner,
                expected: head.map(|head| head.next),
                head: next.clone(),
                states: states.into_iter().map(|(key, state)| (key, Some(state))).collect(),
                derived: Vec::new(),
            };
            assert_eq!(self.store.commit(&commit).await.unwrap(), Outcome::Committed);
            if !told(Some(next.next)) {
                return;
            }
            head = Some(next);
        }
    }

    pub(crate) async fn records(&self, partition: Partition) -> Vec<Record> {
        let next = self.log.bounds(TOPIC).await.unwrap()[partition.0 as usize].next;
        let mut reader = self.log.reader(TOPIC, partition, Offset(0)).await.unwrap();
        let mut records = Vec::new();
        while reader.position() < next {
            records.extend(reader.next(10_000, Duration::ZERO).await.unwrap());
        }
        records
    }

    /// The log is at least as far as the store, and each state is what the log's records up to the
    /// head make of it. Returns positions of head and log.
    pub(crate) async fn check(&self, partition: Partition) -> (Offset, Offset) {
        let records = self.records(partition).await;
        let mut found = BTreeMap::new();
        let mut visit = |key: &[u8], state: &[u8]| {
            found.insert(key.to_vec(), state.to_vec());
        };
        let head = self.store.scan(LANE, partition, &mut visit).await.unwrap();
        let next = head.map_or(Offset(0), |head| head.next);
        let end = Offset(records.len() as u64);
        assert!(next <= end, "the store is at {next}, the log ends at {end}");
        let mut expected = BTreeMap::<_, Vec<u8>>::new();
        for record in &records[..next.0 as usize] {
            add(expected.entry(record.key.clone()).or_default(), record);
        }
        assert_eq!(found, expected, "states at {next}");
        (next, end)
    }
}

/// Order and number of records show in the state.
fn add(state: &mut Vec<u8>, record: &Record) {
    let old = state.first_chunk().map_or(0, |count| u64::from_be_bytes(*count));
    let mut hash = state.get(8..).map_or(0, |hash| u64::from_be_bytes(hash.try_into().unwrap()));
    for byte in record.value.iter().chain(&record.offset.0.to_be_bytes()) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    *state = [(old + 1).to_be_bytes(), hash.to_be_bytes()].concat();
}
