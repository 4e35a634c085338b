//! The exit code of an error, by its type: the same whether the command runs here or in the process that owns
//! the data directory.

use std::error::Error;
use std::iter::successors;

use runtime::exit::{self, Code};

type Cause<'a> = &'a (dyn Error + 'static);

/// That of the outermost cause which has one of its own; else what the commands marked it with.
pub(crate) fn of(error: &anyhow::Error) -> Code {
    causes(error).filter_map(own).next().unwrap_or_else(|| exit::code(error))
}

/// The table of the embedded database that is damaged, if that is what went wrong.
pub(crate) fn damaged_table(error: &anyhow::Error) -> Option<std::path::PathBuf> {
    causes(error).find_map(|cause| cause.downcast_ref::<embedded::Error>()?.damaged_table())
}

/// Whether a server did not answer that may do so later.
pub(crate) fn is_passing(error: &anyhow::Error) -> bool {
    causes(error).any(|cause| {
        matches!(cause.downcast_ref(), Some(event_log::Error::Unavailable { .. }))
            || matches!(cause.downcast_ref(), Some(online_store::Error::Unavailable { .. }))
    })
}

fn causes(error: &anyhow::Error) -> impl Iterator<Item = Cause<'_>> {
    error.chain().flat_map(|cause| successors(Some(cause), |cause| wrapped(*cause)))
}

