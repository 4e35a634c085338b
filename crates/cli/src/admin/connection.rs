//! One client of the owner: its request, progress while the command runs, and the answer.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use runtime::shutdown::Shutdown;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::Request;
use super::protocol::{ALIVE_EVERY, Answer, CALL_BYTES_MAX, Call, line, read_line};
use super::server::{CLIENTS_MAX, Owner};
use crate::command::Context;
use crate::follower::{Followed, Follower};
use crate::output::Outcome;

/// For a client to say what it wants.
const CALL_WAIT: Duration = Duration::from_secs(5);
/// For a client to take what it is told.
const WRITE_WAIT: Duration = Duration::from_secs(5);
/// Between two steps that a client is told of.
const BETWEEN_STEPS: Duration = Duration::from_millis(100);
/// For a command that is under way when the owner is asked to stop.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// Says that there are too many clients.
pub(super) async fn refuse(stream: UnixStream, pid: u32) {
    let busy = anyhow::anyhow!(
        "process {pid}, which owns the data directory, has {CLIENTS_MAX} commands waiting already: try again"
    );
    Client::new(stream.into_split().1).tell(&Answer::failed(&busy)).await;
}

/// Serves one client to its end.
pub(super) async fn serve(stream: UnixStream, owner: &Arc<Owner>, asked: Shutdown) {
    let (reader, writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut client = Client::new(writer);
    let Some(read) = asked.unless(read(&mut reader, owner)).await else { return };
    let answer = match read {
        Ok(None) => return,
        Err(error) => Answer::failed(&error),
        Ok(Some(call)) => {
            if call.realm.has_other_settings(&owner.realm) {
                let note = format!(
                    "the settings of process {} differ from these: its own hold",
                    owner.pid
                );
                client.tell(&Answer::Note(note)).await;
            }
            match run(call.request, &mut client, reader.into_inner(), owner, asked).await {
                None => return,
                Some(Ok(outcome)) => Answer::Done(outcome),
                Some(Err(error)) => Answer::failed(&error),
            }
        }
    };
    client.tell(&answer).await;
}

/// The request; `None` from a client that went away without one.
async fn read(
    reader: &mut BufReader<OwnedReadHalf>,
    owner: &Owner,
) -> anyhow::Result<Option<Call>> {
    let line = timeout(CALL_WAIT, read_line(reader, CALL_BYTES_MAX)).await;
    let line = line.context("no request came")?.context("the request")?;
    if line.is_empty() {
        return Ok(None);
    }
    let call = Call::parse(&line, owner.pid)?;
    call.realm.refuse(&owner.realm, owner.pid)?;
    Ok(Some(call))
}

/// Runs a request and tells the client how far it is; `None`: given up, as nobody waits for it.
async fn run(
    request: Request,
    client: &mut Client,
    mut reader: OwnedReadHalf,
    owner: &Arc<Owner>,
    asked: Shutdown,
) -> Option<anyhow::Result<Outcome>> {
    let (name, changes) = (request.name(), request.changes_something());
    tracing::info!(command = name, "asked for by a client");
    let mut rest = [0; 64];
    // What has not begun is left half done by nobody, so a client may still go away.
    let turn = match request.is_long() {
        false => None,
        true => {
            let turn = Arc::clone(&owner.long).lock_owned();
            tokio::pin!(turn);
            loop {
                tokio::select! {
                    turn = &mut turn => break Some(turn),
                    _ = sleep(ALIVE_EVERY) => client.tell(&Answer::Alive).await,
                    _ = reader.read(&mut rest) => return None,
                    () = asked.wait() => return Some(Err(anyhow::anyhow!(
                        "process {} is stopping: run this again",
                        owner.pid
                    ))),
                }
            }
        }
    };
    let (follower, mut followed) = Follower::away();
    let mut work = JoinSet::new();
    work.spawn(command(request, follower.clone(), Arc::clone(owner), turn));
    let overdue = async {
        asked.wait().await;
        sleep(STOP_WAIT).await;
    };
    tokio::pin!(overdue);
    let mut tick = interval(BETWEEN_STEPS);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let done = loop {
        tokio::select! {
            done = work.join_next() => break done.expect("one command was spawned"),
            _ = tick.tick() => client.tell_of(&mut followed).await,
            // A client says nothing more: this is its end.
            _ = reader.read(&mut rest), if client.there => {
                client.there = false;
                if !changes {
                    tracing::info!(command = name, "given up: its client is gone");
                    return None;
                }
            }
            () = &mut overdue => return Some(Err(anyhow::anyhow!(
                "process {} is stopping and cut `{name}` short: what it had done stays done; run it again",
                owner.pid
            ))),
        }
    };
    client.tell_of(&mut followed).await;
    let left_out = follower.left_out();
    if left_out > 0 {
        let note =
            format!("{left_out} more lines like these are in the log of process {}", owner.pid);
        client.tell(&Answer::Note(note)).await;
    }
    let done = done.context("the command panicked").and_then(|done| done);
    match &done {
        Ok(outcome) if changes => {
            tracing::info!(command = name, client = client.there, "{}", outcome.json);
        }
        Ok(_) => tracing::info!(command = name, client = client.there, "answered"),
        Err(error) => {
            let error = runtime::exit::message(error);
            tracing::warn!(command = name, client = client.there, error, "failed");
        }
    }
    Some(done)
}

/// The command itself. The turn ends with it, also when nobody waits for it any more.
async fn command(
    request: Request,
    follower: Follower,
    owner: Arc<Owner>,
    _turn: Option<OwnedMutexGuard<()>>,
) -> anyhow::Result<Outcome> {
    let context = Context { follower, ..owner.context.clone() };
    request.run(&context, &owner.data, &owner.definitions).await
}

/// Where answers go.
struct Client {
    writer: OwnedWriteHalf,
    told: Instant,
    /// Nobody is told anything any more once this is false.
    there: bool,
}

impl Client {
    fn new(writer: OwnedWriteHalf) -> Self {
        Self { writer, told: Instant::now(), there: true }
    }

    async fn tell(&mut self, answer: &Answer) {
        if !self.there {
            return;
        }
        let line = line(answer).expect("text and numbers are JSON");
        self.told = Instant::now();
        let written = timeout(WRITE_WAIT, self.writer.write_all(&line)).await;
        self.there = matches!(written, Ok(Ok(())));
    }

    /// The newest step and all notes; that it is alive, if there was nothing else for a while.
    async fn tell_of(&mut self, followed: &mut Followed) {
        while let Ok(note) = followed.notes.try_recv() {
            self.tell(&Answer::Note(note)).await;
        }
        if followed.steps.has_changed().is_ok_and(|changed| changed) {
            let step = followed.steps.borrow_and_update().clone();
            self.tell(&Answer::Step(step)).await;
        }
        if self.told.elapsed() >= ALIVE_EVERY {
            self.tell(&Answer::Alive).await;
        }
    }
}
