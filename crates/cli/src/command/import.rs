//! `twofold import`: data sets into the log.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::ValueEnum as _;
use definitions::{Definitions, Source};
use online::updater;
use record::{EventTime, Offset};
use runtime::exit::{Code, With};

use super::Context;
use crate::args::{Format, ImportArgs};
use crate::data::Data;
use crate::import::{self, EVENTS_MAX, File, Parsed, Summary};
use crate::output::{Outcome, Progress};

/// Source that data sets of visitors' behaviour are events of.
const CLICKSTREAM: &str = "clickstream";
/// More late events than one in so many fail the import.
const LATE_ONE_IN: u64 = 100;
/// The most bytes of one file: more than as many events take as are sorted at once.
const FILE_BYTES_MAX: u64 = 8 << 30;
/// The most bytes that are imported through the owner of a data directory, all files together: it
/// sorts them in the memory that it serves from.
const OWNER_BYTES_MAX: u64 = 1 << 30;

/// What is wrong already before a data directory is opened, or its owner asked.
///
/// # Errors
/// A source that is not defined, a file that is not there.
pub(crate) fn check(definitions: &Definitions, args: &ImportArgs) -> anyhow::Result<()> {
    source(definitions, args)?;
    args.files.iter().try_for_each(|file| metadata(file).map(drop))
}

/// What is wrong when another process is to read the files.
///
/// # Errors
/// What only this process can read, and what is too much.
pub(crate) fn check_for_owner(args: &ImportArgs) -> anyhow::Result<()> {
    let mut bytes = 0;
    for file in &args.files {
        let found = metadata(file)?;
        let ours = ["/dev", "/proc"].iter().any(|place| file.starts_with(place));
        if ours || !found.is_file() {
            return Err(anyhow::anyhow!(
                "{} is no regular file: the process that owns the data directory reads it, so write it to one",
                file.display()
            ))
            .exit(Code::Configuration);
        }
        bytes += found.len();
    }
    if bytes > OWNER_BYTES_MAX {
        return Err(anyhow::anyhow!(
            "{bytes} bytes; while a process owns the data directory at most {OWNER_BYTES_MAX} are \
             imported at once: split the files by time, or stop it"
        ))
        .exit(Code::Configuration);
    }
    Ok(())
}

pub(crate) async fn run(
    context: &Context,
    data: &Data,
    definitions: &Definitions,
    args: &ImportArgs,
) -> anyhow::Result<Outcome> {
    let source = source(definitions, args)?;
    let files = open(args)?;
    let summary = import(context, data, definitions, &source, args, &files).await?;
    let topic = &context.settings.updater.dead_letter_topic;
    let outcome = Outcome::new(&summary, text(&summary, topic))?;
    Ok(match summary.appended == 0 && summary.dead_lettered > 0 {
        false => outcome,
        true => outcome.failing(Code::Data, nothing(&summary, args.format)),
    })
}

/// What to say when not one line was an event.
fn nothing(summary: &Summary, format: Format) -> String {
    format!(
        "nothing was appended: none of the {} records is an event; see that the files are of the format \
         `{}`",
        summary.records,
        name_of(format)
    )
}

/// A format's word on the command line.
fn name_of(format: Format) -> String {
    format.to_possible_value().expect("no format is hidden").get_name().to_owned()
}

