//! The owner's side: listens beside the owner's own work, on threads of its own.
//!
//! A command can compute for minutes; on the threads that serve, requests would wait behind it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use definitions::Definitions;
use runtime::shutdown::{self, Shutdown, Trigger};
use tokio::net::UnixListener;
use tokio::sync::{Mutex, Semaphore, oneshot};
use tokio::task::JoinSet;

use super::connection;
use super::protocol::Realm;
use super::socket::Socket;
use crate::command::Context;
use crate::data::Data;

/// Clients at once; another is refused, not queued.
pub(super) const CLIENTS_MAX: usize = 8;
/// Threads that run commands: one may compute while the other reports.
const THREADS: usize = 2;
/// After a failed accept, which may go on failing (no more file descriptors).
const PAUSE: Duration = Duration::from_millis(100);
/// For threads that compute on after their command was given up; what is left ends with the process.
const THREADS_WAIT: Duration = Duration::from_secs(1);

/// What commands are run with.
pub(super) struct Owner {
    pub(super) context: Context,
    pub(super) data: Data,
    pub(super) definitions: Arc<Definitions>,
    pub(super) realm: Realm,
    pub(super) pid: u32,
    /// Held by the one long command that runs.
    pub(super) long: Arc<Mutex<()>>,
}

/// Does the owner's `work` to its end and meanwhile runs what clients ask for. A client's command that
/// is under way at the end gets a little time.
///
/// # Errors
/// Those of `work`; or when the socket cannot be made.
pub(crate) async fn beside<T>(
    context: &Context,
    data: &Data,
    definitions: &Arc<Definitions>,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    if !context.settings.is_embedded() {
        return work.await;
    }
    let directory = context.settings.data.display();
    let server = start(context, data, definitions)
        .with_context(|| format!("admin socket in data directory {directory}"))?;
    let done = work.await;
    server.stop().await;
    done
}

/// A server that runs.
struct Server {
    stop: Trigger,
    stopped: oneshot::Receiver<()>,
}

fn start(context: &Context, data: &Data, definitions: &Arc<Definitions>) -> anyhow::Result<Server> {
    let owner = Owner {
        context: context.clone(),
        data: data.clone(),
        definitions: Arc::clone(definitions),
        realm: Realm::of(context, definitions)?,
        pid: std::process::id(),
        long: Arc::default(),
    };
    // Before the runtime, which may not be dropped here, where another one runs.
    let (socket, listener) = Socket::bind(&context.settings.data)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("admin")
        .enable_all()
        .build()?;
    let (stop, asked) = shutdown::channel();
    let (done, stopped) = oneshot::channel();
    let run = move || {
        runtime.block_on(serve(listener, Arc::new(owner), asked));
        drop(socket);
        runtime.shutdown_timeout(THREADS_WAIT);
        // Nobody waits if the owner's work panicked.
        let _ = done.send(());
    };
    std::thread::Builder::new().name("admin".to_owned()).spawn(run)?;
    Ok(Server { stop, stopped })
}

impl Server {
    async fn stop(self) {
        self.stop.shut_down();
        if self.stopped.await.is_err() {
            tracing::error!("the admin socket's thread panicked");
        }
    }
}

async fn serve(listener: std::os::unix::net::UnixListener, owner: Arc<Owner>, asked: Shutdown) {
    let listener = match UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "no admin socket"),
    };
    let seats = Arc::new(Semaphore::new(CLIENTS_MAX));
    let mut clients = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = asked.wait() => break,
            Some(_) = clients.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => match Arc::clone(&seats).try_acquire_owned() {
                Ok(seat) => {
                    let (owner, asked) = (Arc::clone(&owner), asked.clone());
                    clients.spawn(async move {
                        connection::serve(stream, &owner, asked).await;
                        drop(seat);
                    });
                }
                Err(_) => connection::refuse(stream, owner.pid).await,
            },
            Err(error) => {
                tracing::warn!(%error, "admin socket");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    // Each of them knows that it is asked to stop, and how long it may take.
    while clients.join_next().await.is_some() {}
}
