use std::path::PathBuf;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use record::{LogId, Offset, Partition};

/// Why a batch job could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The event log failed.
    #[error(transparent)]
    Log(#[from] event_log::Error),
    /// The plan failed.
    #[error(transparent)]
    Plan(InPlan),
    /// Arrow data that does not fit together.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    /// A file of ours that is damaged, torn or of another version.
    #[error("{path}: {what}; {remedy}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// Archive files that do not join.
    #[error(
        "{path} begins at offset {found}, the file before it ends at {expected}: restore the missing \
         file or remove the overlapping one, or run `twofold archive` while the log still holds what is \
         missing"
    )]
    Gap {
        /// The file.
        path: PathBuf,
        /// Where the file before it ends.
        expected: Offset,
        /// Where it begins.
        found: Offset,
    },
    /// The log has dropped what no archive file holds.
    #[error(
        "topic {topic} partition {partition}: offsets {expected}..{first} are gone from the log and not \
         in the archive, so nothing exact can be computed any more"
    )]
    Lost {
        /// The topic.
        topic: String,
        /// The partition.
        partition: Partition,
        /// The first offset that is missing.
        expected: Offset,
        /// The first offset that is there.
        first: Offset,
    },
    /// The log has promised records and neither gives them nor moves past them.
    #[error(
        "topic {topic} partition {partition}: the log stands still at offset {position}, though it has \
         records up to {to}: see that its brokers are healthy, then run this again"
    )]
    Stalled {
        /// The topic.
        topic: String,
        /// The partition.
        partition: Partition,
        /// Where it stands.
        position: Offset,
        /// What its bounds promised.
        to: Offset,
    },
    /// Nothing of a topic was archived.
    #[error("no archive of topic {topic} under {path}: run `twofold archive` first")]
    NoArchive {
        /// The topic.
        topic: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There are archives of several logs under one topic's name.
    #[error(
        "{path} holds archives of several logs of topic {topic} ({logs}): move the older one away"
    )]
    SeveralLogs {
        /// The topic.
        topic: String,
        /// Where.
        path: PathBuf,
        /// Their ids, separated by commas.
        logs: String,
    },
    /// Another process is archiving this topic.
    #[error("{path} is locked: another `twofold archive` is at work; wait for its end")]
    Busy {
        /// The lock.
        path: PathBuf,
    },
    /// The archive ends before what the last back-fill read of it.
    #[error(
        "the archive of topic {topic} holds partition {partition} up to offset {found}, but the last \
         back-fill read it up to {expected}: restore its files, or run `twofold archive`"
    )]
    StepBack {
        /// The topic.
        topic: String,
        /// The partition.
        partition: Partition,
        /// Where it ends now.
        found: Offset,
        /// Where it ended then.
        expected: Offset,
    },
    /// The log is shorter than what was archived of it.
    #[error(
        "topic {topic} partition {partition}: the log ends at offset {end}, but {path} holds records up \
         to {archived}: the log has lost records. Restore the log's data; or, to start anew from what is \
         left, move the archive and everything made of it (indexes, training, models) away"
    )]
    Behind {
        /// The topic.
        topic: String,
        /// The partition.
        partition: Partition,
        /// Where the log ends.
        end: Offset,
        /// Where the archive ends.
        archived: Offset,
        /// The archive of the topic.
        path: PathBuf,
    },
    /// What was archived is another log than the one that is there.
    #[error(
        "{path} is the archive of log {archived}, but topic {topic} is {found}: the log's data were lost \
         or the topic was created again. Restore the log's data; or, to start anew, move the archive and \
         everything made of it (indexes, training, models) away"
    )]
    OtherLog {
        /// The topic.
        topic: String,
        /// The archive of the topic.
        path: PathBuf,
        /// The log that was archived.
        archived: LogId,
        /// The log that is there, or that there is none.
        found: String,
    },
    /// Candidate indexes or joined rows failed.
    #[error(transparent)]
    Candidates(#[from] candidates::Error),
    /// Damaged bytes of values or states.
    #[error(transparent)]
    Fold(#[from] fold::Error),
    /// A model cannot be compiled.
    #[error(transparent)]
    Definition(#[from] definitions::expression::Error),
    /// The definitions or the log lack what a job needs.
    #[error("{what}: {remedy}")]
    Missing {
        /// What is not there.
        what: String,
        /// What to do about it.
        remedy: &'static str,
    },
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        Self::from_plan(error)
    }
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// As an error of a plan's stream; [`Error::from_plan`] takes it out again.
    pub(crate) fn into_plan(self) -> DataFusionError {
        DataFusionError::External(Box::new(self))
    }

    pub(crate) fn from_plan(error: DataFusionError) -> Self {
        use DataFusionError as E;
        match error {
            E::External(inner) => Self::from_foreign(inner),
            E::ArrowError(inner, backtrace) => match *inner {
                ArrowError::ExternalError(inner) => Self::from_foreign(inner),
                other => Self::Plan(InPlan(E::ArrowError(Box::new(other), backtrace))),
            },
            E::Context(_, inner) => Self::from_plan(*inner),
            other => Self::Plan(InPlan(other)),
        }
    }

    /// Out of the boxes that streams pass errors on in.
    fn from_foreign(error: Box<dyn std::error::Error + Send + Sync>) -> Self {
        match error.downcast::<Self>() {
            Ok(ours) => *ours,
            Err(other) => match other.downcast::<DataFusionError>() {
                Ok(inner) => Self::from_plan(*inner),
                Err(other) => Self::Plan(InPlan(DataFusionError::External(other))),
            },
        }
    }
}

/// What went wrong in a plan, without the names of the layers that it went through. Of an error that came
/// into the plan from outside, it is what passes it on.
#[derive(Debug)]
pub struct InPlan(DataFusionError);

impl std::fmt::Display for InPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.find_root() {
            DataFusionError::External(error) => error.fmt(f),
            DataFusionError::Execution(message) | DataFusionError::Plan(message) => {
                f.write_str(message)
            }
            other => f.write_str(&other.strip_backtrace()),
        }
    }
}

impl std::error::Error for InPlan {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.0.find_root() {
            DataFusionError::External(error) => Some(error.as_ref()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_error_comes_out_of_every_box_and_others_are_said_plainly() {
        let ours = || Error::Missing { what: "no topic".to_owned(), remedy: "make one" };
        let arrow = |error| DataFusionError::ArrowError(Box::new(error), None);
        for boxed in [
            ours().into_plan(),
            ours().into_plan().context("scan"),
            arrow(ArrowError::ExternalError(Box::new(ours()))),
            arrow(ArrowError::ExternalError(Box::new(ours().into_plan()))),
        ] {
            let error = Error::from_plan(boxed);
            assert!(matches!(error, Error::Missing { .. }), "{error:?}");
        }
        let full = std::io::Error::other("the disk is full");
        let error = Error::from_plan(arrow(ArrowError::ExternalError(Box::new(full))));
        assert_eq!(error.to_string(), "the disk is full");
        // What several wait for belongs to none of them.
        let shared = DataFusionError::Shared(std::sync::Arc::new(ours().into_plan()));
        let error = anyhow::Error::new(Error::from_plan(shared));
        assert_eq!(error.to_string(), "no topic: make one");
        assert!(
            error.chain().any(|cause| matches!(cause.downcast_ref(), Some(Error::Missing { .. })))
        );
        let error = Error::from_plan(DataFusionError::Execution("too deep".to_owned()));
        assert_eq!(error.to_string(), "too deep");
    }
}
