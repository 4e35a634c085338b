//! A log in memory whose append times the test chooses.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use event_log::{
    Appended, Bounds, Error, EventLog, JournalId, Membership, NewRecord, Reader, Sole, Topic,
};
use hashbrown::HashMap;
use record::{AppendTime, LogId, Offset, Partition, Record, partition_for_key};

/// How readers answer.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) enum Mood {
    /// With what there is.
    #[default]
    Prompt,
    /// With nothing, three times out of four.
    Hesitant,
    /// With what there is but every fifth record and the last one, whose offsets are gaps.
    WithGaps,
    /// With nothing from this offset on, for ever.
    StallsAt(u64),
}

#[derive(Default)]
pub(crate) struct Memory {
    topics: Mutex<HashMap<String, Vec<Vec<Record>>>>,
    mood: Mutex<Mood>,
    /// First offsets that a reader may have, where they are not 0.
    firsts: Mutex<HashMap<(String, u32), Offset>>,
    /// What its appends had to be before.
    pub(crate) journals: Mutex<Vec<Option<JournalId>>>,
}

impl Memory {
    pub(crate) fn new(topics: &[&str], partitions: usize) -> Self {
        let topics = topics.iter().map(|topic| ((*topic).to_owned(), vec![Vec::new(); partitions]));
        Self { topics: Mutex::new(topics.collect()), ..Self::default() }
    }

    /// Appends a record at a time of the log's clock.
    pub(crate) fn put(&self, topic: &str, key: &str, value: Vec<u8>, append_ms: i64) -> (u32, u64) {
        let mut topics = self.topics.lock().unwrap();
        let partitions = topics.get_mut(topic).unwrap();
        let partition = partition_for_key(key.as_bytes(), partitions.len() as u32);
        let records = &mut partitions[partition.0 as usize];
        let offset = Offset(records.len() as u64);
        let (append_time, key) = (AppendTime(append_ms), key.as_bytes().to_vec());
        records.push(Record { partition, offset, append_time, key, value, trace: None });
        (partition.0, offset.0)
    }

    pub(crate) fn records(&self, topic: &str, partition: u32) -> Vec<Record> {
        self.topics.lock().unwrap()[topic][partition as usize].clone()
    }

    /// From now on readers are opened in this mood.
    pub(crate) fn set_mood(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Drops what lies before `first`, as a log's retention does.
    pub(crate) fn retain_from(&self, topic: &str, partition: u32, first: Offset) {
        self.firsts.lock().unwrap().insert((topic.to_owned(), partition), first);
    }

    fn first(&self, topic: &str, partition: u32) -> Offset {
        let firsts = self.firsts.lock().unwrap();
        firsts.get(&(topic.to_owned(), partition)).copied().unwrap_or(Offset(0))
    }

    /// Puts other bytes in the place of a record's.
    pub(crate) fn change(&self, topic: &str, at: (u32, u64), value: Vec<u8>) {
        self.topics.lock().unwrap().get_mut(topic).unwrap()[at.0 as usize][at.1 as usize].value =
            value;
    }
}

struct MemoryReader {
    records: std::iter::Peekable<std::vec::IntoIter<Record>>,
    position: Offset,
    end: Offset,
    mood: Mood,
    calls: u32,
}

#[async_trait]
impl Reader for MemoryReader {
    async fn next(&mut self, records_max: usize, _: Duration) -> Result<Vec<Record>, Error> {
        self.calls += 1;
        if self.mood == Mood::Hesitant && !self.calls.is_multiple_of(4) {
            return Ok(Vec::new());
        }
        let stalls_at = match self.mood {
            Mood::StallsAt(offset) => Offset(offset),
            _ => self.end,
        };
        let mut records = Vec::new();
        while records.len() < records_max.min(50)
            && let Some(record) = self.records.next_if(|record| record.offset < stalls_at)
        {
            records.push(record);
        }
        if let Some(last) = records.last() {
            self.position = last.offset.next();
        } else if self.mood == Mood::WithGaps {
            self.position = self.end;
        }
        Ok(records)
    }

    fn position(&self) -> Offset {
        self.position
    }
}

#[async_trait]
impl EventLog for Memory {
    async fn topic(&self, topic: &str) -> Result<Topic, Error> {
        let topics = self.topics.lock().unwrap();
        let found = topics.get(topic).ok_or_else(|| Error::NoTopic { topic: topic.to_owned() })?;
        let mut log = [0; 16];
        topic.bytes().zip(&mut log).for_each(|(byte, id)| *id = byte);
        Ok(Topic { log: LogId(log), partitions: found.len() as u32 })
    }

    async fn create(&self, topic: &str, _: u32) -> Result<Topic, Error> {
        self.topic(topic).await
    }

    async fn append_before(
        &self,
        topic: &str,
        records: Vec<NewRecord>,
        journal: Option<JournalId>,
    ) -> Result<Vec<Result<Appended, Error>>, Error> {
        self.journals.lock().unwrap().push(journal);
        let put = |record: NewRecord| {
            let key = String::from_utf8(record.key).unwrap();
            let (partition, offset) = self.put(topic, &key, record.value, 0);
            let (partition, offset) = (Partition(partition), Offset(offset));
            Ok(Appended { partition, offset, append_time: AppendTime(0) })
        };
        Ok(records.into_iter().map(put).collect())
    }

    async fn bounds(&self, topic: &str) -> Result<Vec<Bounds>, Error> {
        let topics = self.topics.lock().unwrap();
        let found = topics.get(topic).ok_or_else(|| Error::NoTopic { topic: topic.to_owned() })?;
        let bounds = |(records, partition): (&Vec<Record>, u32)| {
            let next = Offset(records.len() as u64);
            Bounds { first: self.first(topic, partition), next }
        };
        Ok(found.iter().zip(0..).map(bounds).collect())
    }

    async fn reader(
        &self,
        topic: &str,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, Error> {
        let mut records = self.records(topic, partition.0);
        let (first, next) = (self.first(topic, partition.0), Offset(records.len() as u64));
        if from < first || from > next {
            let (topic, position, remedy) = (topic.to_owned(), from, "none");
            return Err(Error::OutOfRange { topic, partition, position, first, next, remedy });
        }
        records.drain(..(from.0 as usize).min(records.len()));
        let mood = *self.mood.lock().unwrap();
        if mood == Mood::WithGaps {
            records.retain(|record| record.offset.0 % 5 != 4 && record.offset.next() != next);
        }
        let records = records.into_iter().peekable();
        Ok(Box::new(MemoryReader { records, position: from, end: next, mood, calls: 0 }))
    }

    async fn join(&self, topics: &[&str]) -> Result<Box<dyn Membership>, Error> {
        Ok(Box::new(Sole::of(self, topics).await?))
    }
}
