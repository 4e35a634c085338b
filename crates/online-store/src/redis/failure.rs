//! What an error of the client library means to the port.

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

use super::connection::{Node, Target};
use super::layout;
use crate::Error;

/// Whether it says that the server is not there to answer, as against: that it does not want to.
pub(super) fn is_outage(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Io | ErrorKind::Parse | ErrorKind::ClusterConnectionNotFound => true,
        ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::BusyLoading
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::TryAgain
                | ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::ReadOnly
        ),
        _ => false,
    }
}

/// Whether the connection may not be used again.
pub(super) fn breaks_connection(error: &RedisError) -> bool {
    let demoted = error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly);
    demoted || error.is_io_error() || error.is_unrecoverable_error()
}

/// Whether the functions have to be loaded first.
pub(super) fn lacks_functions(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("Function not found"))
}

/// Whether an error's text says that they are there already.
pub(super) fn says_loaded(text: &str) -> bool {
    text.contains("already exists")
}

/// The port's error. Everything but a wrong type may mend itself, or be mended by who runs the
/// server, and nothing was done or trying again is safe.
pub(super) fn error(at: &Target, error: &RedisError) -> Error {
    let at = match at {
        Target::Key(key) => key,
        Target::Node(Node::Only) => "the server",
        Target::Node(Node::Master { host, port }) => &format!("{host}:{port}"),
    };
    if error.code() == Some("WRONGTYPE") {
        return layout::damaged(at, "something else than a hash of this store");
    }
    unavailable(format!("{at}: {error}"))
}

/// An error of the first connections of a cluster.
pub(super) fn opening(error: &RedisError) -> Error {
    let text = error.to_string();
    if text.contains("cluster support disabled") {
        return Error::Unsuitable {
            reason: "the server is no node of a Redis Cluster".into(),
            remedy: "write redis:// in the store's URL",
        };
    }
    unavailable(text)
}

pub(super) fn unavailable(reason: impl Into<String>) -> Error {
    Error::Unavailable { reason: reason.into() }
}
