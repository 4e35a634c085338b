//! Reads the responses.

use prost::Message as _;
use record::{Offset, Partition};
use wire::v1;

use super::{Job, Report};
use crate::records::Chunks;
use crate::{Error, Progress};

/// A record of topic `served`.
pub(crate) struct Response {
    pub(crate) partition: Partition,
    pub(crate) offset: Offset,
    pub(crate) served: v1::Served,
}

impl Response {
    pub(crate) fn visitor(&self) -> &str {
        self.served.request.as_ref().map_or("", |request| request.visitor_id.as_str())
    }

    pub(crate) fn as_of_us(&self) -> i64 {
        self.served.response.as_ref().map_or(0, |response| response.as_of_us)
    }

    /// Whether a stage of that name is among the response's degradations.
    pub(crate) fn lacks(&self, stage: &str) -> bool {
        let degradations = self.served.response.iter().flat_map(|r| &r.degradations);
        degradations.into_iter().any(|d| d.stage.rsplit('/').next() == Some(stage))
    }
}

/// Reads the topic's responses, pass by pass; what is no response is counted.
pub(super) struct Responses<'a> {
    job: &'a Job,
    ends: Vec<Offset>,
    partition: u32,
    chunks: Option<Chunks>,
}

impl<'a> Responses<'a> {
    pub(super) async fn open(job: &'a Job) -> Result<Self, Error> {
        let ends = job.records.extent_or_nothing(&job.served_topic).await?.ends;
        Ok(Self { job, ends, partition: 0, chunks: None })
    }

    /// About `max` responses more, none at the end.
    pub(super) async fn next(
        &mut self,
        max: usize,
        report: &mut Report,
    ) -> Result<Vec<Response>, Error> {
        let mut responses = Vec::new();
        while responses.len() < max {
            let Some(end) = self.ends.get(self.partition as usize) else { break };
            let partition = Partition(self.partition);
            if self.chunks.is_none() {
                let topic = &self.job.served_topic;
                self.chunks = Some(self.job.records.chunks(topic, partition, *end).await?);
            }
            let chunks = self.chunks.as_mut().expect("it was just opened");
            let Some(records) = chunks.next().await? else {
                (self.partition, self.chunks) = (self.partition + 1, None);
                continue;
            };
            let done = records.len() as u64;
            (self.job.watch)(Progress { step: "responses", done, total: None });
            for record in records {
                match v1::Served::decode(record.value.as_slice()) {
                    Ok(served) if served.request.is_some() && served.response.is_some() => {
                        responses.push(Response { partition, offset: record.offset, served });
                    }
                    _ => report.skip("damaged_record"),
                }
            }
        }
        Ok(responses)
    }
}

/// Every response of the topic.
pub(crate) async fn responses(job: &Job, report: &mut Report) -> Result<Vec<Response>, Error> {
    Responses::open(job).await?.next(usize::MAX, report).await
}
