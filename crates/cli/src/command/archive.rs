//! `twofold archive`: the log as Parquet.

use batch::Archive;
use batch::archive::{self, Report};
use definitions::Definitions;

use super::Context;
use crate::data::Data;
use crate::output::Outcome;
use crate::watch;

pub(crate) async fn run(
    context: &Context,
    data: &Data,
    definitions: &Definitions,
) -> anyhow::Result<Outcome> {
    let report = archive(context, data, definitions).await?;
    let json = serde_json::json!({
        "records": report.records,
        "files": report.files,
        "bytes": report.bytes,
        "rejected": &report.rejected,
    });
    let Report { records, files, bytes, .. } = report;
    Outcome::new(&json, format!("{records} records in {files} new files, {bytes} bytes"))
}

/// Where the archive of a data directory is.
pub(crate) fn of(context: &Context) -> Archive {
    Archive::new(context.settings.data.join("archive"))
}

/// Adds what the log has beyond the archive: the sources' topics and `served`.
///
/// # Errors
/// When the log or the disk fail, or the archive is damaged.
pub(crate) async fn archive(
    context: &Context,
    data: &Data,
    definitions: &Definitions,
) -> anyhow::Result<Report> {
    let archive = of(context);
    let settings = archive::Settings::default();
    let mut sum = Report::default();
    let sources = definitions.sources.iter().map(|source| (source.topic.as_str(), Some(source)));
    let served = [(context.settings.service.served_topic.as_str(), None)];
    for (topic, source) in sources.chain(served) {
        // A topic's progress counts to that topic's end.
        let watch = watch::followed(&context.follower);
        let report =
            archive::write(&*data.log, &archive, topic, source, &settings, &*watch).await?;
        sum.records += report.records;
        sum.files += report.files;
        sum.bytes += report.bytes;
        for (reason, count) in report.rejected {
            *sum.rejected.entry(reason).or_default() += count;
        }
    }
    Ok(sum)
}