/// What a variant only passes on. It shows itself as its inner error, and so `source()` leaves that out.
fn wrapped(cause: Cause<'_>) -> Option<Cause<'_>> {
    if let Some(error) = cause.downcast_ref() {
        return match error {
            batch::Error::Log(inner) => Some(inner),
            batch::Error::Candidates(inner) => Some(inner),
            batch::Error::Fold(inner) => Some(inner),
            _ => None,
        };
    }
    if let Some(error) = cause.downcast_ref() {
        return match error {
            online::updater::Error::Log(inner) => Some(inner),
            online::updater::Error::Store(inner) => Some(inner),
            _ => None,
        };
    }
    if let Some(error) = cause.downcast_ref() {
        return match error {
            online::item_table::Error::Log(inner) => Some(inner),
            online::item_table::Error::Store(inner) => Some(inner),
            _ => None,
        };
    }
    if let Some(online::service::Error::Log(inner)) = cause.downcast_ref() {
        return Some(inner);
    }
    if let Some(event_log::Error::Embedded(inner)) = cause.downcast_ref() {
        return Some(inner);
    }
    if let Some(online_store::Error::Embedded(inner)) = cause.downcast_ref() {
        return Some(inner);
    }
    None
}

/// What is damaged, or does not fit together, is bad data, whichever command reads it; what is not there, or may not be
/// trusted with states, is named wrongly.
fn own(cause: Cause<'_>) -> Option<Code> {
    use embedded::Error::{NoDatabase, NoDirectory};
    if let Some(NoDatabase { .. } | NoDirectory { .. }) = cause.downcast_ref() {
        return Some(Code::Configuration);
    }
    if let Some(online::service::Error::NoModel(_)) = cause.downcast_ref() {
        return Some(Code::Configuration);
    }
    if let Some(online_store::Error::Unsuitable { .. }) = cause.downcast_ref() {
        return Some(Code::Configuration);
    }
    let is_bad = is_bad_batch(cause)
        || is_bad_log(cause)
        || matches!(cause.downcast_ref(), Some(online_store::Error::Damaged { .. }))
        || cause.downcast_ref().is_some_and(embedded::Error::is_damage)
        || cause.is::<fold::Error>()
        || is_bad_registry(cause)
        || is_bad_index(cause);
    is_bad.then_some(Code::Data)
}

fn is_bad_log(cause: Cause<'_>) -> bool {
    use event_log::Error::{Damaged, Lost};
    matches!(cause.downcast_ref(), Some(Damaged { .. } | Lost { .. }))
}

fn is_bad_batch(cause: Cause<'_>) -> bool {
    use batch::Error::{Behind, Damaged, Gap, OtherLog, SeveralLogs, StepBack};
    matches!(
        cause.downcast_ref(),
        Some(
            Behind { .. }
                | Damaged { .. }
                | Gap { .. }
                | OtherLog { .. }
                | SeveralLogs { .. }
                | StepBack { .. }
        )
    )
}

fn is_bad_registry(cause: Cause<'_>) -> bool {
    use models::registry::Error::{Gone, Pointer};
    matches!(cause.downcast_ref(), Some(Gone { .. } | Pointer { .. }))
}

fn is_bad_index(cause: Cause<'_>) -> bool {
    use candidates::Error::{Damaged, Version};
    matches!(cause.downcast_ref(), Some(Damaged { .. } | Version { .. }))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use record::{LaneId, LogId, Offset, Partition};

    use super::*;

    fn damaged_log() -> event_log::Error {
        event_log::Error::Damaged { at: "clickstream-0/7".to_owned(), what: "torn" }
    }

    fn damaged_store() -> online_store::Error {
        online_store::Error::Damaged { key: "head".to_owned(), what: "torn".to_owned() }
    }

    fn lost_log() -> event_log::Error {
        let what = "topic clickstream is not there".to_owned();
        event_log::Error::Lost { what, path: "data/log-ends.txt".into() }
    }

    fn nowhere() -> embedded::Error {
        embedded::Error::NoDatabase { path: "mistyped".into() }
    }

    fn unavailable() -> event_log::Error {
        event_log::Error::Unavailable { reason: "told to".to_owned() }
    }

    fn unsuitable() -> online_store::Error {
        online_store::Error::Unsuitable {
            reason: "it may evict".to_owned(),
            remedy: "tell it not to",
        }
    }

    /// As commands meet it: with words around it.
    fn code(error: impl Error + Send + Sync + 'static) -> Code {
        of(&anyhow::Error::new(error).context("topic clickstream").context("archiving"))
    }

    #[test]
    fn what_is_damaged_or_does_not_fit_together_is_bad_data_and_what_is_refused_a_wrong_setting() {
        use online::updater;
        let path = PathBuf::from("archive/clickstream");
        let topic = "clickstream".to_owned();
        let (partition, expected, found) = (Partition(0), Offset(7), Offset(9));
        let batch = [
            batch::Error::Damaged { path: path.clone(), what: "torn".to_owned(), remedy: "again" },
            batch::Error::Gap { path: path.clone(), expected, found },
            batch::Error::SeveralLogs {
                path: path.clone(),
                topic: topic.clone(),
                logs: "a, b".to_owned(),
            },
            batch::Error::Behind {
                topic: topic.clone(),
                partition,
                end: expected,
                archived: found,
                path: path.clone(),
            },
            batch::Error::OtherLog {
                topic,
                path,
                archived: LogId([1; 16]),
                found: "none".to_owned(),
            },
        ];
        for error in batch {
            let shown = format!("{error:?}");
            assert_eq!(code(error), Code::Data, "{shown}");
        }
        assert_eq!(code(damaged_log()), Code::Data);
        assert_eq!(code(lost_log()), Code::Data);
        assert_eq!(code(damaged_store()), Code::Data);
        assert_eq!(code(nowhere()), Code::Configuration);
        assert_eq!(code(unsuitable()), Code::Configuration);
        assert_eq!(code(updater::Error::Store(unsuitable())), Code::Configuration);
        assert_eq!(code(unavailable()), Code::Failure);
    }

    #[test]
    fn what_only_passes_an_error_on_passes_its_code_on() {
        use online::{item_table, service, updater};
        let index = || candidates::Error::Damaged { at: 3, what: "torn" };
        let state = || fold::Error::Damaged { at: 3, what: "torn" };
        for (found, from) in [
            (code(batch::Error::Log(damaged_log())), "batch, log"),
            (code(batch::Error::Candidates(index())), "batch, candidates"),
            (code(batch::Error::Fold(state())), "batch, fold"),
            (code(updater::Error::Log(damaged_log())), "updater, log"),
            (code(updater::Error::Store(damaged_store())), "updater, store"),
            (code(item_table::Error::Log(damaged_log())), "item table, log"),
            (code(item_table::Error::Store(damaged_store())), "item table, store"),
            (code(service::Error::Log(damaged_log())), "service, log"),
            (
                code(updater::Error::State {
                    lane: LaneId([0; 8]),
                    partition: Partition(0),
                    source: state(),
                }),
                "updater, state",
            ),
        ] {
            assert_eq!(found, Code::Data, "{from}");
        }
        let log = || event_log::Error::Embedded(nowhere());
        let store = || online_store::Error::Embedded(nowhere());
        for (found, from) in [
            (code(log()), "log"),
            (code(store()), "store"),
            (code(batch::Error::Log(log())), "batch, log"),
            (code(updater::Error::Log(log())), "updater, log"),
            (code(updater::Error::Store(store())), "updater, store"),
            (code(item_table::Error::Log(log())), "item table, log"),
            (code(item_table::Error::Store(store())), "item table, store"),
            (code(service::Error::Log(log())), "service, log"),
        ] {
            assert_eq!(found, Code::Configuration, "{from}");
        }
        assert_eq!(code(batch::Error::Log(unavailable())), Code::Failure);
    }
}
