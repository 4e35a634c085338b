//! Reads the responses.

use prost::Message as _;
use record::{Offset, Partition};
use wire::v1;

use super::{Job, Report};
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

/// Every response of the topic; what is no response is counted.
pub(crate) async fn responses(job: &Job, report: &mut Report) -> Result<Vec<Response>, Error> {
    let extent = match job.records.extent(&job.served_topic).await {
        Ok(extent) => extent,
        Err(Error::Log(event_log::Error::NoTopic { .. }) | Error::NoArchive { .. }) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut responses = Vec::new();
    for (partition, end) in (0..).map(Partition).zip(&extent.ends) {
        let mut chunks = job.records.chunks(&job.served_topic, partition, *end).await?;
        while let Some(records) = chunks.next().await? {
            (job.watch)(Progress { step: "responses", done: records.len() as u64, total: None });
            for record in records {
                match v1::Served::decode(record.value.as_slice()) {
                    Ok(served) if served.request.is_some() && served.response.is_some() => {
                        responses.push(Response { partition, offset: record.offset, served });
                    }
                    _ => report.skip("damaged_record"),
                }
            }
        }
    }
    Ok(responses)
}
