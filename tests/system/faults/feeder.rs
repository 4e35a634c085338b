//! A stream that does not stop for faults.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::events::Events;
use super::plain::Producer;

/// Shares of a second's events that are sent together.
const SHARES: usize = 20;

/// Sends events in a thread of its own until it is stopped.
pub(super) struct Feeder {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    thread: Option<JoinHandle<Events>>,
}

impl Feeder {
    pub(super) fn start(bootstrap: &str, mut events: Events, per_second: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, producer) = (Arc::clone(&stop), Producer::new(bootstrap));
        let sent = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&sent);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                let share = events.make(per_second / SHARES);
                count.fetch_add(share.len(), Ordering::SeqCst);
                producer.send(share);
                std::thread::sleep(Duration::from_secs(1) / SHARES as u32);
            }
            producer.flush();
            events
        });
        Self { stop, sent, thread: Some(thread) }
    }

    /// Records that it has sent until now.
    pub(super) fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }

    /// What it has sent, all of it in the log.
    pub(super) fn stop(&mut self) -> Events {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().expect("it is stopped once").join().unwrap()
    }
}
