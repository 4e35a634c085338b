//! What an error of the client library means to the port.

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

use super::connection::{Node, Target};
use super::{Settings, layout};
use crate::Error;

/// What errors call the one server.
const SERVER: &str = "the server";

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
        Target::Node(Node::Only) => SERVER,
        Target::Node(Node::Master { host, port }) => &format!("{host}:{port}"),
    };
    if error.code() == Some("WRONGTYPE") {
        return layout::damaged(at, "something else than a hash of this store");
    }
    unavailable(format!("{at}: {error}"))
}

/// An error of the first connections of a cluster.
pub(super) fn opening(settings: &Settings, error: &RedisError) -> Error {
    let text = error.to_string();
    if text.contains("cluster support disabled") {
        return Error::Unsuitable {
            reason: "the server is no node of a Redis Cluster".into(),
            remedy: match settings.tls {
                true => "write rediss:// in the store's URL",
                false => "write redis:// in the store's URL",
            },
        };
    }
    unavailable(text)
}

/// Says of an error at the start where it was met, and what to look at: a wrong URL or a missing authority shows
/// there.
pub(super) fn at_start(settings: &Settings, error: Error) -> Error {
    let Error::Unavailable { reason } = error else { return error };
    let nodes = settings.nodes.iter().map(|(host, port)| match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    });
    let place = nodes.collect::<Vec<_>>().join(",");
    let reason = reason.strip_prefix(SERVER).and_then(|r| r.strip_prefix(": ")).unwrap_or(&reason);
    let advice = advice(settings, reason).map(|advice| format!(" ({advice})"));
    unavailable(format!("{place}: {reason}{}", advice.unwrap_or_default()))
}

/// Where the client library's words do not say it.
fn advice(settings: &Settings, reason: &str) -> Option<String> {
    let says = |signs: &[&str]| signs.iter().any(|sign| reason.contains(sign));
    let cluster = if settings.cluster { "+cluster" } else { "" };
    match settings.tls {
        // An authority of the same name with another key gives the latter.
        true if says(&["UnknownIssuer", "BadSignature"]) => Some(
            "nobody who is trusted vouches for its certificate: the variable SSL_CERT_FILE names the \
             file of those who are, in place of the system's"
                .to_owned(),
        ),
        // Redis waits for the rest of what it takes for a long line.
        true if says(&["timed out", "in time", "InvalidContentType"]) => Some(format!(
            "if it can be reached and does not speak TLS at this port, write redis{cluster}:// in the \
             store's URL"
        )),
        // All that a server does which expected TLS.
        false if says(&["reset by peer", "roken pipe", "end of file", "terminated"]) => Some(format!(
            "if it speaks TLS at this port, write rediss{cluster}:// in the store's URL"
        )),
        _ => None,
    }
}

pub(super) fn unavailable(reason: impl Into<String>) -> Error {
    Error::Unavailable { reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_at_the_start_is_told_with_its_place_and_what_to_look_at() {
        let nodes = vec![("::1".to_owned(), 1), ("b".to_owned(), 2)];
        let told = |tls, reason: &str| {
            let settings =
                Settings { nodes: nodes.clone(), tls, cluster: true, ..Settings::default() };
            at_start(&settings, unavailable(reason)).to_string()
        };
        assert_eq!(
            told(true, "the server: Connection refused"),
            "online store unavailable: [::1]:1,b:2: Connection refused"
        );
        assert!(told(true, "invalid peer certificate: UnknownIssuer").contains("SSL_CERT_FILE"));
        assert!(
            told(true, "corrupt message of type InvalidContentType").contains("redis+cluster://")
        );
        assert!(
            told(false, "Connection reset by peer (os error 104)").contains("rediss+cluster://")
        );
        assert!(!told(true, "Connection reset by peer (os error 104)").contains("write"));
    }
}
