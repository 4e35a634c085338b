//! HTTP for scrapes: one path, few connections at once, and none for long.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use runtime::exit::{Code, With};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Settings;

/// Connections at once; others wait for one of them to end.
const CONNECTIONS_MAX: usize = 16;
/// How long a connection may take, from its first byte to the last.
const CONNECTION_LIMIT: Duration = Duration::from_secs(10);
/// After a failed accept, which may go on failing (no more file descriptors).
const PAUSE: Duration = Duration::from_millis(100);

const PATH: &str = "/metrics";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Listens where the settings say; `None`: nowhere.
///
/// # Errors
/// An address that is not this machine's, or a port that is taken: a wrong configuration.
pub(crate) async fn bind(settings: &Settings) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = settings.address() else { return Ok(None) };
    let listener = TcpListener::bind(&address).await;
    let listener = listener.with_context(|| {
        format!("--metrics {address} (setting metrics.listen): expected ADDRESS:PORT that is free")
    });
    Ok(Some(listener.exit(Code::Configuration)?))
}

/// Answers for ever.
pub(super) async fn serve(listener: TcpListener, registry: Arc<Registry>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("it is never closed");
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "no scrape was accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let registry = Arc::clone(&registry);
        connections.spawn(async move {
            // What a scraper does not wait for is its own affair.
            let _ = tokio::time::timeout(CONNECTION_LIMIT, connection(stream, registry)).await;
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, registry: Arc<Registry>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer(request.method(), request.uri().path(), &registry);
        async move { Ok::<_, Infallible>(answer) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(CONNECTION_LIMIT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a scrape ended early");
    }
}

fn answer(method: &Method, path: &str, registry: &Registry) -> Response<String> {
    let plain = |status, text: &str| response(status, PLAIN, text.to_owned());
    if path != PATH {
        return plain(StatusCode::NOT_FOUND, "there is only /metrics here\n");
    }
    if method != Method::GET && method != Method::HEAD {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "GET it\n");
        refused.headers_mut().insert(ALLOW, "GET, HEAD".parse().expect("it is a header's value"));
        return refused;
    }
    let mut page = String::new();
    match text::encode(&mut page, registry) {
        Ok(()) => response(StatusCode::OK, OPEN_METRICS, page),
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
    }
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<String> {
    let response = Response::builder().status(status).header(CONTENT_TYPE, kind).body(body);
    response.expect("status and header are constants")
}