async fn import(
    context: &Context,
    data: &Data,
    definitions: &Definitions,
    source: &Arc<Source>,
    args: &ImportArgs,
    files: &[File],
) -> anyhow::Result<Summary> {
    let bytes = files.iter().map(|file| file.bytes.len() as u64).sum();
    let mut progress = Progress::followed(&context.follower, "reading", bytes);
    let Parsed { events, dead_letters, blank, headers } =
        import::read(args.format, source, files, |bytes| progress.add(bytes));
    drop(progress);
    if events.len() > EVENTS_MAX {
        let remedy = "split the files by time and import the parts in order";
        return Err(anyhow::anyhow!(
            "{} events; at most {EVENTS_MAX} are sorted at once: {remedy}",
            events.len()
        ))
        .exit(Code::Data);
    }
    let mut summary = Summary {
        records: (events.len() + dead_letters.len()) as u64,
        blank,
        headers,
        dead_lettered: dead_letters.len() as u64,
        reasons: import::tell(&dead_letters, &context.follower),
        ..Summary::default()
    };
    let from = positions(data, definitions, source).await?;
    let now = context.clock.append_time();
    summary.late = import::count_late(&*data.log, source, &from, &events, now).await?;
    if summary.late * LATE_ONE_IN > events.len() as u64 && !args.allow_late {
        return Err(anyhow::anyhow!(
            "{} of {} events lie before what the log has seen already and would not count: nothing was \
             appended. If these files are in the log already, there is nothing to do; to finish an \
             import of them that was cut short, pass --allow-late (what is there counts once); other \
             events of that time go into a fresh --data",
            summary.late,
            events.len()
        ))
        .exit(Code::Data);
    }
    let mut progress = Progress::followed(&context.follower, "importing", events.len() as u64);
    let topic = &context.settings.updater.dead_letter_topic;
    let add = |count| progress.add(count);
    summary.appended =
        import::append(&*data.log, &source.topic, topic, events, &dead_letters, add).await?;
    Ok(summary)
}

fn source(definitions: &Definitions, args: &ImportArgs) -> anyhow::Result<Arc<Source>> {
    let name = args.source.as_str();
    if args.format != Format::Jsonl && name != CLICKSTREAM {
        return Err(anyhow::anyhow!(
            "--source {name}: files of the format `{}` hold events of {CLICKSTREAM}; --source is for `jsonl`",
            name_of(args.format)
        ))
        .exit(Code::Configuration);
    }
    let found = definitions.sources.iter().find(|source| source.name == name).cloned();
    let names =
        || definitions.sources.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ");
    found
        .ok_or_else(|| {
            anyhow::anyhow!(
                "--source {name}: the definitions have no such source, only {}",
                names()
            )
        })
        .exit(Code::Configuration)
}

fn metadata(file: &Path) -> anyhow::Result<std::fs::Metadata> {
    let found = std::fs::metadata(file).with_context(|| format!("file {}", file.display()));
    found.exit(Code::Data)
}

fn open(args: &ImportArgs) -> anyhow::Result<Vec<File>> {
    let read = |path: &PathBuf| {
        let shown = || format!("file {}", path.display());
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).with_context(shown)?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(shown)?;
        anyhow::ensure!(
            bytes.len() as u64 <= FILE_BYTES_MAX,
            "{}: more than {FILE_BYTES_MAX} bytes, which are sorted in memory: split it by time and import \
             the parts in order",
            shown()
        );
        Ok(File { path: path.clone(), bytes })
    };
    args.files.iter().map(read).collect::<anyhow::Result<_>>().exit(Code::Data)
}

/// Where the source's farthest lane stands in each partition.
async fn positions(
    data: &Data,
    definitions: &Definitions,
    source: &Source,
) -> anyhow::Result<Vec<(Offset, EventTime)>> {
    let lanes: Vec<_> =
        definitions.lanes().into_iter().filter(|lane| lane.source.name == source.name).collect();
    let partitions = data.log.topic(&source.topic).await?.partitions as usize;
    let mut from = vec![(Offset(0), EventTime::MIN); partitions];
    for row in updater::status(&*data.log, &*data.store, &lanes, false).await? {
        let at = (Offset(row.position), row.watermark_us.map_or(EventTime::MIN, EventTime));
        let slot = &mut from[row.partition as usize];
        *slot = (*slot).max(at);
    }
    Ok(from)
}

fn text(summary: &Summary, dead_letter_topic: &str) -> String {
    let mut text = format!(
        "{} records: {} appended, {} dead-lettered, {} late",
        summary.records, summary.appended, summary.dead_lettered, summary.late
    );
    for (reason, count) in &summary.reasons {
        text.push_str(&format!("\n  {reason}: {count}"));
    }
    if summary.dead_lettered > 0 {
        text.push_str(&format!("\n  each is in topic {dead_letter_topic}, with file and line"));
    }
    if summary.late > 0 {
        text.push_str(
            "\n  late: appended, but they lie before what the log has seen already and will not count",
        );
    }
    if summary.appended > 0 {
        text.push_str(
            "\n  an event that the log has already counts once; `twofold status` shows how many those are",
        );
    }
    if summary.blank > 0 {
        text.push_str(&format!("\n  blank lines, skipped: {}", summary.blank));
    }
    text
}
